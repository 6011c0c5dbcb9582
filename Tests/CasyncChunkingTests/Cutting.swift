import CasyncFormat

@testable import CasyncChunking

/// Splits that pieces of a segment may have.
enum Pieces {
  case whole
  case fixed(Int)
  /// Multiples of the unit, of up to 8 of it.
  case random(unit: Int, seed: UInt64)
}

/// The cuts of a segment, given in pieces; blocks of zeros of at least `hole` bytes as holes.
func cutSegment(
  _ bytes: ArraySlice<UInt8>, _ kind: SegmentKind, _ chunker: Chunker, pieces: Pieces = .whole,
  holes: Int? = nil, tier: CPUTier = .current
) -> [Cut] {
  let bytes = Array(bytes)
  var cutter = SegmentCutter(kind: kind, chunker: chunker, tier: tier)
  var cuts: [Cut] = []
  var offset = 0
  var random = SplitMix64(state: 0)
  if case .random(_, let seed) = pieces { random = SplitMix64(state: seed) }
  while offset < bytes.count {
    if let hole = holes, let end = endOfHole(bytes, from: offset, minimum: hole) {
      let scan = cutter.scanHole(length: UInt64(end - offset), offset: UInt64(offset))
      cutter.join(scan, into: &cuts)
      offset = end
    } else {
      let wanted =
        switch pieces {
        case .whole: holes == nil ? bytes.count : 65536
        case .fixed(let length): length
        case .random(let unit, _): unit * Int.random(in: 1...8, using: &random)
        }
      let length = min(wanted, bytes.count - offset)
      let lookbehind = min(SegmentCutter.lookbehind, offset)
      // SAFETY: the span is used while the array lives.
      let span = unsafe bytes.span.bytes.extracting(offset - lookbehind..<offset + length)
      cutter.join(cutter.scan(span, lookbehind: lookbehind, offset: UInt64(offset)), into: &cuts)
      offset += length
    }
    let uncut = offset - Int(cuts.last?.end ?? 0)
    precondition(uncut <= cutter.uncutBound, "\(uncut) bytes uncut, bound \(cutter.uncutBound)")
  }
  cutter.finish(into: &cuts)
  return cuts
}

private func endOfHole(_ bytes: [UInt8], from start: Int, minimum: Int) -> Int? {
  guard start % 4096 == 0 else { return nil }
  var end = start
  while end < bytes.count, bytes[end] == 0 { end += 1 }
  if end < bytes.count { end -= end % 4096 }
  return end - start >= minimum ? end : nil
}

/// The cuts of an image by the image chunker: layout, kinds, segments.
func cutImage(
  _ bytes: [UInt8], average: Int, pieces: Pieces = .whole, holes: Int? = nil, tier: CPUTier = .current
) -> [Cut] {
  // SAFETY: the span is used while the array lives.
  let layout = unsafe ImageLayout(
    head: bytes.span.bytes.extracting(0..<min(bytes.count, ImageLayout.headLength)))
  var cuts: [Cut] = []
  for segment in layout.segments {
    let start = Int(min(segment.start, UInt64(bytes.count)))
    let end = Int(min(segment.end ?? UInt64.max, UInt64(bytes.count)))
    guard start < end else { continue }
    // SAFETY: the span is used while the array lives.
    let kind = unsafe SegmentKind(
      head: bytes.span.bytes.extracting(start..<min(end, start + SegmentKind.headLength)))
    let segmentCuts = cutSegment(
      bytes[start..<end], kind, .image(average: average), pieces: pieces, holes: holes, tier: tier)
    cuts += segmentCuts.map { Cut(end: $0.end + UInt64(start), isZero: $0.isZero) }
  }
  return cuts
}

/// The ranges of the chunks that `cuts` end.
func ranges(of cuts: [Cut]) -> [Range<Int>] {
  var start = 0
  return cuts.map { cut in
    defer { start = Int(cut.end) }
    return start..<Int(cut.end)
  }
}

extension Digester {
  /// The ID of the chunk `bytes`.
  func id(_ bytes: ArraySlice<UInt8>) -> ChunkID {
    // SAFETY: the span is used while the slice lives.
    unsafe digest(bytes.span.bytes)
  }
}
