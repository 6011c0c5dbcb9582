import Foundation
import TestSupport
import Testing

/// Runs the program under test.
func ours(
  _ arguments: String..., in directory: String? = nil, environment: [String: String?] = [:],
  input: [UInt8]? = nil
) throws -> Command {
  try Command.casync(arguments, in: directory, environment: environment, input: input)
}

/// Runs Debian's casync.
func theirs(_ arguments: String..., in directory: String? = nil) throws -> Command {
  try Command.run(reference, arguments, in: directory)
}

extension Command {
  /// Ends the test unless the program succeeded.
  @discardableResult
  func succeeds(_ location: SourceLocation = #_sourceLocation) throws -> Command {
    try #require(status == 0, "\(errors)", sourceLocation: location)
    return self
  }

  /// Whether it failed as every failure must: with this status, and one line that says what and why.
  func fails(
    _ message: String = "", status expected: Int32 = 1, _ location: SourceLocation = #_sourceLocation
  ) {
    #expect(status == expected, "\(errors)", sourceLocation: location)
    let lines = errors.split(separator: "\n").filter { !$0.hasPrefix("hint: ") && !$0.hasPrefix("warning: ") }
    #expect(lines.count == 1, "\(errors)", sourceLocation: location)
    #expect(lines.first?.hasPrefix("casync: \(message)") == true, "\(errors)", sourceLocation: location)
  }

  /// What `get --json` printed.
  func got(_ location: SourceLocation = #_sourceLocation) throws -> GetReport {
    try succeeds(location)
    let report = try JSONDecoder().decode(GetReport.self, from: Data(output.utf8))
    // Each byte and each chunk has one source.
    #expect(report.sources.reduce(0) { $0 + $1.bytes } == report.size, sourceLocation: location)
    #expect(report.sources.reduce(0) { $0 + $1.chunks } == report.chunks, sourceLocation: location)
    return report
  }

  /// What `put --json` printed.
  func stored(_ location: SourceLocation = #_sourceLocation) throws -> PutReport {
    try succeeds(location)
    return try JSONDecoder().decode(PutReport.self, from: Data(output.utf8))
  }
}

/// The summary of a get.
struct GetReport: Decodable {
  struct Share: Decodable {
    let source: String
    let bytes: Int
    let chunks: Int
  }

  let size: Int
  let chunks: Int
  let sources: [Share]
  let writtenBytes: Int
  let zeroedBytes: Int
  let skippedBytes: Int
  let fetchedBytes: Int
  let clonedBytes: Int
  let verifiedBytes: Int
  let warnings: [String]

  /// Bytes of the image that came from `source`.
  func bytes(from source: String) -> Int { sources.first { $0.source == source }?.bytes ?? 0 }
}

/// The summary of a put.
struct PutReport: Decodable {
  let indexDigest: String
  let size: Int
  let chunks: Int
  let zeroBytes: Int
  let holeBytes: Int
  let newChunks: Int
  let newBytes: Int
}
