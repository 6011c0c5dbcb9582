/// SipHash-2-4 of a name, by which the items of a GOODBYE are found (docs/formats/catar.md, GOODBYE).
enum SipHash {
  /// The key of all archives, as two little-endian words.
  private static let key: (UInt64, UInt64) = (0x8574_442b_0f1d_84b3, 0x2736_ed30_d1c2_2ec1)

  static func hash(_ bytes: [UInt8]) -> UInt64 {
    var state = State(key.0, key.1)
    var word: UInt64 = 0
    for (index, byte) in bytes.enumerated() {
      word |= UInt64(byte) << UInt64(index % 8 * 8)
      if index % 8 == 7 {
        state.add(word)
        word = 0
      }
    }
    state.add(word | UInt64(truncatingIfNeeded: bytes.count) << 56)
    return state.finish()
  }

  private struct State {
    private var v0, v1, v2, v3: UInt64

    init(_ k0: UInt64, _ k1: UInt64) {
      v0 = k0 ^ 0x736f_6d65_7073_6575
      v1 = k1 ^ 0x646f_7261_6e64_6f6d
      v2 = k0 ^ 0x6c79_6765_6e65_7261
      v3 = k1 ^ 0x7465_6462_7974_6573
    }

    mutating func add(_ word: UInt64) {
      v3 ^= word
      round()
      round()
      v0 ^= word
    }

    mutating func finish() -> UInt64 {
      v2 ^= 0xff
      for _ in 0..<4 { round() }
      return v0 ^ v1 ^ v2 ^ v3
    }

    private mutating func round() {
      v0 = v0 &+ v1
      v1 = Self.rotated(v1, 13) ^ v0
      v0 = Self.rotated(v0, 32)
      v2 = v2 &+ v3
      v3 = Self.rotated(v3, 16) ^ v2
      v0 = v0 &+ v3
      v3 = Self.rotated(v3, 21) ^ v0
      v2 = v2 &+ v1
      v1 = Self.rotated(v1, 17) ^ v2
      v2 = Self.rotated(v2, 32)
    }

    private static func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 {
      word << count | word >> (64 - count)
    }
  }
}
