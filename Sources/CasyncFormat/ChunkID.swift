/// The name of a chunk: the 32-byte digest of its uncompressed bytes.
public struct ChunkID: Hashable, Sendable {
  /// The digest in four words, in memory order (the first word holds bytes 0 to 7, little-endian).
  package let words: InlineArray<4, UInt64>

  package init(words: InlineArray<4, UInt64>) {
    self.words = words
  }

  /// The digest held in the 32 bytes of `bytes` that start at `offset`; `nil` when there are fewer.
  package init?(_ bytes: RawSpan, at offset: Int = 0) {
    guard let a = bytes.word(at: offset), let b = bytes.word(at: offset + 8),
      let c = bytes.word(at: offset + 16), let d = bytes.word(at: offset + 24)
    else { return nil }
    words = [a, b, c, d]
  }

  /// The digest that `hex`, 64 lower-case hexadecimal digits, spells; `nil` for anything else.
  public init?(hex: some StringProtocol) {
    var bytes = [UInt8]()
    var high: UInt8?
    for digit in hex.utf8 {
      let nibble: UInt8
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): nibble = digit - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): nibble = digit - UInt8(ascii: "a") + 10
      default: return nil
      }
      if let upper = high {
        bytes.append(upper << 4 | nibble)
        high = nil
      } else {
        high = nibble
      }
    }
    guard high == nil, bytes.count == 32 else { return nil }
    self.init(bytes.rawSpan)
  }

  /// The 64 lower-case hexadecimal digits of the digest.
  public var hex: String {
    // SAFETY: all 64 bytes of the string are written.
    unsafe String(unsafeUninitializedCapacity: 64) { digits in
      for index in 0..<32 {
        let byte = UInt8(truncatingIfNeeded: words[index / 8] >> UInt64(index % 8 * 8))
        unsafe digits[2 * index] = Self.digit(byte >> 4)
        unsafe digits[2 * index + 1] = Self.digit(byte & 15)
      }
      return 64
    }
  }

  private static func digit(_ nibble: UInt8) -> UInt8 {
    nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
  }

  public static func == (a: ChunkID, b: ChunkID) -> Bool {
    a.words[0] == b.words[0] && a.words[1] == b.words[1] && a.words[2] == b.words[2]
      && a.words[3] == b.words[3]
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(words[0])
  }
}

extension ChunkID: CustomStringConvertible {
  public var description: String { hex }
}
