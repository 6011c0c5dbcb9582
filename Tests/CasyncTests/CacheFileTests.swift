import CasyncIO
import Foundation
import TestSupport
import Testing

@testable import Casync

@Suite("A cache file")
struct CacheFileTests {
  let scratch: Scratch
  let image: [UInt8]

  init() throws {
    scratch = try Scratch()
    var random = Generator(seed: 7)
    // Data that comes twice, zeros, and an end that is no whole sector.
    let data = random.bytes(300_000)
    image = data + [UInt8](repeating: 0, count: 400_000) + data + random.bytes(100_001)
    try scratch.put(image)
  }

  private func keeping(_ name: String = "cache", _ prefetch: Prefetch = .none) -> ImageReader.Keeping {
    var keeping = ImageReader.Keeping()
    keeping.cacheFile = scratch(name)
    keeping.prefetch = prefetch
    return keeping
  }

  private func expectImage(on disk: Disk) throws {
    let bytes = try disk.bytes(0..<disk.size)
    #expect(bytes.starts(with: image) && bytes[image.count...].allSatisfy { $0 == 0 })
  }

  @Test("keeps what was read, and needs no store when it has all")
  func complete() throws {
    try scratch.withDisk(keeping: keeping()) { disk in
      #expect(disk.places(of: 0..<4096) == nil)
      try expectImage(on: disk)
    }
    try FileManager.default.removeItem(atPath: scratch("store"))
    try scratch.withDisk(keeping: keeping()) { disk in
      try expectImage(on: disk)
      let places = try #require(disk.places(of: 0..<disk.size))
      #expect(places.map(\.range.lowerBound).dropFirst() == places.map(\.range.upperBound).dropLast()[...])
      #expect(places.contains { $0.file == nil && $0.range.upperBound - $0.range.lowerBound > 300_000 })
    }
    // It is the image.
    let file = try Data(contentsOf: URL(filePath: scratch("cache")))
    #expect(Array(file.prefix(image.count)) == image)
  }

  @Test("gives only chunks that it has, and asks for a chunk that comes twice once")
  func partial() throws {
    let middle = UInt64(100_000)..<UInt64(200_000)
    let first = try scratch.withDisk(keeping: keeping()) { disk in
      _ = try disk.bytes(middle)
      return disk.image.supply.summary.fetchedChunks
    }
    let second = try scratch.withDisk(keeping: keeping()) { disk in
      let again = try disk.bytes(700_000 + middle.lowerBound..<700_000 + middle.upperBound)
      #expect(again == Array(image[100_000..<200_000]))
      return disk.image.supply.summary.fetchedChunks
    }
    #expect(first > 0 && second <= 4, "\(first), then \(second)")
    try scratch.removeChunks(of: "image")
    try scratch.withDisk(keeping: keeping()) { disk in
      let bytes = try disk.bytes(middle)
      #expect(bytes == Array(image[100_000..<200_000]))
      #expect(throws: JobError.self) { try disk.bytes(900_000..<1_000_000) }
    }
  }

  @Test("claims nothing that is not there when it is killed at any moment")
  func killed() throws {
    try scratch.withDisk(keeping: keeping()) { disk in
      for step in 0..<20 {
        let start = UInt64(step * 50_000)
        _ = try disk.bytes(start..<start + 10_000)
        let copy = scratch("copy \(step)")
        try FileManager.default.copyItem(atPath: scratch("cache"), toPath: copy)
        try scratch.withDisk(keeping: keeping("copy \(step)")) { try expectImage(on: $0) }
        try FileManager.default.removeItem(atPath: copy)
      }
    }
  }

  @Test("belongs to one image, and is in use by one program")
  func refusals() throws {
    try scratch.put([UInt8](repeating: 1, count: image.count), "other")
    try scratch.withDisk(keeping: keeping()) { disk in
      #expect(throws: JobError.self) { try scratch.withDisk(keeping: keeping()) { _ in } }
      try expectImage(on: disk)
    }
    #expect(throws: JobError.self) { try scratch.withDisk("other", keeping: keeping()) { _ in } }
    #expect(throws: JobError.self) { try scratch.withDisk(overlay: "cache") { _ in } }
  }

  @Test("is filled by a prefetch of everything")
  func prefetch() throws {
    try scratch.withDisk(keeping: keeping("cache", .all)) { disk in
      while disk.places(of: 0..<disk.size) == nil { sched_yield() }
      #expect(disk.image.supply.summary.reads == 0)
    }
    try FileManager.default.removeItem(atPath: scratch("store"))
    try scratch.withDisk(keeping: keeping()) { try expectImage(on: $0) }
  }

  @Test("lies under an overlay, both read as the files they are")
  func overlay() throws {
    try scratch.withDisk(overlay: "overlay", keeping: keeping()) { disk in
      try disk.write([1, 2, 3], at: 350_000)
      #expect(try disk.bytes(349_999..<350_004) == [0, 1, 2, 3, 0])
      _ = try disk.bytes(0..<disk.size)
      // What was read is kept after it was handed out.
      while disk.places(of: 0..<disk.size) == nil { sched_yield() }
      let places = try #require(disk.places(of: 0..<disk.size))
      #expect(Set(places.compactMap { $0.file?.path }) == [scratch("cache"), scratch("overlay")])
    }
  }
}
