import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore
import Foundation
import TestSupport
import Testing

@testable import Casync

private let isCI = ProcessInfo.processInfo.environment["CI"] != nil

extension Trait where Self == ConditionTrait {
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

/// The digest of `bytes`.
func digest(_ bytes: [UInt8], _ algorithm: DigestAlgorithm = .sha256) -> ChunkID {
  Digester(algorithm).digest(bytes.rawSpan)
}

/// An index of chunks.
func makeIndex(
  _ chunks: [(length: Int, id: ChunkID)], chunker: Chunker, digest: DigestAlgorithm = .sha256
) throws -> Index {
  var bytes = IndexEncoder.header(flags: .blob(digest), chunker: chunker)
  var encoder = IndexEncoder()
  for chunk in chunks { encoder.append(length: chunk.length, id: chunk.id, to: &bytes) }
  encoder.appendTail(to: &bytes)
  return try Index(decoding: bytes.rawSpan)
}

extension Scratch {
  /// Writes `bytes`, every run of whole blocks of zeros left out as a hole.
  @discardableResult
  func writeSparse(_ bytes: [UInt8], to name: String) throws -> String {
    let file = try File.open(self(name), [.readWrite, .create, .truncate])
    try file.setSize(UInt64(bytes.count))
    let buffer = Buffer(count: bytes.count)
    buffer.copy(bytes.rawSpan, to: 0)
    for start in stride(from: 0, to: bytes.count, by: 4096) {
      let block = start..<min(start + 4096, bytes.count)
      let isZero = CasyncChunking.isZero(buffer.bytes.extracting(block))
      if !isZero { try file.write(buffer, block, at: UInt64(start)) }
    }
    return self(name)
  }

  /// Puts an image whose file, index and store get the names given.
  @discardableResult
  func put(
    _ bytes: [UInt8], _ name: String = "image", store: String = "store",
    _ change: (inout PutRequest) -> Void = { _ in }
  ) throws -> PutSummary {
    let input = try writeSparse(bytes, to: name)
    var request = PutRequest(input: input, index: self(name + ".index"), store: self(store))
    request.chunker = .image(average: 16384)
    change(&request)
    return try request.run(Progress())
  }

  /// Gets an image by its index.
  @discardableResult
  func get(
    _ name: String = "image", to target: String, stores: [String] = ["store"],
    _ change: (inout GetRequest) -> Void = { _ in }
  ) throws -> GetSummary {
    var request = GetRequest(
      index: self(name + ".index"), target: self(target), stores: stores.map { self($0) })
    request.stateDirectory = nil
    change(&request)
    return try request.run(Progress())
  }

  func index(_ name: String = "image") throws -> Index { try IndexFile.read(self(name + ".index")) }

  /// Chunk files of a store, below it.
  func chunks(_ store: String = "store") throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: self(store)).filter { $0.hasSuffix(".cacnk") }
      .sorted()
  }

  /// Where a store keeps a chunk.
  func chunkPath(_ id: ChunkID, store: String = "store") -> String {
    self("\(store)/\(id.hex.prefix(4))/\(id).cacnk")
  }

  /// Removes from a store what an index names.
  func removeChunks(of name: String, store: String = "store") throws {
    let index = try index(name)
    for position in 0..<index.count { try FileSystem.remove(chunkPath(index.id(of: position), store: store)) }
  }
}
