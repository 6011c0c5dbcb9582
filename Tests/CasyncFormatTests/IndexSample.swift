@testable import CasyncFormat

/// An index as its parts, to be encoded.
struct IndexSample {
  var flags = FeatureFlags.blob(.sha512_256)
  var chunker = Chunker.buzhash(.standard)
  var chunks: [(length: Int, id: ChunkID)] = []

  var encoded: [UInt8] {
    var bytes = IndexEncoder.header(flags: flags, chunker: chunker)
    var encoder = IndexEncoder()
    for chunk in chunks { encoder.append(length: chunk.length, id: chunk.id, to: &bytes) }
    encoder.appendTail(to: &bytes)
    return bytes
  }

  static func random(_ seed: UInt64) -> IndexSample {
    var generator = Generator(seed: seed)
    var sample = IndexSample()
    sample.flags = FeatureFlags(rawValue: generator.next()).intersection(.known).normalized
    if Bool.random(using: &generator) {
      sample.chunker = .image(average: 8192 * Int.random(in: 2...128, using: &generator))
    } else {
      let sizes = (0..<3).map { _ in Int.random(in: 1...ChunkSizes.limit, using: &generator) }.sorted()
      sample.chunker =
        ChunkSizes(min: sizes[0], average: sizes[1], max: sizes[2]).map(Chunker.buzhash) ?? sample.chunker
    }
    for _ in 0..<Int.random(in: 0...40, using: &generator) {
      let length = Int.random(in: 1...sample.chunker.maximumChunk, using: &generator)
      sample.chunks.append((length, .random(using: &generator)))
    }
    return sample
  }
}

func decode(_ bytes: [UInt8]) throws(IndexError) -> Index {
  try Index(decoding: bytes.rawSpan)
}

extension Index {
  /// Everything that an index says.
  func isSame(as other: Index) -> Bool {
    flags == other.flags && sizes == other.sizes && count == other.count && items == other.items
  }
}

/// spec/index.md's complete example: the one-byte blob `78` as casync 2 indexes it, SHA-512/256.
let exampleIndex = bytes(
  hex: """
    30 00 00 00 00 00 00 00  f9 9f 12 7b 9c 4d 82 96
    00 00 00 00 00 00 00 b0  00 40 00 00 00 00 00 00
    00 00 01 00 00 00 00 00  00 00 04 00 00 00 00 00
    ff ff ff ff ff ff ff ff  7d 41 17 2f 11 9e 5b e7
    01 00 00 00 00 00 00 00  6a 1d b6 c1 dd 48 1f 7a
    ab 2a db 9c 26 2b 21 0e  dc ca 35 62 4e c6 4c 29
    ff ca 68 57 b1 e3 02 53  00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00  30 00 00 00 00 00 00 00
    60 00 00 00 00 00 00 00  d1 ec 49 55 0e 05 4f 4b
    """)

/// The index of no bytes at all.
let emptyIndex = bytes(
  hex: """
    30 00 00 00 00 00 00 00  f9 9f 12 7b 9c 4d 82 96
    00 00 00 00 00 00 00 b0  00 40 00 00 00 00 00 00
    00 00 01 00 00 00 00 00  00 00 04 00 00 00 00 00
    ff ff ff ff ff ff ff ff  7d 41 17 2f 11 9e 5b e7
    00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
    30 00 00 00 00 00 00 00  38 00 00 00 00 00 00 00
    d1 ec 49 55 0e 05 4f 4b
    """)
