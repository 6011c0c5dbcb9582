import Foundation

/// A program that is running: it can be sent signals, seen to stop, and waited for. Killed when nobody has it
/// any more.
package final class Running {
  private let process = Process()
  private let scratch: URL
  private let output: URL
  private let errors: URL

  /// Starts `program` (a path, or a name found in PATH).
  /// - Parameter environment: variables added to those of this process; `nil` takes one away.
  /// - Parameter input: bytes on standard input; none is /dev/null.
  /// - Throws: when it cannot be started.
  package init(
    _ program: String, _ arguments: [String] = [], in directory: String? = nil,
    environment: [String: String?] = [:], input: [UInt8]? = nil
  ) throws {
    // Files, not pipes: nobody has to read while the program runs.
    scratch = FileManager.default.temporaryDirectory.appendingPathComponent("casync-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
    output = scratch.appendingPathComponent("output")
    errors = scratch.appendingPathComponent("errors")
    for file in [output, errors] { try Data().write(to: file) }

    process.executableURL = URL(fileURLWithPath: program.contains("/") ? program : "/usr/bin/env")
    process.arguments = (program.contains("/") ? [] : [program]) + arguments
    if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
    var variables = ProcessInfo.processInfo.environment
    for (name, value) in environment { variables[name] = value }
    process.environment = variables
    process.standardInput = FileHandle.nullDevice
    if let input {
      let file = scratch.appendingPathComponent("input")
      try Data(input).write(to: file)
      process.standardInput = try FileHandle(forReadingFrom: file)
    }
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
  }

  /// Starts the `casync` that was built with the tests, without the variables that change what it does.
  package convenience init(
    casync arguments: [String], in directory: String? = nil, environment: [String: String?] = [:],
    input: [UInt8]? = nil
  ) throws {
    var clean: [String: String?] = [:]
    for name in Command.ownVariables { clean.updateValue(nil, forKey: name) }
    try self.init(
      Command.binary, arguments, in: directory, environment: clean.merging(environment) { $1 }, input: input)
  }

  deinit {
    if process.isRunning {
      send(SIGKILL)
      process.waitUntilExit()
    }
    // What could not be removed lies in the temporary directory.
    try? FileManager.default.removeItem(at: scratch)
  }

  /// Its process ID.
  package var identifier: Int32 { process.processIdentifier }

  package func send(_ signal: Int32) {
    kill(identifier, signal)
  }

  /// Waits until SIGSTOP has stopped it.
  /// - Returns: whether it did; false when it ended instead.
  package func waitUntilStopped() -> Bool {
    // SAFETY: the call fills the structure; with WNOWAIT the process stays for `wait` to be waited for.
    var info = unsafe siginfo_t()
    let result = unsafe waitid(P_PID, id_t(identifier), &info, WSTOPPED | WEXITED | WNOWAIT)
    return unsafe result == 0 && info.si_code == CLD_STOPPED
  }

  /// Waits until `condition` holds, for at most half a minute.
  /// - Returns: whether it came to hold while the program ran.
  package func wait(until condition: () -> Bool) -> Bool {
    let limit = ContinuousClock.now + .seconds(30)
    while process.isRunning, ContinuousClock.now < limit {
      if condition() { return true }
      usleep(1000)
    }
    return false
  }

  /// What it has printed on standard error so far.
  package var errorsSoFar: String { (try? String(contentsOf: errors, encoding: .utf8)) ?? "" }

  /// Waits until it ends.
  package func wait() throws -> Command {
    process.waitUntilExit()
    let status =
      process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    return Command(
      status: status, output: String(decoding: try Data(contentsOf: output), as: UTF8.self),
      errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
  }
}
