import CasyncFormat
import Testing

@testable import CasyncChunking

@Suite("Segments")
struct SegmentCutterTests {
  @Test("a hole of a tebibyte takes no time but its cuts", arguments: [SegmentKind.byte, .block])
  func hugeHole(kind: SegmentKind) {
    let average = 1 << 20
    let content = splitmix64(seed: 1, length: 8192)
    var cutter = SegmentCutter(kind: kind, chunker: .image(average: average))
    var cuts: [Cut] = []
    // SAFETY: the spans are used while the array lives.
    cutter.join(unsafe cutter.scan(content.span.bytes, lookbehind: 0, offset: 0), into: &cuts)
    cutter.join(cutter.scanHole(length: 1 << 40, offset: 8192), into: &cuts)
    let after = [UInt8](repeating: 0, count: 47) + content
    cutter.join(unsafe cutter.scan(after.span.bytes, lookbehind: 47, offset: 8192 + (1 << 40)), into: &cuts)
    cutter.finish(into: &cuts)
    let maximum = UInt64(4 * average)
    #expect(cuts.count == 1 + Int((1 << 40) / maximum) + 1)
    #expect(cuts.first == Cut(end: 8192, isZero: false))
    #expect(cuts[1] == Cut(end: 8192 + maximum, isZero: true))
    #expect(cuts[cuts.count - 2] == Cut(end: 8192 + (1 << 40), isZero: true))
    #expect(cuts.last == Cut(end: 8192 + (1 << 40) + 8192, isZero: false))
  }

  @Test("whole chunks of zeros in a stream are told")
  func streamZeros() {
    let bytes = splitmix64(seed: 1, length: 5000) + [UInt8](repeating: 0, count: 1 << 20)
    let cuts = cutSegment(bytes[...], .stream, .buzhash(.standard), pieces: .fixed(65536))
    expectZeros(cuts, bytes, runs: Array(1..<cuts.count))
  }

  @Test(
    "discriminators are casync's",
    arguments: [
      (1024, 768), (4096, 3075), (16384, 12318), (32768, 24680), (65536, 49535), (131072, 99777),
      (262_144, 202_440), (1_048_576, 886_711), (4_194_304, 5_721_670), (9_437_184, 37_748_736),
    ])
  func discriminators(average: Int, divisor: UInt32) throws {
    #expect(Discriminator(try #require(ChunkSizes(average: average))).divisor == divisor)
  }

  @Test("bytes that match everywhere are held in a bitmap")
  func denseCandidates() {
    var dense = Candidates(pieceLength: 10_000)
    let positions = Array(stride(from: 3, to: 9_000, by: 3)) + [9_999, 10_000]
    for position in positions { dense.append(position) }
    var found: [Int] = []
    while let next = dense.first(atLeast: (found.last ?? -1) + 1) { found.append(next) }
    #expect(found == positions)
    #expect(dense.first(atLeast: -5) == 3)
    #expect(dense.first(atLeast: 10_001) == nil)
  }
}
