import Foundation

/// The bytes of a test, as a recipe: segments one after the other, then patches.
struct Recipe: Decodable {
  enum Segment: Decodable {
    case random(seed: UInt64, length: Int)
    case fill(byte: UInt8, length: Int)

    private enum Key: String, CodingKey { case kind, seed, byte, length }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: Key.self)
      let length = try values.decode(Int.self, forKey: .length)
      switch try values.decode(String.self, forKey: .kind) {
      case "splitmix64": self = .random(seed: try values.decode(UInt64.self, forKey: .seed), length: length)
      default: self = .fill(byte: try values.decode(UInt8.self, forKey: .byte), length: length)
      }
    }
  }

  struct Patch: Decodable {
    let offset: Int
    let hex: String
  }

  let segments: [Segment]
  let patches: [Patch]?

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    for segment in segments {
      switch segment {
      case .random(let seed, let length): bytes += splitmix64(seed: seed, length: length)
      case .fill(let byte, let length): bytes += [UInt8](repeating: byte, count: length)
      }
    }
    for patch in patches ?? [] {
      let digits = Array(patch.hex.utf8)
      for index in 0..<digits.count / 2 {
        let pair = String(decoding: digits[index * 2..<index * 2 + 2], as: UTF8.self)
        bytes[patch.offset + index] = UInt8(pair, radix: 16) ?? 0
      }
    }
    return bytes
  }
}

/// The generator of the vectors (Tests/Vectors/README.md).
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
}

func splitmix64(seed: UInt64, length: Int) -> [UInt8] {
  var generator = SplitMix64(state: seed)
  return unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
    var offset = 0
    while offset < length {
      var word = generator.next()
      for _ in 0..<min(8, length - offset) {
        // SAFETY: offset is below length, the capacity.
        unsafe buffer[offset] = UInt8(truncatingIfNeeded: word)
        word >>= 8
        offset += 1
      }
    }
    count = length
  }
}

/// Tests/Vectors.
let vectorsDirectory = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Vectors")
