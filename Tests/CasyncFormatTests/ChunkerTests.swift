import Testing

@testable import CasyncFormat

@Suite("Chunker")
struct ChunkerTests {
  @Test(
    "a header names the image chunker by its three sizes",
    arguments: [16384, 24576, 32768, 1_040_384, 1 << 20])
  func image(average: Int) throws {
    let sizes = try #require(ChunkSizes(min: 4096, average: average, max: 4 * average + 1))
    let chunker = Chunker(headerSizes: sizes)
    #expect(chunker == .image(average: average))
    #expect(chunker.headerSizes == sizes)
    #expect(chunker.maximumChunk == 4 * average)
    #expect(Chunker.image(checking: average) == chunker)
  }

  @Test(
    "every other header means buzhash",
    arguments: [
      (16384, 65536, 262_144), (4096, 32768, 131_072), (4096, 32768, 131_074), (4095, 32768, 131_073),
      (4097, 32768, 131_073), (4096, 8192, 32769), (4096, 20480, 81921), (4096, 32769, 131_077),
      (4096, 1_056_768, 4_227_073), (1, 1, 1), (48, 48, 48),
      (128 << 20, 128 << 20, 128 << 20),
    ] as [(Int, Int, Int)])
  func buzhash(min: Int, average: Int, max: Int) throws {
    let sizes = try #require(ChunkSizes(min: min, average: average, max: max))
    let chunker = Chunker(headerSizes: sizes)
    #expect(chunker == .buzhash(sizes))
    #expect(chunker.headerSizes == sizes)
    #expect(chunker.maximumChunk == max)
  }

  @Test(
    "the image chunker takes multiples of 8 KiB from 16 KiB to 1 MiB",
    arguments: [0, -8192, 8192, 16383, 16385, 20480, (1 << 20) - 1, (1 << 20) + 8192, .max, .min])
  func imageRejects(average: Int) {
    #expect(Chunker.image(checking: average) == nil)
  }

  @Test("its default average is 32 KiB")
  func imageDefault() {
    #expect(Chunker.imageDefault == .image(average: 32768))
  }
}

@Suite("ChunkSizes")
struct ChunkSizesTests {
  @Test(
    "sizes from 1 byte to 128 MiB in rising order are allowed",
    arguments: [(1, 1, 1), (1, 2, 3), (16384, 65536, 262_144), (128 << 20, 128 << 20, 128 << 20)]
      as [(Int, Int, Int)])
  func allowed(min: Int, average: Int, max: Int) {
    let sizes = ChunkSizes(min: min, average: average, max: max)
    #expect(sizes.map { "\($0)" } == "\(min):\(average):\(max)")
  }

  @Test(
    "any others are not",
    arguments: [
      (0, 1, 1), (2, 1, 3), (1, 3, 2), (-1, 1, 1), (1, 1, 128 << 20 | 1), (1, 128 << 20 | 1, 128 << 20 | 1),
      (.min, 1, 1), (1, 1, .max),
    ] as [(Int, Int, Int)])
  func refused(min: Int, average: Int, max: Int) {
    #expect(ChunkSizes(min: min, average: average, max: max) == nil)
  }

  @Test(
    "an average alone gives a quarter and four times of it, within the limits",
    arguments: [
      (1, 1, 4), (3, 1, 12), (4, 1, 16), (8, 2, 32), (65536, 16384, 262_144), (32 << 20, 8 << 20, 128 << 20),
      (64 << 20, 16 << 20, 128 << 20), (128 << 20, 32 << 20, 128 << 20),
    ] as [(Int, Int, Int)])
  func fromAverage(average: Int, min: Int, max: Int) {
    #expect(ChunkSizes(average: average) == ChunkSizes(min: min, average: average, max: max))
  }

  @Test("an average out of range gives none", arguments: [0, -1, 128 << 20 | 1, .max, .min])
  func badAverage(average: Int) {
    #expect(ChunkSizes(average: average) == nil)
  }

  @Test("casync's default is 16 KiB, 64 KiB, 256 KiB")
  func standard() {
    #expect(ChunkSizes.standard == ChunkSizes(average: 65536))
  }
}
