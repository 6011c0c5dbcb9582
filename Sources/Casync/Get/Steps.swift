import CasyncFormat
import CasyncIO

/// A stretch of the image that is filled in memory and written in one go: whole chunks, and what pads them to
/// blocks.
struct Slab: Sendable {
  /// The bytes to fill.
  let range: Range<UInt64>
  /// Chunks that lie in `range`, wholly or in part.
  let positions: Range<Int>
  /// The first block starts before `range`: those bytes are the end of the slab before.
  let continues: Bool
  /// The last block ends after `range`: it is written with the slab that follows.
  let isContinued: Bool

  /// Whether a chunk lies wholly inside.
  func holds(_ chunk: Range<UInt64>) -> Bool {
    range.lowerBound <= chunk.lowerBound && chunk.upperBound <= range.upperBound
  }
}

/// Whole chunks that lie behind one another in a seed as in the image, and whose blocks the target can share
/// with it.
struct CloneRun: Sendable {
  /// Number of the seed, and where the run starts in it.
  let seed: Int
  let offset: UInt64
  let positions: Range<Int>
  let range: Range<UInt64>
}

/// What is done to a target, in ascending order of offsets.
enum Step {
  case zero(Range<UInt64>)
  case clone(CloneRun)
  case fill(Slab)
}

/// Turns a plan into steps for one region of the target.
///
/// Chunks in place are left alone, long runs of zeros become one step, the rest is filled. What a block that
/// is written holds besides new bytes, the slab takes from the target. Zeros and chunks in place that are
/// shorter than that is worth are filled like data.
struct Steps: IteratorProtocol {
  /// Bytes in a slab; one chunk may be longer. With the blocks at either end its memory is one huge page.
  static let slabLength = (2 << 20) - 4 * Buffer.alignment
  /// Bytes that are cloned in one go; a shorter run than `shortestClone` is copied.
  private static let longestClone: UInt64 = 16 << 20
  private static let shortestClone: UInt64 = 64 << 10
  /// Runs of zeros below this length are written with what is around them.
  static let shortestZeroRun: UInt64 = 64 << 10

  private let index: Index
  private let sources: [ChunkSource]
  private let target: Target
  private let region: Range<UInt64>
  /// Numbers of the seeds whose blocks the target can share.
  private let cloneable: Set<Int>
  /// The chunk that is looked at next.
  private var position: Int
  private var ready = Fifo<Step>()
  /// Data that waits for what follows it: `end` is not yet a block boundary.
  private var data: Range<UInt64>?

  /// - Parameter region: in offsets of the image; starts at a block boundary and ends at one or with the
  ///   image.
  init(_ plan: Plan, target: Target, region: Range<UInt64>, cloneable: Set<Int> = []) {
    index = plan.index
    sources = plan.sources
    self.target = target
    self.region = region
    self.cloneable = cloneable
    position = region.isEmpty ? plan.index.count : plan.index.position(of: region.lowerBound)
  }

  mutating func next() -> Step? {
    while ready.isEmpty, position < index.count, index.start(of: position) < region.upperBound {
      classifyRun()
    }
    if ready.isEmpty { flushData() }
    return ready.popFirst()
  }

  private enum State {
    case keep, zero, data
  }

  private func state(of position: Int) -> State {
    switch sources[position].kind {
    case .inPlace: .keep
    case .zero: .zero
    default: .data
    }
  }

  /// Takes the run of chunks of one state at `position`; long runs of data in parts.
  private mutating func classifyRun() {
    if let run = cloneRun() {
      flushData()
      ready.append(.clone(run))
      position = run.positions.upperBound
      return
    }
    let state = state(of: position)
    let start = position
    repeat {
      position += 1
    } while position < index.count && self.state(of: position) == state
      && index.start(of: position) < region.upperBound && !(state == .data && endsDataRun(position - start))
    let run = (index.start(of: start)..<index.end(of: position - 1)).intersection(region)
    switch state {
    case .keep: break
    case .data: addData(run)
    case .zero: addZeros(run)
    }
  }

  /// Whether a run of data of `count` chunks is looked at by itself: it is long, or what follows can be
  /// cloned.
  private func endsDataRun(_ count: Int) -> Bool {
    count >= 4096 || !cloneable.isEmpty && cloneRun() != nil
  }

  /// The longest run of chunks at `position` that can be cloned; `nil` when none is worth it.
  private func cloneRun() -> CloneRun? {
    guard case .seed(let seed, let offset) = sources[position].kind, cloneable.contains(seed) else {
      return nil
    }
    let start = index.start(of: position)
    let block = UInt64(Buffer.alignment)
    guard start >= region.lowerBound, (start - target.base) % block == 0, offset % block == 0 else {
      return nil
    }
    var end: Int?
    var next = position
    while next < index.count, index.end(of: next) - start <= Self.longestClone,
      index.end(of: next) <= region.upperBound,
      sources[next] == .seed(seed, offset: offset + index.start(of: next) - start)
    {
      next += 1
      if (index.end(of: next - 1) - target.base) % block == 0 { end = next }
    }
    guard let end, index.end(of: end - 1) - start >= Self.shortestClone else { return nil }
    return CloneRun(
      seed: seed, offset: offset, positions: position..<end, range: start..<index.end(of: end - 1))
  }

  private mutating func addZeros(_ run: Range<UInt64>) {
    let start = target.alignUp(run.lowerBound)
    let end = target.alignDown(run.upperBound)
    guard start < end, end - start >= Self.shortestZeroRun else { return addData(run) }
    if run.lowerBound < start || data != nil { addData(run.lowerBound..<start) }
    flushData()
    ready.append(.zero(start..<end))
    if end < run.upperBound { addData(end..<run.upperBound) }
  }

  private mutating func addData(_ run: Range<UInt64>) {
    guard let before = data else {
      data = target.alignDown(run.lowerBound)..<run.upperBound
      return
    }
    if target.alignDown(run.lowerBound) <= target.alignUp(before.upperBound) {
      data = before.lowerBound..<max(before.upperBound, run.upperBound)
    } else {
      flushData()
      data = target.alignDown(run.lowerBound)..<run.upperBound
    }
  }

  /// Makes slabs of the data that waits, widened to whole blocks.
  private mutating func flushData() {
    guard let data else { return }
    self.data = nil
    let end = target.alignUp(data.upperBound)
    var start = data.lowerBound
    var first = index.position(of: start)
    while start < end {
      var last = first
      while last + 1 < index.count, index.end(of: last) < end,
        index.end(of: last + 1) - start <= UInt64(Self.slabLength)
      { last += 1 }
      let isLast = last + 1 >= index.count || index.end(of: last) >= end
      let slabEnd = isLast ? end : index.end(of: last)
      ready.append(
        .fill(
          Slab(
            range: start..<slabEnd, positions: first..<min(last + 1, index.count),
            continues: start != target.alignDown(start),
            isContinued: !isLast && slabEnd != target.alignDown(slabEnd))))
      start = slabEnd
      first = last + 1
    }
  }
}
