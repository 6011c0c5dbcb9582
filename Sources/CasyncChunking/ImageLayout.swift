/// The ranges of a disk image that the image chunker cuts each for itself: the partitions and the gaps
/// between them (docs/formats/image-chunker.md).
package struct ImageLayout: Sendable, Equatable {
  /// The bytes of the stream that decide its layout: all of them when it is shorter.
  package static let headLength = 1 << 20

  /// One segment of the stream.
  package struct Range: Sendable, Equatable {
    /// The first byte.
    package let start: UInt64
    /// The byte after the last; `nil`: it ends with the stream. The stream may end before it, or before
    /// `start`.
    package let end: UInt64?
    /// The number of the table's entry, from 1; `nil` for a gap.
    package let partition: Int?

    package init(start: UInt64, end: UInt64?, partition: Int?) {
      self.start = start
      self.end = end
      self.partition = partition
    }
  }

  /// The partition table that was found, also when its ranges are of no use.
  package enum Table: Sendable, Equatable {
    case gpt(GPT)
    case mbr
  }

  /// What the primary header of a GPT says.
  package struct GPT: Sendable, Equatable {
    /// Bytes a sector: 512 or 4096.
    package let sectorSize: Int
    /// The sector of the backup header.
    package let alternateSector: UInt64
    /// The last sector that a partition may use.
    package let lastUsableSector: UInt64
    /// The bytes of an entry array, from `count * size` of its entries.
    package let entryArrayLength: Int

    /// Where the backup entry array starts in the image when it lies, as it should, just before the backup
    /// header.
    package var backupOffset: UInt64? {
      let sectors = UInt64((entryArrayLength + sectorSize - 1) / sectorSize)
      guard alternateSector >= sectors else { return nil }
      let (offset, overflow) = (alternateSector - sectors).multipliedReportingOverflow(by: UInt64(sectorSize))
      return overflow ? nil : offset
    }
  }

  /// Ascending and contiguous from 0 on; the last one is open-ended.
  package let segments: [Range]
  package let table: Table?

  /// A stream without a table: one segment.
  package static let undivided = ImageLayout(
    segments: [Range(start: 0, end: nil, partition: nil)], table: nil)

  private init(segments: [Range], table: Table?) {
    self.segments = segments
    self.table = table
  }

  /// The layout that `head`, the first 1 MiB of the stream (or all of a shorter one), describes.
  package init(head: RawSpan) {
    let ranges: [Range]?
    if let gpt = GPTHeader(head: head, sectorSize: 512) ?? GPTHeader(head: head, sectorSize: 4096) {
      table = .gpt(gpt.summary)
      ranges = gpt.ranges(head: head)
    } else if let partitions = Self.mbrRanges(head: head) {
      table = .mbr
      ranges = partitions
    } else {
      table = nil
      ranges = nil
    }
    segments = ranges.flatMap(Self.segments(of:)) ?? [Range(start: 0, end: nil, partition: nil)]
  }

  /// The ranges sorted, with the gaps between, before and after them; `nil` when two overlap.
  private static func segments(of ranges: [Range]) -> [Range]? {
    var segments: [Range] = []
    var position: UInt64 = 0
    for range in ranges.sorted(by: { $0.start < $1.start }) {
      guard range.start >= position, let end = range.end else { return nil }
      if range.start > position {
        segments.append(Range(start: position, end: range.start, partition: nil))
      }
      segments.append(range)
      position = end
    }
    segments.append(Range(start: position, end: nil, partition: nil))
    return segments
  }

  /// The ranges of an MBR's primary partitions; `nil` when this is no MBR.
  private static func mbrRanges(head: RawSpan) -> [Range]? {
    guard head.byte(at: 510) == 0x55, head.byte(at: 511) == 0xaa else { return nil }
    var ranges: [Range] = []
    for number in 1...4 {
      let entry = 446 + (number - 1) * 16
      guard let status = head.byte(at: entry), let type = head.byte(at: entry + 4),
        let start = head.word32(at: entry + 8), let count = head.word32(at: entry + 12)
      else { return nil }
      guard status == 0 || status == 0x80, type != 0xee else { return nil }
      guard type != 0, start != 0, count != 0 else { continue }
      // Both are 32-bit words: the end is below 2^42.
      ranges.append(
        Range(start: UInt64(start) * 512, end: (UInt64(start) + UInt64(count)) * 512, partition: number))
    }
    return ranges.isEmpty ? nil : ranges
  }
}

/// The primary header of a GPT that passed all its tests (UEFI 2.10, 5.3).
private struct GPTHeader {
  let sectorSize: Int
  let alternateSector: UInt64
  let lastUsableSector: UInt64
  let arrayOffset: Int
  let entryCount: Int
  let entrySize: Int

  var summary: ImageLayout.GPT {
    ImageLayout.GPT(
      sectorSize: sectorSize, alternateSector: alternateSector, lastUsableSector: lastUsableSector,
      entryArrayLength: entryCount * entrySize)
  }

  /// `nil` when there is no such header in sector 1 of `head`.
  init?(head: RawSpan, sectorSize: Int) {
    let base = sectorSize
    // "EFI PART"
    guard head.word(at: base) == 0x5452_4150_2049_4645,
      let headerSize = head.word32(at: base + 12).map(Int.init), 92...sectorSize ~= headerSize,
      headerSize <= head.byteCount - base,
      let alternate = head.word(at: base + 32), let lastUsable = head.word(at: base + 48),
      let arraySector = head.word(at: base + 72).flatMap(Int.init(exactly:)),
      let count = head.word32(at: base + 80).map(Int.init), count <= 1024,
      let size = head.word32(at: base + 84).map(Int.init), 128...4096 ~= size,
      arraySector <= ImageLayout.headLength / sectorSize
    else { return nil }
    let arrayOffset = arraySector * sectorSize
    let arrayEnd = arrayOffset + count * size
    guard arrayEnd <= ImageLayout.headLength, arrayEnd <= head.byteCount,
      // The header's own CRC, the word at 16, counts as zero.
      Self.crc(head, from: base, to: base + headerSize, blanking: base + 16) == head.word32(at: base + 16),
      Self.crc(head, from: arrayOffset, to: arrayEnd, blanking: nil) == head.word32(at: base + 88)
    else { return nil }
    self.sectorSize = sectorSize
    alternateSector = alternate
    lastUsableSector = lastUsable
    self.arrayOffset = arrayOffset
    entryCount = count
    entrySize = size
  }

  private static func crc(_ head: RawSpan, from start: Int, to end: Int, blanking word: Int?) -> UInt32 {
    var crc = CRC32()
    for offset in start..<end {
      let isBlank = word.map { $0..<$0 + 4 ~= offset } ?? false
      crc.update(isBlank ? 0 : head.byte(at: offset) ?? 0)
    }
    return crc.value
  }

  /// The ranges of the used entries; `nil` when one of them cannot be.
  func ranges(head: RawSpan) -> [ImageLayout.Range]? {
    var ranges: [ImageLayout.Range] = []
    for index in 0..<entryCount {
      let entry = arrayOffset + index * entrySize
      guard let typeLow = head.word(at: entry), let typeHigh = head.word(at: entry + 8),
        let first = head.word(at: entry + 32), let last = head.word(at: entry + 40)
      else { return nil }
      guard typeLow | typeHigh != 0 else { continue }
      // The end must fit 63 bits.
      guard first <= last, last < UInt64(Int64.max) / UInt64(sectorSize) else { return nil }
      ranges.append(
        ImageLayout.Range(
          start: first * UInt64(sectorSize), end: (last + 1) * UInt64(sectorSize), partition: index + 1))
    }
    return ranges
  }
}
