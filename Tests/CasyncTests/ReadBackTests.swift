import CasyncFormat
import CasyncIO
import TestSupport
import Testing

@testable import Casync

/// An image that stands on its target, and ranges of it that were written, in order, the boot area last.
private struct Written {
  static let boot: UInt64 = 20 * 4096
  let assembly: Assembly
  var ranges: [Range<UInt64>] = []

  init(_ generator: inout Generator) throws {
    let image = generator.image(Int.random(in: 1_000_000...3_000_000, using: &generator))
    assembly = try Assembly(
      Scratch(.memory), old: image, new: image,
      lengths: AssemblerTests.lengths(image.count, upTo: 40_000, &generator), blockSize: 4096)
    var offset = Self.boot
    while offset < assembly.index.size {
      let end = min(offset + 4096 * UInt64.random(in: 1...40, using: &generator), assembly.index.size)
      // Half of them follow one another.
      if Bool.random(using: &generator) || ranges.last?.upperBound == offset { ranges.append(offset..<end) }
      offset = end
    }
  }

  /// Lengths of the chunks that hold a byte that was written.
  var length: UInt64 {
    let index = assembly.index
    return (0..<index.count).reduce(0) { sum, position in
      let chunk = index.range(of: position)
      let isWritten = (ranges + [0..<Self.boot]).contains { $0.overlaps(chunk) }
      return isWritten ? sum + chunk.length : sum
    }
  }

  /// Reads all of it back, as a get does: the body while it is written, the rest at the end.
  func readBack(stretch: UInt64) throws -> UInt64 {
    let (index, target) = (assembly.index, assembly.target)
    let loader = SlabLoader(
      index: index, target: target, old: OldContent(target), seeds: [], fetcher: assembly.fetcher)
    return try WorkerPool.with(count: 2, context: { loader.context() }) { workers in
      try WorkerPool<Void>.with(count: 1, context: {}) { thread in
        let reader = MediumReader(index, target, zeros: ZeroChunks(of: index), workers, Cancellation())
        let readBack = ReadBack(reader, 0..<index.size, on: thread, stretchLength: stretch)
        readBack.begin(Self.boot..<index.size)
        for range in ranges { try readBack.add(range) }
        return try readBack.finish(ranges + [0..<Self.boot], Progress())
      }
    }
  }
}

@Suite("ReadBack")
struct ReadBackTests {
  @Test(
    "each chunk that was written is read once, however much is read at one time",
    arguments: Generator.seeds(4), [4096, 300_000, UInt64.max])
  func once(seed: UInt64, stretch: UInt64) throws {
    var generator = Generator(seed: seed)
    let written = try Written(&generator)
    #expect(try written.readBack(stretch: stretch) == written.length, "seed \(seed)")
  }

  @Test(
    "a byte that is not what was written is found, wherever it is",
    arguments: Generator.seeds(8), [4096, 300_000, UInt64.max])
  func damage(seed: UInt64, stretch: UInt64) throws {
    var generator = Generator(seed: seed)
    let written = try Written(&generator)
    let range = try #require((written.ranges + [0..<Written.boot]).randomElement(using: &generator))
    let place = UInt64.random(in: range, using: &generator)
    let file = try File.open(written.assembly.target.path, .readWrite)
    let byte = Buffer(count: 1)
    byte.copy([~written.assembly.new[Int(place)]].rawSpan, to: 0)
    try file.write(byte, 0..<1, at: place)
    let error = #expect(throws: JobError.self) { try written.readBack(stretch: stretch) }
    #expect(error?.code == .notVerified, "seed \(seed)")
  }
}
