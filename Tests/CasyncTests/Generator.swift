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

  /// Random bytes, eight at a time.
  mutating func bytes(_ count: Int) -> [UInt8] {
    let words = (0..<count / 8 + 1).map { _ in next() }
    // SAFETY: the bytes are copied while the array lives.
    return unsafe words.withUnsafeBytes { unsafe [UInt8]($0.prefix(count)) }
  }

  /// Something like an image: stretches of data, of zeros, and of data that was there before.
  mutating func image(_ size: Int) -> [UInt8] {
    var image: [UInt8] = []
    while image.count < size {
      let length = Int.random(in: 1...max(1, min(300_000, size / 4)), using: &self)
      // Half of all stretches end with a block.
      let end = Bool.random(using: &self) ? (image.count + length + 4095) / 4096 * 4096 : image.count + length
      let count = min(end, size) - image.count
      switch Int.random(in: 0..<5, using: &self) {
      case 0: image += [UInt8](repeating: 0, count: count)
      case 1 where image.count > count:
        let start = Int.random(in: 0...image.count - count, using: &self)
        image += image[start..<start + count]
      default: image += bytes(count)
      }
    }
    return image
  }

  /// The image after an update: parts replaced, and parts moved.
  mutating func update(_ image: [UInt8]) -> [UInt8] {
    var new = image
    for _ in 0..<4 {
      let length = Int.random(in: 1...max(1, image.count / 8), using: &self)
      let place = Int.random(in: 0...image.count - length, using: &self)
      switch Int.random(in: 0..<3, using: &self) {
      case 0: new.replaceSubrange(place..<place + length, with: bytes(length))
      case 1:
        let from = Int.random(in: 0...image.count - length, using: &self)
        new.replaceSubrange(place..<place + length, with: image[from..<from + length])
      default: new = Array(new[place...] + new[..<place])
      }
    }
    return new
  }
}
