import CasyncChunking
import CasyncFormat
import CasyncIO

/// A stretch of an image that is searched for cuts on its own: data in memory, or a hole that is not read.
struct Piece {
  /// Number of the segment it lies in.
  let segment: Int
  /// The cutter of that segment as it is at the segment's start; only its `scan` is used.
  let cutter: SegmentCutter
  /// Where the segment starts in the image.
  let segmentStart: UInt64
  /// Where the piece starts in the image.
  let offset: UInt64
  let length: UInt64
  /// Holds the data right after its headroom; `nil` for a hole.
  let data: PieceBuffer?
}

/// Divides an image into pieces, front to back, none of which crosses a segment of its layout.
///
/// A piece starts at a multiple of 4096 bytes from its segment's start and, unless it ends the segment, is as
/// long as a multiple of 4096. The 47 bytes before a data piece stand in its headroom.
struct PieceReader {
  /// Bytes in a piece; a segment's kind and the layout are decided from less.
  static let pieceLength = 2 << 20
  /// Shorter holes are read as data: skipping one costs two system calls and a piece of its own. It must also
  /// be so long that every cut before it is certain at its end, since the bytes before a hole are not carried
  /// past it.
  private let shortestHole: UInt64

  private let input: ImageInput
  private let chunker: Chunker
  private let segments: [ImageLayout.Range]
  private var segment = 0
  private var cutter: SegmentCutter?
  private var offset: UInt64 = 0
  private var lookbehind: (bytes: Buffer, count: Int) = (Buffer(count: 64), 0)
  private(set) var isAtEnd = false
  /// Bytes that were not read because they are holes.
  private(set) var holeBytes: UInt64 = 0

  init(_ input: ImageInput, chunker: Chunker) throws {
    self.input = input
    self.chunker = chunker
    guard case .image(let average) = chunker else {
      segments = ImageLayout.undivided.segments
      shortestHole = .max
      return
    }
    shortestHole = Self.shortestHole(average)
    let head = Buffer(count: ImageLayout.headLength)
    let count = try input.peek(into: head)
    segments = ImageLayout(head: head.bytes.extracting(0..<count)).segments
  }

  /// Begins in the middle, at a cut, as if a segment of that kind began there.
  init(_ input: ImageInput, chunker: Chunker, from offset: UInt64, _ kind: SegmentKind) {
    self.input = input
    self.chunker = chunker
    if case .image(let average) = chunker {
      shortestHole = Self.shortestHole(average)
    } else {
      shortestHole = .max
    }
    segments = [ImageLayout.Range(start: offset, end: nil, partition: nil)]
    cutter = SegmentCutter(kind: kind, chunker: chunker)
    self.offset = offset
  }

  // A block is decided when average / 8192 blocks after it are known (docs/formats/image-chunker.md, radius).
  private static func shortestHole(_ average: Int) -> UInt64 { UInt64(max(64 << 10, average / 2)) }

  /// The next piece; `nil` at the end of the image.
  /// - Parameter buffer: memory for it; not used for a hole.
  mutating func next(into buffer: PieceBuffer) throws -> Piece? {
    while let end = segments[segment].end, offset >= end { startSegment(segment + 1) }
    if let size = input.size, offset >= size { isAtEnd = true }
    if isAtEnd { return nil }

    let segmentStart = segments[segment].start
    let limit = min(segments[segment].end ?? .max, input.size ?? .max)
    var dataEnd = limit
    if case .image = chunker, input.isSeekable {
      let (hole, data) = try extent(offset..<limit, segmentStart)
      if hole > 0 { return try self.hole(length: hole, segmentStart) }
      dataEnd = data
    }
    return try data(upTo: dataEnd, limit, segmentStart, buffer)
  }

  private mutating func startSegment(_ number: Int) {
    segment = number
    cutter = nil
    lookbehind.count = 0
  }

  /// The hole at the start of `range` in whole blocks of the segment (0 for none worth skipping), else where
  /// the data that starts there ends.
  private func extent(_ range: Range<UInt64>, _ segmentStart: UInt64) throws -> (
    hole: UInt64, dataEnd: UInt64
  ) {
    guard var data = try input.nextData(in: range) else {
      // A single block of zeros at the end is no run of zeros, and belongs to the chunk before it.
      let rest = range.upperBound - range.lowerBound
      return rest >= shortestHole ? (rest, 0) : (0, range.upperBound)
    }
    let hole = (data.lowerBound - range.lowerBound) / 4096 * 4096
    if hole >= shortestHole { return (hole, 0) }
    let wanted = range.lowerBound + UInt64(Self.pieceLength)
    while data.upperBound < min(wanted, range.upperBound) {
      let rest = data.upperBound..<range.upperBound
      let following = try input.nextData(in: rest)
      let nextStart = following?.lowerBound ?? range.upperBound
      let blocksEnd = segmentStart + (data.upperBound - segmentStart + 4095) / 4096 * 4096
      if nextStart > blocksEnd, nextStart - blocksEnd >= shortestHole {
        return (0, min(blocksEnd, range.upperBound))
      }
      guard let following else { return (0, range.upperBound) }
      data = following
    }
    return (0, data.upperBound >= range.upperBound ? range.upperBound : wanted)
  }

  private mutating func hole(length: UInt64, _ segmentStart: UInt64) throws -> Piece {
    let cutter = try cutterHere(segmentStart, nil, 0)
    let piece = Piece(
      segment: segment, cutter: cutter, segmentStart: segmentStart, offset: offset, length: length, data: nil)
    offset += length
    holeBytes += length
    lookbehind.bytes.zero(0..<SegmentCutter.lookbehind)
    lookbehind.count = SegmentCutter.lookbehind
    return piece
  }

  private mutating func data(
    upTo dataEnd: UInt64, _ limit: UInt64, _ segmentStart: UInt64, _ memory: PieceBuffer
  ) throws -> Piece? {
    let wanted = Int(min(dataEnd - offset, UInt64(Self.pieceLength)))
    let range = memory.headroom..<memory.headroom + wanted
    let count = try input.read(at: offset, into: memory.buffer, range)
    if count < wanted { isAtEnd = true }
    guard count > 0 else { return nil }

    memory.buffer.copy(0..<lookbehind.count, of: lookbehind.bytes, to: memory.headroom - lookbehind.count)
    let cutter = try cutterHere(segmentStart, memory, count)
    let piece = Piece(
      segment: segment, cutter: cutter, segmentStart: segmentStart, offset: offset, length: UInt64(count),
      data: memory)
    offset += UInt64(count)
    keepLookbehind(of: memory, count)
    return piece
  }

  private mutating func keepLookbehind(of memory: PieceBuffer, _ count: Int) {
    let kept = min(SegmentCutter.lookbehind, lookbehind.count + count)
    let end = memory.headroom + count
    lookbehind.bytes.copy(end - kept..<end, of: memory.buffer, to: 0)
    lookbehind.count = kept
  }

  /// The cutter of the present segment; at its start its kind is decided.
  /// - Parameter memory: the first `count` bytes of the segment where it starts with data.
  private mutating func cutterHere(
    _ segmentStart: UInt64, _ memory: PieceBuffer?, _ count: Int
  ) throws -> SegmentCutter {
    if let cutter { return cutter }
    var kind = SegmentKind.byte
    if case .buzhash = chunker {
      kind = .stream
    } else if input.isSeekable {
      let buffer = Buffer(count: SegmentKind.headLength)
      let end = segments[segment].end ?? .max
      let count = Int(min(UInt64(SegmentKind.headLength), end - segmentStart))
      let read = try input.read(at: segmentStart, into: buffer, 0..<count)
      kind = SegmentKind(head: buffer.bytes.extracting(0..<read))
    } else if let memory {
      let buffer = memory.buffer
      let end = memory.headroom + min(count, SegmentKind.headLength)
      kind = SegmentKind(head: buffer.bytes.extracting(memory.headroom..<end))
    }
    let new = SegmentCutter(kind: kind, chunker: chunker)
    cutter = new
    return new
  }
}
