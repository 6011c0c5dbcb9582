import CasyncFormat
import CasyncIO
import Foundation
import TestSupport
import Testing

@testable import Casync

@Suite("An overlay")
struct OverlayTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  /// One random change, to the disk and to the bytes it should have then.
  private func change(_ disk: Disk, _ model: inout [UInt8], _ random: inout Generator) throws {
    let start = Int.random(in: 0..<model.count, using: &random)
    var range = start..<Int.random(in: start + 1...min(model.count, start + 30_000), using: &random)
    if Bool.random(using: &random) {
      range = range.lowerBound / 4096 * 4096..<min(model.count, (range.upperBound + 4095) / 4096 * 4096)
    }
    let place = UInt64(range.lowerBound)..<UInt64(range.upperBound)
    switch Int.random(in: 0..<4, using: &random) {
    case 0:
      let bytes = random.bytes(range.count)
      try disk.write(bytes, at: place.lowerBound)
      model.replaceSubrange(range, with: bytes)
    case 1:
      try disk.zero(place, keepsRoom: false)
      model.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
    case 2:
      try disk.zero(place, keepsRoom: true)
      model.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
    default:
      try disk.trim(place)
      let first = (range.lowerBound + 4095) / 4096 * 4096
      let end = range.upperBound == model.count ? model.count : range.upperBound / 4096 * 4096
      if first < end { model.replaceSubrange(first..<end, with: [UInt8](repeating: 0, count: end - first)) }
    }
  }

  @Test(
    "holds every change, over one image and again after it is opened again", arguments: Generator.seeds(3))
  func model(_ seed: UInt64) throws {
    var random = Generator(seed: seed)
    var model = random.image(700_000 + Int.random(in: 0..<5000, using: &random))
    try scratch.put(model) { $0.chunker = seed % 2 == 0 ? .image(average: 16384) : .buzhash(.standard) }
    model += [UInt8](repeating: 0, count: (512 - model.count % 512) % 512)
    for _ in 0..<3 {
      try scratch.withDisk(overlay: "overlay") { disk in
        #expect(disk.size == UInt64(model.count))
        for _ in 0..<40 {
          try change(disk, &model, &random)
          let start = Int.random(in: 0..<model.count, using: &random)
          let range = start..<Int.random(in: start + 1...min(model.count, start + 50_000), using: &random)
          let read = try disk.bytes(UInt64(range.lowerBound)..<UInt64(range.upperBound))
          #expect(read == Array(model[range]), "seed \(seed)")
        }
        #expect(try disk.bytes(0..<disk.size) == model, "seed \(seed)")
        let extents = disk.extents(in: 0..<disk.size, limit: .max)
        var offset = 0
        for extent in extents {
          let end = offset + Int(extent.length)
          if extent.isZero { #expect(model[offset..<end].allSatisfy { $0 == 0 }, "seed \(seed)") }
          offset = end
        }
        #expect(offset == model.count)
      }
    }
  }

  /// Makes the overlay one of another boot: what a power cut leaves, at best.
  private func reboot(_ overlay: String) throws {
    let file = try File.open(scratch(overlay), .readWrite)
    // In front of the recent map and the header, of a page each.
    let size = try file.status().size
    try file.write([UInt8]("another boot".utf8).rawSpan, at: size - 3 * 4096)
  }

  @Test(
    "has all changes at whatever moment it is killed, and after a power cut what was flushed",
    arguments: Generator.seeds(3))
  func killed(_ seed: UInt64) throws {
    var random = Generator(seed: seed)
    var flushed = random.image(400_000 / 4096 * 4096)
    try scratch.put(flushed)
    try scratch.withDisk(overlay: "overlay") { disk in
      for round in 0..<8 {
        for _ in 0..<10 { try change(disk, &flushed, &random) }
        try disk.flush()
        // What a kill leaves is what the file holds now. After a power cut changes that nobody flushed are there
        // or not.
        var later = flushed
        var seen = [later]
        for _ in 0..<random.next() % 5 {
          try change(disk, &later, &random)
          seen.append(later)
        }
        try FileManager.default.copyItem(atPath: scratch("overlay"), toPath: scratch("copy \(round)"))
        try scratch.withDisk(overlay: "copy \(round)") { copy in
          let isRight = try copy.bytes(0..<copy.size) == later
          #expect(isRight, "seed \(seed)")
        }
        try FileManager.default.removeItem(atPath: scratch("copy \(round)"))
        try FileManager.default.copyItem(atPath: scratch("overlay"), toPath: scratch("copy \(round)"))
        try reboot("copy \(round)")
        try scratch.withDisk(overlay: "copy \(round)") { copy in
          let bytes = try copy.bytes(0..<copy.size)
          for place in bytes.indices where bytes[place] != flushed[place] {
            #expect(seen.contains { $0[place] == bytes[place] }, "seed \(seed)")
          }
        }
        flushed = later
      }
    }
  }

  @Test("makes a durable write last without a flush")
  func durable() throws {
    try scratch.put([UInt8](repeating: 1, count: 100_000))
    try scratch.withDisk(overlay: "overlay") { disk in
      try disk.write([9, 9, 9], at: 5000, isDurable: true)
      try FileManager.default.copyItem(atPath: scratch("overlay"), toPath: scratch("copy"))
      try reboot("copy")
    }
    let bytes = try scratch.withDisk(overlay: "copy") { try $0.bytes(4999..<5004) }
    #expect(bytes == [1, 9, 9, 9, 1])
  }

  @Test("is refused over another image, and what is no overlay is left alone")
  func refusals() throws {
    try scratch.put([UInt8](repeating: 1, count: 100_000))
    try scratch.put([UInt8](repeating: 2, count: 100_000), "other")
    try scratch.withDisk(overlay: "overlay") { disk in
      try disk.write([9], at: 0)
      #expect(throws: JobError.self) { try scratch.withDisk(overlay: "overlay") { _ in } }
    }
    #expect(throws: JobError.self) { try scratch.withDisk("other", overlay: "overlay") { _ in } }
    try Data("something else".utf8).write(to: URL(filePath: scratch("file")))
    #expect(throws: JobError.self) { try scratch.withDisk(overlay: "file") { _ in } }
    #expect(try Data(contentsOf: URL(filePath: scratch("file"))) == Data("something else".utf8))
    // Killed before its header was there it counts as empty.
    let file = try File.open(scratch("new"), [.readWrite, .create])
    try file.setSize(1 << 20)
    try scratch.withDisk(overlay: "new") { disk in try disk.write([9], at: 0) }
    let bytes = try scratch.withDisk(overlay: "new") { try $0.bytes(0..<2) }
    #expect(bytes == [9, 1])
  }

  @Test("fails a partial write whose block cannot be had, and takes one of whole blocks")
  func missingBase() throws {
    var random = Generator(seed: 1)
    try scratch.put(random.bytes(200_000))
    try scratch.removeChunks(of: "image")
    try scratch.withDisk(overlay: "overlay") { disk in
      #expect(throws: JobError.self) { try disk.write([1], at: 100) }
      let block = random.bytes(8192)
      try disk.write(block, at: 8192)
      try disk.write([1], at: 8192)
      #expect(try disk.bytes(8193..<16384) == Array(block[1...]))
    }
  }
}
