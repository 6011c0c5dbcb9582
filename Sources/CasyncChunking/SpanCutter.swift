internal import CasyncFormat

/// The serial half of casync's chunker: cuts at candidates, minimum and maximum kept
/// (docs/formats/buzhash.md).
struct SpanCutter: Sendable {
  /// The distance from a chunk's start to the first position that is tested.
  let firstTest: UInt64
  /// The distance at which a chunk is cut in any case. With a maximum below the window casync cuts at its
  /// first test, a chunk that is too long.
  let maximum: UInt64
  /// Where the present chunk starts.
  private(set) var start: UInt64 = 0
  /// No position up to here ends the present chunk.
  private var searched: UInt64 = 0

  init(sizes: ChunkSizes, isFixed: Bool = false) {
    firstTest = UInt64(isFixed ? sizes.max : max(sizes.min, Buzhash.window))
    maximum = max(UInt64(sizes.max), firstTest)
  }

  /// Ends the present chunk at `position`; the next one starts there.
  mutating func restart(at position: UInt64) {
    start = position
    searched = position
  }

  /// The end of the present chunk when it is at or before `limit`; `candidate` gives the first candidate that
  /// is at least its argument. Everything up to `limit` must have been searched.
  mutating func next(upTo limit: UInt64, candidate: (UInt64) -> UInt64?) -> UInt64? {
    let last = start + maximum
    var end = last
    let first = max(start + firstTest, searched + 1)
    if first < last, first <= limit, let found = candidate(first) { end = min(found, last) }
    guard end <= limit else {
      searched = max(searched, limit)
      return nil
    }
    restart(at: end)
    return end
  }
}
