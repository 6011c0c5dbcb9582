import Testing

@testable import CasyncFormat

@Suite("Index")
struct IndexTests {
  @Test("casync's index of a one-byte blob decodes to its parts")
  func example() throws {
    let index = try decode(exampleIndex)
    #expect(index.flags == .blob(.sha512_256))
    #expect(index.flags.rawValue == 0xb000_0000_0000_0000)
    #expect(index.digest == .sha512_256)
    #expect(index.chunker == .buzhash(.standard))
    #expect(index.count == 1)
    #expect(index.size == 1)
    #expect(index.range(of: 0) == 0..<1)
    #expect(index.id(of: 0).hex == "6a1db6c1dd481f7aab2adb9c262b210edcca35624ec64c29ffca6857b1e30253")
  }

  @Test("what casync wrote for a one-byte blob is encoded byte for byte")
  func encodesExample() throws {
    let id = try #require(ChunkID(hex: "6a1db6c1dd481f7aab2adb9c262b210edcca35624ec64c29ffca6857b1e30253"))
    #expect(IndexSample(chunks: [(1, id)]).encoded == exampleIndex)
  }

  @Test("an empty stream has an index of 104 bytes, size 0 and no chunk")
  func empty() throws {
    #expect(emptyIndex.count == 104)
    #expect(IndexSample().encoded == emptyIndex)
    let index = try decode(emptyIndex)
    #expect(index.count == 0)
    #expect(index.size == 0)
    #expect(index.position(of: 0) == 0)
  }

  @Test("encoding what was decoded gives the same bytes", arguments: Generator.seeds(50))
  func roundTrip(seed: UInt64) throws {
    let sample = IndexSample.random(seed)
    let bytes = sample.encoded
    #expect(bytes.count == 104 + 40 * sample.chunks.count)
    let index = try decode(bytes)
    let decoded = IndexSample(
      flags: index.flags, chunker: index.chunker,
      chunks: (0..<index.count).map { (index.length(of: $0), index.id(of: $0)) })
    #expect(decoded.encoded == bytes)
    #expect(decoded.chunks.map(\.length) == sample.chunks.map(\.length))
    #expect(decoded.chunks.map(\.id) == sample.chunks.map(\.id))
    #expect(index.size == sample.chunks.reduce(0) { $0 + UInt64($1.length) })
  }

  @Test("every byte of the stream belongs to the chunk that is found for it", arguments: Generator.seeds(10))
  func positions(seed: UInt64) throws {
    let index = try decode(IndexSample.random(seed).encoded)
    for position in 0..<index.count {
      #expect(index.position(of: index.start(of: position)) == position)
      #expect(index.position(of: index.end(of: position) - 1) == position)
      #expect(index.range(of: position).count == index.length(of: position))
    }
    #expect(index.position(of: index.size) == index.count)
    #expect(index.position(of: .max) == index.count)
  }

  @Test("the digest bit alone says which digest names the chunks", arguments: DigestAlgorithm.allCases)
  func digest(algorithm: DigestAlgorithm) throws {
    let index = try decode(IndexSample(flags: .blob(algorithm)).encoded)
    #expect(index.digest == algorithm)
  }

  @Test("a writer writes flags as a reader wants them")
  func normalizes() throws {
    let index = try decode(IndexSample(flags: [.uids16, .uids32]).encoded)
    #expect(index.flags == .uids32)
  }

  @Test("an index cut by the image chunker says so in its header")
  func imageChunker() throws {
    let index = try decode(IndexSample(chunker: .imageDefault).encoded)
    #expect(index.chunker == .image(average: 32768))
    #expect(index.sizes == ChunkSizes(min: 4096, average: 32768, max: 131_073))
  }
}
