import Testing

@testable import CasyncFormat

@Suite("FeatureFlags")
struct FeatureFlagsTests {
  @Test(
    "what one flag implies is set, what it replaces is clear",
    arguments: [
      (0, 0), (0x3, 0x2), (0x1, 0x1), (0x78, 0x20), (0x58, 0x10), (0x48, 0x8), (0x40, 0x40), (0x180, 0x100),
      (0x80, 0x80), (0x2000_0000, 0x2000_0006), (0x2000_0001, 0x2000_0001), (0x2000_0004, 0x2000_0004),
      (0x2000_0182, 0x2000_0002), (0x2000_0080, 0x2000_0006), (0x800_0000, 0xc00_0000),
      (0x400_0000, 0x400_0000),
      (0x10_0000, 0x10_0000), (0x8000_0000_0010_0000, 0x8000_0000_0000_0000), (0x1_0000_0000, 0x1_0000_0000),
      (0xb000_0000_0000_1f09, 0xb000_0000_0000_1f09),
    ] as [(UInt64, UInt64)])
  func normalized(raw: UInt64, expected: UInt64) {
    #expect(FeatureFlags(rawValue: raw).normalized.rawValue == expected)
  }

  @Test("normalising twice changes nothing, and never makes an unknown flag", arguments: Generator.seeds(5))
  func idempotent(seed: UInt64) {
    var generator = Generator(seed: seed)
    for _ in 0..<2000 {
      let flags = FeatureFlags(rawValue: generator.next()).intersection(.known)
      #expect(flags.normalized.normalized == flags.normalized, "\(flags.rawValue)")
      #expect(flags.normalized.isSubset(of: .known))
    }
  }

  @Test(
    "a blob has casync's flags",
    arguments: [(.sha512_256, 0xb), (.sha256, 0x9)] as [(DigestAlgorithm, UInt64)])
  func blob(digest: DigestAlgorithm, top: UInt64) {
    #expect(FeatureFlags.blob(digest).rawValue == top << 60)
    #expect(FeatureFlags.blob(digest).digest == digest)
  }
}
