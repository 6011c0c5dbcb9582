import CasyncChunking
import CasyncFormat
import CasyncIO
import Synchronization

/// The digest of a whole image, made piece by piece beside the work on its chunks.
///
/// A digest is serial: the pool it runs on has one thread.
final class ImageDigest: Sendable {
  private let state: Mutex<StreamDigest>
  private let last = Monitor<Job<Void>?>(nil)

  init(_ algorithm: DigestAlgorithm) {
    state = Mutex(StreamDigest(algorithm))
  }

  /// Queues the next piece. Does not block.
  func add(_ piece: Piece, on pool: WorkerPool<Void>) {
    let job = pool.submit { _ in
      self.state.withLock { digest in
        guard let memory = piece.data else { return digest.updateZeros(count: piece.length) }
        let buffer = memory.buffer
        let end = memory.headroom + Int(piece.length)
        digest.update(buffer.bytes.extracting(memory.headroom..<end))
      }
    }
    last.withLock { $0 = job }
  }

  /// Waits until all that was added is digested.
  func wait() throws {
    try last.withLock { $0 }?.wait()
  }

  /// The digest of everything added.
  func finish() -> ChunkID {
    state.withLock { $0.copy() }.finish()
  }
}
