import Testing

@testable import Casync
@testable import CasyncCLI

@Suite("A summary")
struct SummaryTests {
  @Test("of get has a row for each source that gave something")
  func get() {
    var summary = GetSummary()
    summary.size = 4 << 20
    summary.chunks = 128
    summary.shares[Source.seed.rawValue] = .init(chunks: 96, bytes: 3 << 20)
    summary.shares[Source.store.rawValue] = .init(chunks: 32, bytes: 1 << 20)
    summary.writtenBytes = 4 << 20
    summary.fetchedBytes = 400_000
    summary.duration = .seconds(2)
    #expect(
      summary.table == """
        source    bytes  share  chunks
        seed    3.0 MiB  75.0%      96
        store   1.0 MiB  25.0%      32
        image   4.0 MiB            128
        written 4.0 MiB, zeroed 0 B, skipped 0 B, cloned 0 B, fetched 390.6 KiB, read back 0 B
        2.0 s, 2.0 MiB/s
        """)
  }

  @Test("of verify has a line for each stretch that differs")
  func verify() {
    let summary = VerifySummary(
      size: 4096, differences: [.init(range: 512..<1024), .init(range: 4000..<4096)])
    #expect(summary.lines == "512-1024  512 bytes differ\n4000-4096  96 bytes differ\n")
    #expect(
      summary.json.text
        == "{\"identical\":false,\"size\":4096,\"differences\":[{\"offset\":512,\"length\":512},"
        + "{\"offset\":4000,\"length\":96}]}")
  }

  @Test("of gc is casync's")
  func collection() {
    let summary = CollectionSummary(
      references: 51, usedChunks: 45, removed: ["ab.cacnk"], removedBytes: 10, removedDirectories: 1,
      remaining: 45,
      spared: 0, warnings: [])
    #expect(ReferenceLines.afterCollection(summary, dryRun: false, verbose: false) == "")
    #expect(
      ReferenceLines.afterCollection(summary, dryRun: true, verbose: false)
        == "Would remove 1 chunks, 45 chunks remaining.\n")
    #expect(
      ReferenceLines.afterCollection(summary, dryRun: false, verbose: true) == """
        Chunk store usage: 51 references, 45 chunks
        Removing chunk ab.cacnk.
        Removed 1 chunks, 1 directories, 45 chunks remaining.

        """)
  }
}
