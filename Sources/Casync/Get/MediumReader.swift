import CasyncChunking
import CasyncFormat
import CasyncIO

/// Compares chunks of the image with what stands on the target's medium, many at a time.
///
/// Used before writing, to find what is in place, and after it, to read back what was written.
struct MediumReader {
  /// Bytes that are read in one go; one chunk may be longer. Reading back happens beside slabs in memory.
  private static let runLength = 1 << 20

  let index: Index
  let target: Target
  let cancellation: Cancellation
  let workers: WorkerPool<SlabLoader.Context>
  /// Chunks of zeros are tested, not hashed, and holes of a file not even read.
  private let zeros: ZeroChunks
  private let buffers: BufferPool

  init(
    _ index: Index, _ target: Target, zeros: ZeroChunks, _ workers: WorkerPool<SlabLoader.Context>,
    _ cancellation: Cancellation
  ) {
    self.index = index
    self.target = target
    self.zeros = zeros
    self.workers = workers
    self.cancellation = cancellation
    let longest = max(Self.runLength, index.chunker.maximumChunk)
    buffers = BufferPool(
      bufferLength: longest + 4 * max(Int(target.blockSize), Buffer.alignment),
      capacity: max(2, min(8, (24 << 20) / longest)))
  }

  /// Reads the chunks at `positions` and tells of each whether it stands on the medium.
  /// - Parameter verdict: called in order, on the calling thread.
  func compare(_ positions: Range<Int>, verdict: (_ position: Int, _ matches: Bool) throws -> Void) throws {
    var jobs = Fifo<(Range<Int>, Job<[Bool]>)>()
    func finishNext() throws {
      guard let (run, job) = jobs.popFirst() else { return }
      for (position, matches) in zip(run, try job.wait()) { try verdict(position, matches) }
    }
    var first = positions.lowerBound
    while first < positions.upperBound {
      try cancellation.check()
      let lease: BufferPool.Lease
      if let free = buffers.take() {
        lease = free
      } else {
        try finishNext()
        lease = buffers.waitForOne()
      }
      let start = index.start(of: first)
      var last = first
      while last + 1 < positions.upperBound, index.end(of: last + 1) - start <= UInt64(Self.runLength) {
        last += 1
      }
      let run = first..<last + 1
      jobs.append(
        (
          run,
          workers.submit { [index, target, zeros] context in
            try Self.compare(run, index, target, zeros, lease, context)
          }
        ))
      first = last + 1
    }
    while !jobs.isEmpty { try finishNext() }
  }

  /// Whether the place of a chunk holds anything but zeros.
  func holdsData(at position: Int) throws -> Bool {
    let range = index.range(of: position)
    let window = Window(buffers.waitForOne(), start: target.windowStart(range.lowerBound))
    return try target.readMedium(range, into: window) && !window.isZero(window.place(range))
  }

  private static func compare(
    _ run: Range<Int>, _ index: Index, _ target: Target, _ zeros: ZeroChunks, _ lease: BufferPool.Lease,
    _ context: SlabLoader.Context
  ) throws -> [Bool] {
    let range = index.start(of: run.lowerBound)..<index.end(of: run.upperBound - 1)
    let isZero = run.map { zeros.contains(index.id(of: $0), length: index.length(of: $0)) }
    if !isZero.contains(false), try target.isHole(range) { return isZero }
    let window = Window(lease, start: target.windowStart(range.lowerBound))
    guard try target.readMedium(range, into: window) else { return run.map { _ in false } }
    context.ids.removeAll(keepingCapacity: true)
    let others = zip(run, isZero).filter { !$0.1 }.map { window.place(index.range(of: $0.0)) }
    context.digester.digests(of: others, in: window.buffer.bytes, into: &context.ids)
    var ids = context.ids.makeIterator()
    return zip(run, isZero).map { position, isZero in
      isZero ? window.isZero(window.place(index.range(of: position))) : ids.next() == index.id(of: position)
    }
  }
}
