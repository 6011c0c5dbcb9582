import CasyncFormat
import Testing

@testable import CasyncChunking

@Suite("The layout of an image")
struct ImageLayoutTests {
  static func layout(_ bytes: [UInt8]) -> ImageLayout {
    // SAFETY: the span is used while the array lives.
    unsafe ImageLayout(head: bytes.span.bytes.extracting(0..<min(bytes.count, ImageLayout.headLength)))
  }

  static func vector(_ name: String) throws -> [UInt8] {
    try #require(ImageVector.all.first { $0.name == name }).recipe.bytes
  }

  @Test("a GPT tells its sectors and where its backup lies", arguments: [512, 4096])
  func gpt(sectorSize: Int) throws {
    let layout = Self.layout(try Self.vector("gpt-\(sectorSize)"))
    guard case .gpt(let gpt) = layout.table else {
      Issue.record("no GPT")
      return
    }
    // What make-image-vectors writes.
    #expect(gpt.sectorSize == sectorSize)
    #expect(gpt.alternateSector == 8191)
    #expect(gpt.lastUsableSector == 8158)
    #expect(gpt.entryArrayLength == 128 * 128)
    #expect(gpt.backupOffset == UInt64((8191 - 16384 / sectorSize) * sectorSize))
    #expect(layout.segments.compactMap(\.partition) == [1, 2, 8])
    let ext = try #require(layout.segments.first { $0.partition == 2 })
    #expect(ext.start == 80 * 4096)
    #expect(ext.end == UInt64((159 * (4096 / sectorSize) + 1) * sectorSize))
  }

  @Test("a void table is still told, and its stream is one segment")
  func void() throws {
    let layout = Self.layout(try Self.vector("gpt-overlap-mbr"))
    guard case .gpt = layout.table else {
      Issue.record("no GPT")
      return
    }
    #expect(layout.segments == [.init(start: 0, end: nil, partition: nil)])
  }

  @Test("an MBR has its entries' numbers")
  func mbr() throws {
    let layout = Self.layout(try Self.vector("mbr"))
    #expect(layout.table == .mbr)
    #expect(layout.segments.map(\.partition) == [nil, 1, 2, nil])
  }

  @Test("hostile heads do not trap, and their segments are in order")
  func hostile() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SplitMix64(state: seed)
    let names = ["gpt-512", "gpt-4096", "mbr", "gpt-bad-512-good-4096", "gpt-1024-entries"]
    for name in names {
      let original = Array(try Self.vector(name).prefix(140_000))
      for round in 0..<60 {
        var bytes = original
        // The tables' fields, with values at the edges; the CRCs then mostly fail, so some are set right.
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          let offset =
            [446, 510, 512, 512 + 72, 1024, 4096, 4096 + 72, 8192].randomElement(using: &random) ?? 0
          let edges: [UInt64] = [0, 1, .max, 1 << 63, 1 << 32, random.next()]
          let word = edges.randomElement(using: &random) ?? 0
          let start = offset + Int.random(in: 0...56, using: &random)
          for index in 0..<8 { bytes[start + index] = UInt8(truncatingIfNeeded: word >> UInt64(8 * index)) }
        }
        if Bool.random(using: &random) { Self.repairGPT(&bytes, sectorSize: 512) }
        if Bool.random(using: &random) { Self.repairGPT(&bytes, sectorSize: 4096) }
        if round % 3 == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &random)) }
        let layout = Self.layout(bytes)
        var position: UInt64 = 0
        for segment in layout.segments {
          #expect(segment.start == position, "seed \(seed)")
          position = segment.end ?? position
          #expect(segment.end.map { $0 > segment.start } ?? true, "seed \(seed)")
        }
        #expect(layout.segments.last?.end == nil, "seed \(seed)")
      }
    }
  }

  /// Sets both CRCs of the header in sector 1 right, where its fields allow that.
  static func repairGPT(_ bytes: inout [UInt8], sectorSize base: Int) {
    func word(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) } }
    func crc(_ start: Int, _ count: Int) -> [UInt8] {
      var crc = CRC32()
      for byte in bytes[start..<start + count] { crc.update(byte) }
      return (0..<4).map { UInt8(truncatingIfNeeded: crc.value >> UInt32(8 * $0)) }
    }
    let start = word(base + 72) * base
    let count = word(base + 80).multipliedReportingOverflow(by: word(base + 84)).partialValue
    if word(base + 76) == 0, count >= 0, start <= bytes.count, count <= bytes.count - start, count < 1 << 17 {
      bytes.replaceSubrange(base + 88..<base + 92, with: crc(start, count))
    }
    let size = word(base + 12)
    guard 92...4096 ~= size else { return }
    bytes.replaceSubrange(base + 16..<base + 20, with: [0, 0, 0, 0])
    bytes.replaceSubrange(base + 16..<base + 20, with: crc(base, size))
  }
}
