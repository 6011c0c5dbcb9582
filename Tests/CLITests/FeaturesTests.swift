import Testing

@testable import CasyncCLI
@testable import CasyncFormat

@Suite("Feature flags")
struct FeaturesTests {
  /// From `casync make` 2 (Debian 2+20201210) with these options, `od -j16 -N8` of the index.
  @Test(
    "of a blob's index are those that casync 2 writes",
    arguments: [
      ("", 0xb000_0000_0000_0000), ("--with=unix", 0xb000_0000_0000_1f09),
      ("--with=unix --without=fifos", 0xb000_0000_0000_1709), ("--without=unix", 0xb000_0000_0000_0000),
      ("--with=best", 0xb000_0001_ffef_fe26), ("--with=all", 0xb000_0001_ffef_fe26),
      ("--with=flag-nodump", 0xb000_0000_0000_0000),
      ("--with=flag-nodump --exclude-nodump=no", 0x3000_0000_0010_0000),
      ("--exclude-submounts=yes --exclude-file=no", 0xe000_0000_0000_0000),
      ("--with=acl", 0xb000_0000_2000_0006), ("--with=unix --with=all --without=acl", 0xb000_0001_dfef_ff26),
      ("--without=fifos --with=fifos", 0xb000_0000_0000_0000),
    ] as [(String, UInt64)])
  func flags(_ options: String, _ value: UInt64) throws {
    let words = ["make"] + options.split(separator: " ").map(String.init)
    guard case .verb(let arguments) = try Parser.parse(words) else {
      Issue.record("no verb in \(words)")
      return
    }
    #expect(Features.flags(for: arguments, digest: .sha512_256).normalized.rawValue == value)
  }
}
