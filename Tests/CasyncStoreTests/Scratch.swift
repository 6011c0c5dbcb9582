import CasyncChunking
import CasyncFormat
import CasyncIO
import Foundation

@testable import CasyncStore

/// A directory of a test's own, removed with the last reference to it.
final class Scratch: Sendable {
  let path: String

  init() throws {
    path =
      FileManager.default.temporaryDirectory.appendingPathComponent("casync-store-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    // What could not be removed lies in the temporary directory.
    try? FileManager.default.removeItem(atPath: path)
  }

  subscript(name: String) -> String { "\(path)/\(name)" }

  /// A file that holds `bytes`, in directories that are made.
  @discardableResult
  func file(_ name: String, _ bytes: [UInt8] = []) throws -> String {
    let url = URL(fileURLWithPath: self[name])
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: url)
    return url.path
  }

  func link(_ name: String, to target: String) throws {
    try FileManager.default.createDirectory(
      at: URL(fileURLWithPath: self[name]).deletingLastPathComponent(), withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(atPath: self[name], withDestinationPath: target)
  }

  /// Makes a file as old as that.
  func age(_ name: String, hours: Int) throws {
    let date = Date(timeIntervalSinceNow: -3600 * Double(hours))
    try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: self[name])
  }

  /// Paths of all files below, sorted.
  func files() throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: path).filter {
      try File.status(self[$0])?.kind != .directory
    }.sorted()
  }
}

/// What lies in the file at `path`.
func contents(_ path: String) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// A chunk of `length` bytes; equal seeds give equal chunks.
struct Chunk: Sendable {
  let bytes: [UInt8]
  let id: ChunkID

  init(_ seed: Int, length: Int = 1000) {
    var state = UInt64(truncatingIfNeeded: seed) &* 0x9e37_79b9_7f4a_7c15
    let bytes = (0..<length).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 60)
    }
    self.bytes = bytes
    id = Digester(.sha256).digest(bytes.rawSpan)
  }

  func compressed(_ compression: Compression = .zstd) throws -> [UInt8] {
    var output: [UInt8] = []
    try Compressor(compression).compress(bytes.rawSpan, into: &output)
    return output
  }

  /// Path below the store, without suffix.
  var name: String { "\(id.hex.prefix(4))/\(id.hex)" }
}

extension LocalStoreWriter {
  @discardableResult
  func add(_ chunk: Chunk) throws -> Bool {
    let compressed = try chunk.compressed()
    return try add(chunk.id, compressed: compressed.rawSpan)
  }
}
