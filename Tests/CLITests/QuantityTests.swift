import Testing

@testable import CasyncCLI
@testable import CasyncFormat

@Suite("Quantities")
struct QuantityTests {
  @Test(
    "of bytes are read as casync reads them",
    arguments: [
      ("0", 0), ("17", 17), ("1B", 1), ("64K", 65536), ("1.5K", 1536), ("1G2M", 1_075_838_976),
      ("1 G 2 M", 1_075_838_976),
      (" 7 ", 7), ("1.K", 1024), ("16E", nil), ("2M1G", nil), ("1k", nil), (".5K", nil), ("", nil),
      ("K", nil),
      ("-1", nil), ("1KK", nil), ("18446744073709551615", .max), ("18446744073709551616", nil), ("1KiB", nil),
    ] as [(String, UInt64?)])
  func sizes(_ text: String, _ size: UInt64?) {
    #expect(Quantity.size(text) == size)
  }

  @Test(
    "of time take d, h, m and s",
    arguments: [
      ("0", 0), ("90", 90), ("24h", 86400), ("1d12h", 129_600), ("1.5m", 90), ("1x", nil), ("", nil),
    ] as [(String, Int?)])
  func times(_ text: String, _ seconds: Int?) {
    #expect(Quantity.time(text) == seconds.map { .seconds($0) })
  }

  @Test("are booleans in any of casync's words")
  func booleans() {
    #expect(["1", "yes", "Y", "true", "t", "ON"].allSatisfy { Quantity.boolean($0) == true })
    #expect(["0", "no", "N", "false", "f", "off"].allSatisfy { Quantity.boolean($0) == false })
    #expect(["", "2", "maybe", "yes "].allSatisfy { Quantity.boolean($0) == nil })
  }

  @Test(
    "of bytes are written with one decimal",
    arguments: [
      (0, "0 B", "0B"), (1023, "1023 B", "1023B"), (1024, "1.0 KiB", "1.0K"),
      (300_000, "293.0 KiB", "292.9K"),
      (1_048_575, "1.0 MiB", "1023.9K"), (1_288_490_189, "1.2 GiB", "1.2G"), (.max, "16.0 EiB", "15.9E"),
    ] as [(UInt64, String, String)])
  func bytes(_ count: UInt64, _ long: String, _ short: String) {
    #expect(Quantity.bytes(count) == long)
    #expect(Quantity.short(count) == short)
  }

  @Test(
    "of time are written in the units that matter",
    arguments: [
      (0.0, "0.0 s", "0s"), (0.44, "0.4 s", "0s"), (12.3, "12 s", "12s"), (187, "3:07", "3m7s"),
      (3723, "1:02:03", "1h2m3s"), (-5, "0.0 s", "0s"),
    ] as [(Double, String, String)])
  func durations(_ seconds: Double, _ text: String, _ go: String) {
    #expect(Quantity.duration(.seconds(seconds)) == text)
    #expect(Quantity.goDuration(.seconds(seconds)) == go)
  }

  @Test(
    "of chunks are auto, an average or three sizes in order",
    arguments: [
      ("auto", "16384:65536:262144"), ("64000", "16000:64000:256000"), ("64K", "16384:65536:262144"),
      ("3", "1:3:12"),
      ("128M", "33554432:134217728:134217728"), ("1K:2K:4K", "1024:2048:4096"), ("0", nil), ("129M", nil),
      ("1:2", nil), ("4:2:3", nil), ("1:2:3:4", nil), ("auto:64K:auto", nil), ("0:1:2", nil), ("", nil),
      (":64K:", nil),
    ] as [(String, String?)])
  func chunkSizes(_ text: String, _ sizes: String?) {
    // A text that is no size throws; the transcripts have the message.
    #expect((try? ChunkSizes.parse(text))?.description == sizes)
  }
}
