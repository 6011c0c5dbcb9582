import Foundation

/// A program that was run: what it was given, and what it did.
package struct Command: Sendable {
  package let status: Int32
  package let output: String
  package let errors: String

  /// Runs `program` (a path, or a name found in PATH) until it ends. Blocks.
  /// - Parameter environment: variables added to those of this process; `nil` takes one away.
  /// - Parameter input: bytes on standard input; none is /dev/null.
  /// - Throws: when it cannot be started.
  package static func run(
    _ program: String, _ arguments: [String] = [], in directory: String? = nil,
    environment: [String: String?] = [:], input: [UInt8]? = nil
  ) throws -> Command {
    // Files, not pipes: nobody has to read while the program runs.
    let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("casync-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
    // What could not be removed lies in the temporary directory.
    defer { try? FileManager.default.removeItem(at: scratch) }
    func file(_ name: String, _ content: Data = Data()) throws -> URL {
      let url = scratch.appendingPathComponent(name)
      try content.write(to: url)
      return url
    }

    let process = Process()
    process.executableURL = URL(fileURLWithPath: program.contains("/") ? program : "/usr/bin/env")
    process.arguments = (program.contains("/") ? [] : [program]) + arguments
    if let directory { process.currentDirectoryURL = URL(fileURLWithPath: directory) }
    var variables = ProcessInfo.processInfo.environment
    for (name, value) in environment { variables[name] = value }
    process.environment = variables
    process.standardInput =
      try input.map { try FileHandle(forReadingFrom: file("input", Data($0))) } ?? FileHandle.nullDevice
    let output = try file("output")
    let errors = try file("errors")
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    process.waitUntilExit()
    let status =
      process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    return Command(
      status: status, output: String(decoding: try Data(contentsOf: output), as: UTF8.self),
      errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
  }

  /// Runs the `casync` that was built with the tests: `CASYNC_BINARY`, else the one beside the test bundle.
  package static func casync(
    _ arguments: [String], in directory: String? = nil, environment: [String: String?] = [:],
    input: [UInt8]? = nil
  ) throws -> Command {
    var clean: [String: String?] = [:]
    for name in ownVariables { clean.updateValue(nil, forKey: name) }
    return try run(
      binary, arguments, in: directory, environment: clean.merging(environment) { $1 }, input: input)
  }

  /// Variables that change what the program does: a test sets those it means.
  private static let ownVariables = [
    "CASYNC_STORE", "CASYNC_LOG_LEVEL", "CASYNC_VERBOSE", "CASYNC_CPU", "CASYNC_COMPRESSED_CHUNK_SUFFIX",
    "NOTIFY_SOCKET", "DESYNC_ENABLE_PARSABLE_PROGRESS",
  ]

  /// Path of the program under test.
  package static var binary: String {
    if let path = ProcessInfo.processInfo.environment["CASYNC_BINARY"] { return path }
    let bundle = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return bundle.deletingLastPathComponent().appendingPathComponent("casync").path
  }
}
