import CasyncFormat
import Foundation

/// A random test's source of chance: the same seed gives the same test again.
struct Generator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// SplitMix64.
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }

  /// Seeds to be the arguments of a random test, so that a failure names its own; `CASYNC_TEST_SEED` gives it
  /// again.
  static func seeds(_ count: Int) -> [UInt64] {
    if let text = ProcessInfo.processInfo.environment["CASYNC_TEST_SEED"], let seed = UInt64(text) {
      return [seed]
    }
    return (0..<count).map { _ in UInt64.random(in: .min ... .max) }
  }
}

/// The bytes that hexadecimal digits spell; blanks and what follows a `#` on a line are left out.
func bytes(hex: String) -> [UInt8] {
  let digits = hex.split(separator: "\n").flatMap { $0.prefix { $0 != "#" }.filter(\.isHexDigit) }
  return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
    UInt8(String(digits[$0...$0 + 1]), radix: 16)
  }
}

extension ChunkID {
  static func random(using generator: inout Generator) -> ChunkID {
    ChunkID(words: [generator.next(), generator.next(), generator.next(), generator.next()])
  }
}
