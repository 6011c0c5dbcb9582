internal import CasyncFormat

/// Joins the pieces of a segment that the image chunker cuts (docs/formats/image-chunker.md).
///
/// A block is decided when those that have a say in it are known: the next one (does a zero run start?) and,
/// between blocks, as many as the radius. What is undecided stays here: some hashes and flags, some
/// candidates.
struct ImageJoint: Sendable {
  /// The blocks to either side that a block cut depends on; 0 in a byte segment.
  private let radius: Int
  /// The blocks by which decisions lag behind.
  private let lag: Int
  private let maximum: UInt64
  /// Holds the present chunk's start, and cuts the spans of a byte segment.
  private var spans: SpanCutter
  /// The bytes joined.
  private var length: UInt64 = 0
  /// The block that `zeros[0]` and `hashes[0]` tell of.
  private var firstKnown = 0
  private var zeros: [Bool] = []
  /// Empty in a byte segment.
  private var hashes: [UInt32] = []
  /// The next block to decide.
  private var next = 0
  /// Whether the block before `next` is in a zero run.
  private var isInRun = false
  /// Candidates of a byte segment in blocks not yet decided, before `length`.
  private var pending: [UInt64] = []

  /// For a block segment.
  init(radius: Int, maximum: Int) {
    guard let sizes = ChunkSizes(min: 1, average: 1, max: maximum) else {
      preconditionFailure("the image chunker's average is checked where it enters")
    }
    self.radius = radius
    lag = max(radius, 1)
    self.maximum = UInt64(maximum)
    spans = SpanCutter(sizes: sizes)
  }

  /// For a byte segment whose spans have these sizes.
  init(spans sizes: ChunkSizes) {
    radius = 0
    lag = 1
    maximum = UInt64(sizes.max)
    spans = SpanCutter(sizes: sizes)
  }

  var uncutBound: Int { Int(maximum) + (lag + 1) * Block.size }

  private var known: Int { firstKnown + zeros.count }

  // MARK: Joining

  mutating func join(_ scan: Scan, into cuts: inout [Cut]) {
    precondition(scan.offset == length && length % UInt64(Block.size) == 0, "pieces are joined in order")
    guard scan.length > 0 else { return }
    switch scan.content {
    case .hole:
      joinHole(length: scan.length, into: &cuts)
    case .candidates(let candidates, let flags):
      precondition(radius == 0, "a scan is joined by the cutter that made it")
      append(flags)
      length += scan.length
      decide(upTo: known - lag, candidates, scan.offset, into: &cuts)
      keep(candidates, scan.offset)
    case .hashes(let hashes, let flags):
      precondition(radius > 0, "a scan is joined by the cutter that made it")
      append(flags)
      self.hashes.append(contentsOf: hashes)
      length += scan.length
      decide(upTo: known - lag, into: &cuts)
    }
    trim()
  }

  private mutating func append(_ flags: ZeroBlocks) {
    for block in 0..<flags.count { zeros.append(flags[block]) }
  }

  /// Appends `count` zero blocks.
  private mutating func appendZeros(_ count: Int, hash: UInt32 = Block.hashOfZeros) {
    for _ in 0..<count {
      zeros.append(true)
      if radius > 0 { hashes.append(hash) }
    }
  }

  /// Joins a hole without looking at each of its blocks: past its first few, all are like the one before.
  private mutating func joinHole(length hole: UInt64, into cuts: inout [Cut]) {
    let short = hole % UInt64(Block.size)
    let whole = Int((hole - short) / UInt64(Block.size))
    let few = min(whole, 2 * lag + 2)
    appendZeros(few)
    length += UInt64(few * Block.size)
    decide(upTo: known - lag, into: &cuts)
    if whole > few {
      // Every block from `next - lag` on is in the hole, so the window may move on as it is.
      trim()
      firstKnown += whole - few
      next += whole - few
      length += UInt64((whole - few) * Block.size)
      cutRun(upTo: UInt64(next) * UInt64(Block.size), into: &cuts)
    }
    if short > 0 {
      appendZeros(1, hash: Block.hashOfShort)
      length += short
    }
    pending.removeAll(keepingCapacity: true)
  }

  /// Keeps the candidates in blocks that are not yet decided.
  private mutating func keep(_ candidates: Candidates, _ offset: UInt64) {
    pending.removeAll(keepingCapacity: true)
    let decided = UInt64(next * Block.size)
    var lowest = Int(decided - min(decided, offset)) + 1
    while let found = candidates.first(atLeast: lowest) {
      pending.append(offset + UInt64(found))
      lowest = found + 1
    }
  }

  /// Forgets the blocks that no later decision looks at.
  private mutating func trim() {
    let spare = next - lag - firstKnown
    guard spare > 0 else { return }
    zeros.removeFirst(spare)
    if radius > 0 { hashes.removeFirst(spare) }
    firstKnown += spare
  }

  mutating func finish(into cuts: inout [Cut]) {
    decide(upTo: known, into: &cuts)
    let isZero = isInRun || (zeros.last == true && spans.start >= UInt64((known - 1) * Block.size))
    close(at: length, isZero: isZero, into: &cuts)
  }

  // MARK: Deciding

  private mutating func decide(
    upTo limit: Int, _ candidates: Candidates? = nil, _ offset: UInt64 = 0, into cuts: inout [Cut]
  ) {
    while next < limit {
      let start = UInt64(next * Block.size)
      let end = min(start + UInt64(Block.size), length)
      let isRun = isInZeroRun(next)
      if isRun != isInRun {
        if isRun { cutSpan(upTo: start, candidates, offset, into: &cuts) }
        close(at: start, isZero: isInRun, into: &cuts)
        isInRun = isRun
      }
      if isRun {
        cutRun(upTo: end, into: &cuts)
      } else if radius > 0, isMinimum(next) || end - spans.start >= maximum {
        close(at: end, isZero: false, into: &cuts)
      }
      next += 1
    }
    if !isInRun { cutSpan(upTo: min(UInt64(next * Block.size), length), candidates, offset, into: &cuts) }
  }

  /// Whether `block` and one beside it are zeros.
  private func isInZeroRun(_ block: Int) -> Bool {
    let index = block - firstKnown
    guard zeros[index] else { return false }
    return (index > 0 && zeros[index - 1]) || (index + 1 < zeros.count && zeros[index + 1])
  }

  /// Whether the hash of `block` is below all of the radius before it, and not above any of the radius after
  /// it.
  private func isMinimum(_ block: Int) -> Bool {
    guard block >= radius, block + radius < known else { return false }
    let index = block - firstKnown
    let hash = hashes[index]
    for distance in 1...radius where hashes[index - distance] <= hash || hashes[index + distance] < hash {
      return false
    }
    return true
  }

  // MARK: Cutting

  /// Ends the present chunk at `position` unless it would be empty.
  private mutating func close(at position: UInt64, isZero: Bool, into cuts: inout [Cut]) {
    if spans.start < position { cuts.append(Cut(end: position, isZero: isZero)) }
    spans.restart(at: position)
  }

  /// Cuts the present zero run, as far as `limit`, into chunks of the maximum.
  private mutating func cutRun(upTo limit: UInt64, into cuts: inout [Cut]) {
    while limit - spans.start >= maximum {
      close(at: spans.start + maximum, isZero: true, into: &cuts)
    }
  }

  /// Cuts the present span of a byte segment as far as `limit`.
  private mutating func cutSpan(
    upTo limit: UInt64, _ candidates: Candidates?, _ offset: UInt64, into cuts: inout [Cut]
  ) {
    guard radius == 0 else { return }
    while true {
      let pending = self.pending
      let end = spans.next(upTo: limit) { lowest in
        if let found = pending.first(where: { $0 >= lowest }) { return found }
        return candidates?.first(atLeast: Int(lowest - min(lowest, offset))).map { offset + UInt64($0) }
      }
      guard let end else { return }
      cuts.append(Cut(end: end, isZero: false))
    }
  }
}
