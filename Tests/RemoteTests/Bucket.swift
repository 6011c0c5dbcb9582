import Foundation
import TestSupport
import Testing

/// rclone's S3 server on loopback, with a bucket that is empty at first.
final class Bucket: @unchecked Sendable {
  // Written in `init` only.
  let scratch: Scratch
  let port: Int
  private let server: Running

  static let key = "test-access-key"
  static let secret = "test-secret-key"

  @TaskLocal private static var shared: Bucket?
  static var current: Bucket { get throws { try #require(shared) } }

  /// The bucket, as desync writes it.
  var url: String { "s3+http://127.0.0.1:\(port)/images" }
  /// Its files.
  func file(_ name: String) -> String { scratch("data/images/\(name)") }

  static var credentials: [String: String?] {
    ["AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret]
  }

  private init() throws {
    let scratch = try Scratch(.memory)
    self.scratch = scratch
    try Tool.run("mkdir", "-p", scratch("data/images"))
    let number = try Tool.run(
      "python3", "-c", "import socket; print(socket.create_server(('127.0.0.1', 0)).getsockname()[1])")
    port = try #require(Int(number))
    let (port, url) = (port, "s3+http://127.0.0.1:\(port)/images/none.caibx")
    server = try Running(
      "rclone",
      [
        "serve", "s3", "--auth-key", "\(Self.key),\(Self.secret)", "--addr", "127.0.0.1:\(port)",
        "--config", "", scratch("data"),
      ])
    let answers = server.wait {
      (try? Site.casync("info", url, environment: Self.credentials).errors.contains("not there")) == true
    }
    guard answers else { throw Tool.Failure("rclone does not answer: \(server.errorsSoFar)") }
  }

  /// Starts the server before the first test of a suite, and ends it after the last.
  struct Trait: SuiteTrait, TestScoping {
    func provideScope(
      for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
      try await Bucket.$shared.withValue(Bucket(), operation: function)
    }
  }

  /// Our program, with the bucket's credentials.
  @discardableResult
  static func succeed(_ arguments: String..., environment: [String: String?] = credentials) throws -> Command
  {
    let run = try Site.casync(arguments, environment: environment)
    guard run.status == 0 else { throw Tool.Failure("\(arguments): status \(run.status): \(run.errors)") }
    return run
  }
}
