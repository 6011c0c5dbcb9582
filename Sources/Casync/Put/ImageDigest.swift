import CasyncChunking
import CasyncFormat
import CasyncIO
import Synchronization

/// The digest of a whole image, made beside the work on its chunks.
///
/// A digest is serial, and as much work for a byte that is zero as for any other: where an image ends with zeros,
/// as most do, nothing else is left to do there. So where it would wait for the next piece it reads the file for
/// itself, ahead of the pieces, and every core has work to the end. What may not be read twice, or would not show
/// that it changed in between, it takes piece by piece as they pass.
///
/// One thread adds and waits; another digests.
final class ImageDigest {
  /// How far it may be ahead, in bytes: less than a machine that makes images keeps in its page cache, so that a
  /// disk is read once.
  private static let lead: UInt64 = 1 << 30
  /// Bytes that it reads at a time: they stay in a core's caches.
  private static let step = 1 << 20
  /// It is given more to read when fewer jobs than the first are left, and then has so many as the second: work
  /// until the next piece comes.
  private static let (few, enough) = (3, 32)

  private let state: State
  private let input: ImageInput
  private let cancellation: Cancellation
  private var jobs = Fifo<Job<Void>>()
  /// Where the last job ends in the image.
  private var end: UInt64 = 0

  private final class State: Sendable {
    let digest: Mutex<StreamDigest>

    init(_ algorithm: DigestAlgorithm) { digest = Mutex(StreamDigest(algorithm)) }
  }

  /// Who digests: one thread, with memory to read into.
  typealias Pool = WorkerPool<Buffer>

  static func withPool<Result>(_ body: (Pool) throws -> Result) throws -> Result {
    try Pool.with(count: 1, context: { Buffer(count: step) }, body)
  }

  init(_ algorithm: DigestAlgorithm, of input: ImageInput, _ cancellation: Cancellation) {
    state = State(algorithm)
    self.input = input
    self.cancellation = cancellation
  }

  /// Goes on with the next piece, and beyond. Does not block.
  /// - Throws: `JobError`, `SystemError` if what was to be read ahead could not be.
  func add(_ piece: Piece, on pool: Pool) throws {
    while let job = jobs.first, job.isFinished { try endFirst() }
    let pieceEnd = piece.offset + piece.length
    if end < pieceEnd {
      let start = max(end, piece.offset)
      jobs.append(
        pool.submit { [state] _ in state.digest.withLock { Self.update(&$0, with: piece, from: start) } })
      end = pieceEnd
    }
    guard let size = input.size, input.showsChanges, jobs.count < Self.few else { return }
    while jobs.count < Self.enough, end < min(pieceEnd + Self.lead, size) {
      let range = end..<min(end + UInt64(Self.step), size)
      jobs.append(pool.submit { [state, input] in try Self.read(range, of: input, into: state, $0) })
      end = range.upperBound
    }
  }

  /// Waits until everything is digested.
  /// - Throws: what `add` throws, `CancellationError`.
  func wait() throws {
    while !jobs.isEmpty {
      try cancellation.check()
      try endFirst()
    }
  }

  private func endFirst() throws { try jobs.popFirst()?.wait() }

  /// The digest of everything added.
  func finish() -> ChunkID {
    state.digest.withLock { $0.copy() }.finish()
  }

  private static func update(_ digest: inout StreamDigest, with piece: Piece, from start: UInt64) {
    let skipped = start - piece.offset
    guard let memory = piece.data else { return digest.updateZeros(count: piece.length - skipped) }
    let buffer = memory.buffer
    let end = memory.headroom + Int(piece.length)
    digest.update(buffer.bytes.extracting(memory.headroom + Int(skipped)..<end))
  }

  private static func read(
    _ range: Range<UInt64>, of input: ImageInput, into state: State, _ buffer: Buffer
  ) throws {
    let start = try input.nextData(in: range)?.lowerBound ?? range.upperBound
    let count = try input.read(at: start, into: buffer, 0..<Int(range.upperBound - start))
    state.digest.withLock { digest in
      digest.updateZeros(count: start - range.lowerBound)
      digest.update(buffer.bytes.extracting(0..<count))
    }
  }
}
