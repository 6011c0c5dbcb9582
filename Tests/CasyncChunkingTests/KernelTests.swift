import CasyncFormat
import Testing

@testable import CasyncChunking

/// Bytes to try kernels on: random, with constant and zero stretches of many lengths.
func mixedBytes(seed: UInt64, length: Int) -> [UInt8] {
  var random = SplitMix64(state: seed)
  var bytes = splitmix64(seed: seed, length: length)
  for _ in 0..<length / 3000 {
    let start = Int.random(in: 0..<length, using: &random)
    let end = min(length, start + Int.random(in: 1...6000, using: &random))
    let byte: UInt8 = Bool.random(using: &random) ? 0 : .random(in: 0...255, using: &random)
    for index in start..<end { bytes[index] = byte }
  }
  return bytes
}

@Suite("Kernels against their twins in Swift")
struct KernelTests {
  /// Lengths around the window, the lanes and the rounds of the kernels.
  static let lengths =
    Array(0...50) + [
      63, 64, 127, 128, 175, 176, 177, 178, 303, 304, 305, 306, 559, 560, 1000, 4095, 4096, 4097,
    ]
    + [16431, 16432, 16433, 32303, 32304, 32305, 32306, 64559, 64560, 64561, 64562, 100_003]

  /// The candidates that a tier finds, or the oracle.
  static func hits(
    _ bytes: [UInt8], from start: Int, _ discriminator: Discriminator, tier: CPUTier?
  ) -> [Int] {
    var candidates = Candidates(pieceLength: bytes.count)
    // SAFETY: the buffer is used inside the closure.
    unsafe bytes.withUnsafeBytes { buffer in
      let part = unsafe UnsafeRawBufferPointer(rebasing: buffer[start...])
      if let tier {
        unsafe Buzhash.search(part, discriminator, shift: start, tier: tier, into: &candidates)
      } else {
        unsafe Buzhash.searchPlain(part, discriminator, shift: start, into: &candidates)
      }
    }
    var all: [Int] = []
    while let next = candidates.first(atLeast: (all.last ?? -1) + 1) { all.append(next) }
    return all
  }

  @Test(
    "every tier finds the same candidates", arguments: CPUTier.available, [49535, 24680, 3075, 4096, 40, 1])
  func buzhash(tier: CPUTier, divisor: UInt32) {
    let discriminator = Discriminator(divisor: divisor)
    for length in Self.lengths where length < 5000 || divisor > 40 {
      let bytes = mixedBytes(seed: UInt64(length), length: length + length % 67)
      let start = length % 67
      let found = Self.hits(bytes, from: start, discriminator, tier: tier)
      #expect(found == Self.hits(bytes, from: start, discriminator, tier: nil), "length \(length)")
    }
  }

  @Test("the hash is that of the format's check values")
  func checkValues() {
    let windows: [(bytes: [UInt8], hash: UInt32)] = [
      ([UInt8](repeating: 0, count: 48), 0x9e48_9e48), ([UInt8](repeating: 0xff, count: 48), 0xfdc4_023b),
      (Array(0..<48), 0x6b67_dec6), ([UInt8](repeating: 0x61, count: 48), 0x0d7c_0d7c),
    ]
    for window in windows {
      // The hash is a cut for a divisor one above it, and for no other of these.
      let right = Discriminator(divisor: window.hash + 1)
      let wrong = Discriminator(divisor: window.hash + 2)
      for tier in CPUTier.available {
        #expect(Self.hits(window.bytes, from: 0, right, tier: tier) == [48])
        #expect(Self.hits(window.bytes, from: 0, wrong, tier: tier) == [])
      }
    }
  }

  @Test("a hash of 2^32 - 1 is no false cut")
  func falseHit() {
    for divisor in [3, 49535, 24680] as [UInt32] where UInt64(1) << 32 % UInt64(divisor) != 0 {
      #expect(!Discriminator(divisor: divisor).matches(.max))
    }
    #expect(Discriminator(divisor: 4096).matches(.max))
    #expect(Discriminator(divisor: 1).matches(.max))
  }

  @Test(
    "the quick test of a hash is the division", arguments: [1, 2, 3, 48, 49535, 24680, 4096, 134_217_728])
  func discriminator(divisor: UInt32) {
    let discriminator = Discriminator(divisor: divisor)
    var random = SplitMix64(state: UInt64(divisor))
    for _ in 0..<2000 {
      let any = UInt32(truncatingIfNeeded: random.next())
      for hash in [any, any / divisor &* divisor &- 1] {
        #expect(discriminator.matches(hash) == (hash % divisor == divisor - 1))
      }
    }
  }

  @Test("every tier hashes blocks alike and finds the zeros", arguments: CPUTier.available)
  func blocks(tier: CPUTier) {
    var bytes = mixedBytes(seed: 5, length: 70 * 4096 + 3)
    for index in 0..<4096 { bytes[index + 8192] = 0xff }
    for index in 0..<12288 { bytes[index + 20480] = 0 }
    bytes[20480 + 4095] = 1
    bytes[20480 + 4096] = 128
    // SAFETY: the buffers are used inside the closure.
    unsafe bytes.withUnsafeBytes { buffer in
      for (start, end) in [(0, bytes.count), (1, bytes.count), (0, 4096), (0, 0), (5, 4101), (7, 4000)] {
        let piece = unsafe UnsafeRawBufferPointer(rebasing: buffer[start..<end])
        let (hashes, zeros) = unsafe hashBlocks(of: piece, tier: tier)
        let (expected, expectedZeros) = unsafe hashBlocks(of: piece, tier: .portable)
        #expect(hashes == expected)
        #expect(zeros == expectedZeros)
        #expect(unsafe ZeroBlocks(of: piece, tier: tier) == expectedZeros)
      }
    }
  }

  @Test("the zero test sees every single byte", arguments: CPUTier.available)
  func zeroTest(tier: CPUTier) {
    for length in [0, 1, 7, 31, 32, 33, 63, 64, 65, 255, 256, 257, 300, 511, 577] {
      var bytes = [UInt8](repeating: 0, count: length + 2)
      bytes[0] = 1
      bytes[length + 1] = 1
      func test() -> Bool {
        // SAFETY: the buffer is used inside the closure.
        unsafe bytes.withUnsafeBytes { buffer in
          unsafe isZero(UnsafeRawBufferPointer(rebasing: buffer[1...length]), tier: tier)
        }
      }
      if length > 0 { #expect(test()) }
      for index in stride(from: 1, through: length, by: 1) {
        bytes[index] = 0x80
        #expect(!test(), "length \(length), byte \(index)")
        bytes[index] = 0
      }
    }
  }

  @Test("a tier by name, and the names that are refused")
  func tierNames() throws {
    #expect(try CPUTier(environment: nil) == .detected)
    #expect(try CPUTier(environment: "") == .detected)
    #expect(try CPUTier(environment: "portable") == .portable)
    #expect(throws: CPUTierError(value: "sse", isKnown: false)) { try CPUTier(environment: "sse") }
    for tier in CPUTier.allCases where tier > .detected {
      #expect(throws: CPUTierError(value: tier.rawValue, isKnown: true)) {
        try CPUTier(environment: tier.rawValue)
      }
    }
  }
}
