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
    try Running(program, arguments, in: directory, environment: environment, input: input).wait()
  }

  /// Runs the `casync` that was built with the tests: `CASYNC_BINARY`, else the one beside the test bundle.
  package static func casync(
    _ arguments: [String], in directory: String? = nil, environment: [String: String?] = [:],
    input: [UInt8]? = nil
  ) throws -> Command {
    try Running(casync: arguments, in: directory, environment: environment, input: input).wait()
  }

  /// Variables that change what the program does: a test sets those it means.
  static let ownVariables = [
    "CASYNC_STORE", "CASYNC_LOG_LEVEL", "CASYNC_VERBOSE", "CASYNC_CPU", "CASYNC_COMPRESSED_CHUNK_SUFFIX",
    "NOTIFY_SOCKET", "DESYNC_ENABLE_PARSABLE_PROGRESS", "CASYNC_CONFIG",
  ]

  /// Path of the program under test.
  package static var binary: String {
    if let path = ProcessInfo.processInfo.environment["CASYNC_BINARY"] { return path }
    let bundle = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    return bundle.deletingLastPathComponent().appendingPathComponent("casync").path
  }
}
