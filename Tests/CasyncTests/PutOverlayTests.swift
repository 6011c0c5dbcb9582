import CasyncFormat
import CasyncIO
import Foundation
import TestSupport
import Testing

@testable import Casync

@Suite("A put of an overlay")
struct PutOverlayTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func putOverlay() throws -> PutSummary {
    let put = PutRequest(input: "", index: scratch("new.index"), store: scratch("store"))
    return try PutOverlayRequest(put, base: scratch("image.index"), overlay: scratch("overlay"))
      .run(Progress())
  }

  /// Puts what the disk shows in the usual way, and compares the indexes.
  private func expectSame(as bytes: [UInt8], _ comment: Comment) throws {
    let chunker = try scratch.index().chunker
    try scratch.put(bytes, "full", store: "full store") { $0.chunker = chunker }
    let (new, full) = (try scratch.index("new"), try scratch.index("full"))
    #expect(new.count == full.count && new.tableDigest == full.tableDigest, comment)
    try scratch.get("new", to: "copy")
    #expect(try [UInt8](Data(contentsOf: URL(filePath: scratch("copy")))) == bytes, comment)
  }

  /// Something like a file system: its magic number, then blocks.
  private func fileSystem(_ size: Int, _ random: inout Generator) -> [UInt8] {
    var image = random.image(size)
    image.replaceSubrange(1080..<1082, with: [0x53, 0xef])
    image.replaceSubrange(1048..<1052, with: [2, 0, 0, 0])
    return image
  }

  @Test("makes the index that a put of the whole disk makes", arguments: Generator.seeds(6))
  func same(_ seed: UInt64) throws {
    var random = Generator(seed: seed)
    let size = (6 << 20) / 512 * 512 + 512 * Int.random(in: 0..<9, using: &random)
    let image =
      switch seed % 3 {
      case 0: random.image(size)
      default: fileSystem(size, &random)
      }
    let chunkers = [
      Chunker.image(average: 16384), .buzhash(ChunkSizes(average: 16384) ?? .standard),
      .image(average: 32768),
    ]
    try scratch.put(image) { $0.chunker = chunkers[Int(seed / 3 % 3)] }
    let changed = try scratch.withDisk(overlay: "overlay") { disk in
      for _ in 0..<Int.random(in: 0..<8, using: &random) {
        let start = Int.random(in: 0..<size, using: &random)
        let end = Int.random(in: start + 1...min(size, start + 100_000), using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: try disk.zero(UInt64(start)..<UInt64(end))
        case 1: try disk.write(Array(image[start..<end]), at: UInt64(start))
        default: try disk.write(random.bytes(end - start), at: UInt64(start))
        }
      }
      return try disk.bytes(0..<disk.size)
    }
    _ = try putOverlay()
    try expectSame(as: changed, "seed \(seed)")
  }

  @Test("reads no chunk that is far from a change")
  func unread() throws {
    var random = Generator(seed: 3)
    let image = fileSystem(12 << 20, &random)
    try scratch.put(image)
    var changed = image
    try scratch.withDisk(overlay: "overlay") { disk in
      for place in [3 << 20, 9 << 20] {
        let bytes = random.bytes(10_000)
        try disk.write(bytes, at: UInt64(place + 100))
        changed.replaceSubrange(place + 100..<place + 10_100, with: bytes)
      }
    }
    // What must not be read is no chunk any more; only that it is there counts.
    let index = try scratch.index()
    var spoilt = [(path: String, bytes: Data)]()
    for position in 0..<index.count {
      let place = Int(index.start(of: position))
      guard place > 1 << 20, [3 << 20, 9 << 20].allSatisfy({ abs(place - $0) > 1 << 20 }) else { continue }
      let path = scratch.chunkPath(index.id(of: position))
      let bytes = try Data(contentsOf: URL(filePath: path))
      if bytes.count > 1 { spoilt.append((path, bytes)) }
      try Data("x".utf8).write(to: URL(filePath: path))
    }
    #expect(spoilt.count > 100)
    let summary = try putOverlay()
    #expect(summary.newChunks < 20)
    for (path, bytes) in spoilt { try bytes.write(to: URL(filePath: path)) }
    try expectSame(as: changed, "spoilt chunks")
  }

  @Test("cuts all again when the partition table changes, and sees a new file system")
  func layout() throws {
    var random = Generator(seed: 4)
    let image = random.bytes(3 << 20)
    try scratch.put(image)
    var changed = image
    try scratch.withDisk(overlay: "overlay") { disk in
      var table = [UInt8](repeating: 0, count: 512)
      // One partition of type 83 from 1 MiB on, 1 MiB long; docs/formats/image-chunker.md, MBR.
      table.replaceSubrange(446..<462, with: [0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0])
      table[510] = 0x55
      table[511] = 0xaa
      let system = fileSystem(8192, &random)
      for (bytes, offset) in [(table, 0), (system, 1 << 20)] {
        try disk.write(bytes, at: UInt64(offset))
        changed.replaceSubrange(offset..<offset + bytes.count, with: bytes)
      }
    }
    _ = try putOverlay()
    try expectSame(as: changed, "new partition")
  }

  @Test("of an image that is no whole sector has the zeros that the disk has")
  func odd() throws {
    var random = Generator(seed: 5)
    try scratch.put(random.bytes(100_001))
    let changed = try scratch.withDisk(overlay: "overlay") { disk in
      try disk.write([1, 2], at: 100_100)
      return try disk.bytes(0..<disk.size)
    }
    _ = try putOverlay()
    try expectSame(as: changed, "100001 bytes")
  }

  @Test("needs the overlay, the base's chunks, and nobody else at the overlay")
  func refusals() throws {
    var random = Generator(seed: 6)
    try scratch.put(random.bytes(3 << 20))
    #expect(throws: SystemError.self) { try putOverlay() }
    try scratch.withDisk(overlay: "overlay") { disk in
      try disk.write([1], at: 0)
      #expect(throws: JobError.self) { try putOverlay() }
    }
    let index = try scratch.index()
    try FileManager.default.removeItem(atPath: scratch.chunkPath(index.id(of: index.count - 1)))
    let error = #expect(throws: JobError.self) { try putOverlay() }
    #expect(error?.code == .missingChunk)
    #expect(!FileManager.default.fileExists(atPath: scratch("new.index")))
  }
}
