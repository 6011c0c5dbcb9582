internal import CasyncFormat

/// The test that makes a hash of casync's chunker a cut: `hash mod d == d - 1` (docs/formats/buzhash.md).
///
/// Most hashes are told off by a multiplication: with `d = 2^k * m`, m odd, a word g is a multiple of d
/// exactly when `rotateRight(g * inverse(m), k) <= (2^32 - 1) / d`. Here `g = hash + 1`, which wraps to 0 for
/// the hash 2^32 - 1: a false hit, so every hit is confirmed by division.
struct Discriminator: Sendable {
  /// The divisor d: at least 1.
  let divisor: UInt32
  /// The inverse of d's odd part modulo 2^32.
  let inverse: UInt32
  /// The number of factors 2 in d.
  let rotation: UInt32
  /// (2^32 - 1) / d.
  let limit: UInt32

  /// The divisor that casync computes from the average, in double arithmetic, clamped to minimum and maximum
  /// (casync cachunker.c, `CA_CHUNKER_DISCRIMINATOR_FROM_AVG` and its use).
  init(_ sizes: ChunkSizes) {
    let average = Double(sizes.average)
    let exact = average / (-1.42888852e-7 * average + 1.33237515)
    // Negative (averages from 9,324,557 on) stands for infinity; the maximum clamps both.
    let clamped = exact < 0 || exact >= Double(sizes.max) ? sizes.max : Int(exact)
    self.init(divisor: UInt32(max(clamped, sizes.min)))
  }

  init(divisor: UInt32) {
    precondition(divisor > 0)
    self.divisor = divisor
    rotation = UInt32(divisor.trailingZeroBitCount)
    let odd = divisor >> rotation
    // Newton's iteration doubles the right bits each time; an odd number is its own inverse modulo 8.
    var inverse = odd
    for _ in 0..<4 { inverse = inverse &* (2 &- odd &* inverse) }
    self.inverse = inverse
    limit = UInt32.max / divisor
  }

  /// Whether `hash` is a cut.
  @inline(__always)
  func matches(_ hash: UInt32) -> Bool {
    let product = (hash &+ 1) &* inverse
    guard product &>> rotation | product &<< (32 &- rotation) <= limit else { return false }
    return hash % divisor == divisor - 1
  }
}
