import CasyncIO
import Foundation
import TestSupport
import Testing

/// A directory of a test's own, removed with the last reference to it.
final class Scratch: Sendable {
  let path: String

  init() throws {
    path =
      FileManager.default.temporaryDirectory.appendingPathComponent("casync-io-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    // What could not be removed lies in the temporary directory.
    try? FileManager.default.removeItem(atPath: path)
  }

  subscript(name: String) -> String { "\(path)/\(name)" }

  /// A file that holds `bytes`.
  func file(_ name: String, _ bytes: [UInt8] = []) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: self[name]))
    return self[name]
  }

  /// A file of `size` bytes that is one hole.
  func hole(_ name: String, _ size: UInt64) throws -> String {
    try File.open(self[name], [.readWrite, .create]).setSize(size)
    return self[name]
  }
}

/// What lies in the file at `path`.
func contents(_ path: String) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

func contents(_ buffer: Buffer, _ range: Range<Int>? = nil) -> [UInt8] {
  let bytes = buffer.bytes.extracting(range ?? 0..<buffer.count)
  // SAFETY: the bytes are copied while the buffer lives.
  return unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }
}

/// A buffer that holds `bytes`.
func buffer(_ bytes: [UInt8]) -> Buffer {
  let buffer = Buffer(count: bytes.count)
  // SAFETY: the span is used while the array lives.
  unsafe buffer.copy(bytes.span.bytes, to: 0)
  return buffer
}

extension Tag {
  /// Needs root: attaches loop devices or mounts.
  @Tag static var root: Self
}

private let isCI = ProcessInfo.processInfo.environment["CI"] != nil

extension Trait where Self == ConditionTrait {
  /// Skips a test for everybody but root; in ci nobody else runs it.
  static var needsRoot: Self { .enabled(if: isCI || geteuid() == 0, "only root may attach devices") }

  /// Skips a test where a program is missing, which in ci is a failure.
  static func needs(_ programs: String...) -> Self {
    let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/sbin"
    let missing = programs.filter { program in
      !path.split(separator: ":").contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
      }
    }
    return .enabled(if: isCI || missing.isEmpty, "not installed: \(missing.joined(separator: ", "))")
  }
}

/// Runs a program that must succeed.
@discardableResult
func run(_ program: String, _ arguments: String...) throws -> String {
  try run(program, arguments)
}

@discardableResult
func run(_ program: String, _ arguments: [String]) throws -> String {
  let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/sbin"
  let command = try Command.run(program, arguments, environment: ["PATH": path])
  try #require(command.status == 0, "\(program) \(arguments): \(command.errors)")
  return command.output.trimmingCharacters(in: .whitespacesAndNewlines)
}

/// A loop device, detached with the last reference to it.
final class LoopDevice: Sendable {
  let path: String
  let file: String

  init(_ file: String, sectorSize: Int = 512) throws {
    self.file = file
    path = try run("losetup", "--find", "--show", "--sector-size=\(sectorSize)", file)
  }

  deinit {
    // A device that stays attached is detached when its file's last user lets go of it.
    _ = try? run("losetup", "--detach", path)
  }

  var name: String { FileSystem.name(of: path) }

  func status() throws -> File.Status { try #require(try File.status(path)) }
}

/// A random test's source of chance: the same seed gives the same test again.
struct Generator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// SplitMix64.
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }

  /// Seeds to be the arguments of a random test, so that a failure names its own; `CASYNC_TEST_SEED` gives it
  /// again.
  static func seeds(_ count: Int) -> [UInt64] {
    if let text = ProcessInfo.processInfo.environment["CASYNC_TEST_SEED"], let seed = UInt64(text) {
      return [seed]
    }
    return (0..<count).map { _ in UInt64.random(in: .min ... .max) }
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 11) }
  }
}
