package import CasyncFormat
internal import CasyncIO
internal import Synchronization

/// What was written over an image: a copy of each block that changed, and a map that says which did.
///
/// One thread makes all changes, in the order in which they are submitted, so that a flush covers every
/// change that was answered before it. Blocks that are written in part are completed from below first. What
/// is in the file counts from when the map says so: at once, and after a power cut from the last flush.
package final class Overlay: Sendable {
  /// What changes are made in, in bytes.
  package static let blockLength: UInt64 = 4096

  private struct Queue {
    var jobs = Fifo<@Sendable () -> Void>()
    var isClosed = false
  }

  private let partial: PartialImage
  private let size: UInt64
  private let queue: Monitor<Queue>
  private let thread: Threads

  /// Opens the overlay at `path` of the image of `size` bytes that has the index `digest`. Blocks.
  /// - Throws: `JobError` (refused), `SystemError`.
  package init(_ path: String, size: UInt64, digest: ChunkID) throws {
    let count = Int((size + Self.blockLength - 1) / Self.blockLength)
    partial = try PartialImage.open(
      path, PartialImage.Shape(use: .overlay, size: size, unitCount: count, digest: digest))
    self.size = size
    let queue = Monitor(Queue())
    self.queue = queue
    thread = Threads(count: 1) {
      while let job = Self.next(queue) { job() }
    }
  }

  deinit { end() }

  private static func next(_ queue: Monitor<Queue>) -> (@Sendable () -> Void)? {
    queue.waitWakingNobody { queue -> (@Sendable () -> Void)?? in
      if let job = queue.jobs.popFirst() { return job }
      return queue.isClosed ? .some(nil) : nil
    }
  }

  private func end() {
    queue.withLock { $0.isClosed = true }
    thread.join()
  }

  /// Makes the changes that were submitted, and all of them durable. Blocks.
  package func close() throws {
    end()
    try partial.commit()
  }

  // MARK: Looking

  typealias State = UnitMap.State

  /// The file, in which blocks of data lie at their own offsets.
  var file: File { partial.file }

  /// A stretch of the image whose blocks are alike.
  struct Run {
    let range: Range<UInt64>
    let state: State
  }

  /// The first run in `range`, cut to it.
  /// - Precondition: `range` lies inside the image and is not empty.
  func firstRun(in range: Range<UInt64>) -> Run {
    let block = Int(range.lowerBound / Self.blockLength)
    let limit = Int((range.upperBound - 1) / Self.blockLength) + 1
    return partial.map.withLock { map in
      let end = UInt64(map.endOfRun(from: block, limit: limit)) * Self.blockLength
      return Run(range: range.lowerBound..<min(end, range.upperBound), state: map[block])
    }
  }

  /// All runs in `range`.
  func runs(in range: Range<UInt64>) -> [Run] {
    var runs = [Run]()
    var start = range.lowerBound
    while start < range.upperBound {
      let run = firstRun(in: start..<range.upperBound)
      runs.append(run)
      start = run.range.upperBound
    }
    return runs
  }

  /// The blocks that `range` covers only in part and that are not here: what they hold below is needed before
  /// the rest of them is written.
  func missingEdges(of range: Range<UInt64>) -> [Range<UInt64>] {
    edges(of: range).filter { firstRun(in: $0).state == .absent }
  }

  private func edges(of range: Range<UInt64>) -> [Range<UInt64>] {
    let first = block(around: range.lowerBound)
    let last = block(around: range.upperBound - 1)
    let isWhole = { (block: Range<UInt64>) in
      range.lowerBound <= block.lowerBound && block.upperBound <= range.upperBound
    }
    return (first == last ? [first] : [first, last]).filter { !isWhole($0) }
  }

  private func block(around offset: UInt64) -> Range<UInt64> {
    let start = offset / Self.blockLength * Self.blockLength
    return start..<min(start + Self.blockLength, size)
  }

  /// The whole blocks in `range`; empty when there are none.
  private func wholeBlocks(in range: Range<UInt64>) -> Range<UInt64> {
    let start = (range.lowerBound + Self.blockLength - 1) / Self.blockLength * Self.blockLength
    let end = range.upperBound == size ? size : range.upperBound / Self.blockLength * Self.blockLength
    return min(start, end)..<end
  }

  // MARK: Changing

  /// A change that was asked for.
  enum Change: Sendable {
    case write([UInt8])
    /// Zeros; with blocks of their own if `keepsRoom`, and then perhaps only when that is fast.
    case zero(keepsRoom: Bool, mustBeFast: Bool)
    case trim
    case flush
  }

  /// Has a change made after all that were submitted before it. Does not block.
  /// - Parameters:
  ///   - below: what the missing edges of `range` hold.
  ///   - isDurable: whether it has to be durable before the completion.
  ///   - completion: called on the overlay's thread.
  func submit(
    _ change: Change, _ range: Range<UInt64>, below: [ImagePiece], isDurable: Bool,
    _ completion: @escaping @Sendable (Result<Void, any Error>) -> Void
  ) {
    queue.withLockWakingOne { queue in
      queue.jobs.append { [self] in
        completion(
          Result {
            try make(change, range, below)
            if isDurable { try partial.commit() }
          })
      }
    }
  }

  private func make(_ change: Change, _ range: Range<UInt64>, _ below: [ImagePiece]) throws {
    switch change {
    case .write(let bytes):
      try completeEdges(of: range, below)
      try file.write(bytes.rawSpan, at: range.lowerBound)
      try mark(range, .data)
    case .zero(let keepsRoom, let mustBeFast):
      try zero(range, below, keepsRoom: keepsRoom, mustBeFast: mustBeFast)
    case .trim: try makeHole(wholeBlocks(in: range))
    case .flush: try partial.commit()
    }
  }

  /// Writes to the file what blocks hold that `range` covers in part and that are not data yet. Nobody sees
  /// it before the map says that they are.
  private func completeEdges(of range: Range<UInt64>, _ below: [ImagePiece]) throws {
    for edge in edges(of: range) {
      let state = firstRun(in: edge).state
      guard state != .data else { continue }
      let block = Buffer(count: Int(Self.blockLength))
      if state == .absent {
        for piece in below where edge.contains(piece.offset) {
          guard let buffer = piece.buffer else { continue }
          block.copy(
            piece.start..<piece.start + piece.length, of: buffer, to: Int(piece.offset - edge.lowerBound))
        }
      }
      try file.write(block, 0..<block.count, at: edge.lowerBound)
    }
  }

  private func zero(
    _ range: Range<UInt64>, _ below: [ImagePiece], keepsRoom: Bool, mustBeFast: Bool
  ) throws {
    let whole = keepsRoom ? range.upperBound..<range.upperBound : wholeBlocks(in: range)
    if keepsRoom {
      try completeEdges(of: range, below)
      do {
        try file.zeroKeepingBlocks(range)
      } catch let error as SystemError where error.isUnsupported {
        guard !mustBeFast else { throw error }
        try writeZeros(range)
      }
      return try mark(range, .data)
    }
    guard !whole.isEmpty else {
      try completeEdges(of: range, below)
      try writeZeros(range)
      return try mark(range, .data)
    }
    for rest in [range.lowerBound..<whole.lowerBound, whole.upperBound..<range.upperBound] where !rest.isEmpty
    {
      try completeEdges(of: rest, below)
      try writeZeros(rest)
      try mark(rest, .data)
    }
    try makeHole(whole)
  }

  private static let zeros = Buffer(count: 1 << 20)

  private func writeZeros(_ range: Range<UInt64>) throws {
    var start = range.lowerBound
    while start < range.upperBound {
      let step = min(range.upperBound - start, UInt64(Self.zeros.count))
      try file.write(Self.zeros, 0..<Int(step), at: start)
      start += step
    }
  }

  /// Whole blocks become zeros. The map says it first: then nobody looks at what the file has there.
  private func makeHole(_ blocks: Range<UInt64>) throws {
    guard !blocks.isEmpty else { return }
    try mark(blocks, .zero)
    // Only room is lost where the file system cannot do it.
    try? file.punchHole(blocks)
  }

  private func mark(_ range: Range<UInt64>, _ state: State) throws {
    let blocks = Int(range.lowerBound / Self.blockLength)..<Int((range.upperBound - 1) / Self.blockLength) + 1
    try partial.set(blocks, to: state)
  }
}
