internal import CasyncFormat

/// Joins the pieces of a stream that casync's chunker cuts.
struct StreamJoint: Sendable {
  private var spans: SpanCutter
  /// The bytes joined.
  private var length: UInt64 = 0
  /// Where the zeros that reach the joined end start; `nil` when there are none.
  private var zerosFrom: UInt64?

  init(sizes: ChunkSizes, isFixed: Bool) {
    spans = SpanCutter(sizes: sizes, isFixed: isFixed)
  }

  var uncutBound: Int { Int(spans.maximum) }

  mutating func join(_ scan: Scan, into cuts: inout [Cut]) {
    precondition(scan.offset == length, "pieces are joined in order")
    guard case .candidates(let candidates, let zeros) = scan.content else {
      preconditionFailure("a scan is joined by the cutter that made it")
    }
    var block = 0
    while block < zeros.count {
      let end = zeros.endOfRun(from: block)
      let from = scan.offset + UInt64(block * Block.size)
      zerosFrom = zeros[block] ? zerosFrom ?? from : nil
      let to = min(scan.offset + UInt64(end * Block.size), scan.offset + scan.length)
      advance(to: to, candidates, scan.offset, into: &cuts)
      block = end
    }
    length += scan.length
  }

  private mutating func advance(
    to limit: UInt64, _ candidates: Candidates, _ offset: UInt64, into cuts: inout [Cut]
  ) {
    while true {
      let start = spans.start
      let end = spans.next(upTo: limit) { lowest in
        // What lies before the piece was searched when it was joined.
        candidates.first(atLeast: Int(lowest - min(lowest, offset))).map { offset + UInt64($0) }
      }
      guard let end else { return }
      cuts.append(Cut(end: end, isZero: zerosFrom.map { $0 <= start } ?? false))
    }
  }

  mutating func finish(into cuts: inout [Cut]) {
    guard spans.start < length else { return }
    cuts.append(Cut(end: length, isZero: zerosFrom.map { $0 <= spans.start } ?? false))
    spans.restart(at: length)
  }
}
