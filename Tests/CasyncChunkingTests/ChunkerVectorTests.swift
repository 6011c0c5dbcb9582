import CasyncFormat
import Foundation
import Testing

@testable import CasyncChunking

/// Tests/Vectors/chunker.json: what casync itself made of 14 inputs.
struct ChunkerVector: Decodable, CustomTestStringConvertible {
  struct Digests: Decodable {
    let chunk_ids: [String]
    let make_digest: String
  }

  let name: String
  let min: Int
  let avg: Int
  let max: Int
  let discriminator: UInt32
  let chunk_end_offsets: [UInt64]
  let digests: [String: Digests]
  let recipe: Recipe

  private enum Key: CodingKey { case name, min, avg, max, discriminator, chunk_end_offsets, digests }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    name = try values.decode(String.self, forKey: .name)
    min = try values.decode(Int.self, forKey: .min)
    avg = try values.decode(Int.self, forKey: .avg)
    max = try values.decode(Int.self, forKey: .max)
    discriminator = try values.decode(UInt32.self, forKey: .discriminator)
    chunk_end_offsets = try values.decode([UInt64].self, forKey: .chunk_end_offsets)
    digests = try values.decode([String: Digests].self, forKey: .digests)
    recipe = try Recipe(from: decoder)
  }

  var testDescription: String { name }

  static let all: [ChunkerVector] = {
    struct File: Decodable { let vectors: [ChunkerVector] }
    do {
      let data = try Data(contentsOf: vectorsDirectory.appendingPathComponent("chunker.json"))
      return try JSONDecoder().decode(File.self, from: data).vectors
    } catch {
      fatalError("Tests/Vectors/chunker.json: \(error)")
    }
  }()
}

@Suite("The vectors of casync's chunker")
struct ChunkerVectorTests {
  @Test("cuts, IDs and stream digest are casync's", arguments: ChunkerVector.all)
  func matches(vector: ChunkerVector) throws {
    let sizes = try #require(ChunkSizes(min: vector.min, average: vector.avg, max: vector.max))
    let isFixed = vector.min == vector.avg && vector.avg == vector.max
    if !isFixed { #expect(Discriminator(sizes).divisor == vector.discriminator) }
    let bytes = vector.recipe.bytes
    let cuts = cutSegment(bytes[...], .stream, .buzhash(sizes))
    #expect(cuts.map(\.end) == vector.chunk_end_offsets)
    for algorithm in DigestAlgorithm.allCases {
      let expected = try #require(vector.digests[algorithm.rawValue])
      var ids: [ChunkID] = []
      // SAFETY: the spans are used while the array lives.
      unsafe Digester(algorithm).digests(of: ranges(of: cuts), in: bytes.span.bytes, into: &ids)
      #expect(ids.map(\.hex) == expected.chunk_ids)
      var stream = StreamDigest(algorithm)
      unsafe stream.update(bytes.span.bytes)
      let digest = stream.finish().hex
      #expect(digest == expected.make_digest)
    }
  }

  @Test(
    "cuts do not depend on how the stream comes in pieces", arguments: ChunkerVector.all, [37, 1000, 65536])
  func isIndependentOfPieces(vector: ChunkerVector, length: Int) throws {
    let sizes = try #require(ChunkSizes(min: vector.min, average: vector.avg, max: vector.max))
    let bytes = vector.recipe.bytes.prefix(300_000)
    let whole = cutSegment(bytes, .stream, .buzhash(sizes))
    let pieces = cutSegment(bytes, .stream, .buzhash(sizes), pieces: .fixed(length))
    #expect(whole.map(\.end) == pieces.map(\.end))
  }
}
