import CasyncIO
import Synchronization

/// Begins to bring to the medium what is being written, so that little is left to do for the flush at the
/// end.
///
/// `note` may be called by several threads.
final class WriteBehind: Sendable {
  private struct State {
    /// Bytes written since the last flush began.
    var pending: UInt64 = 0
    var isFlushing = false
    /// The kernel tells of a failure once.
    var failure: (any Error)?
  }

  /// So much is written before a flush begins.
  private static let step: UInt64 = 32 << 20

  private let target: File
  private let pool: WorkerPool<Void>
  private let state = Mutex(State())

  private init(_ target: File, _ pool: WorkerPool<Void>) {
    self.target = target
    self.pool = pool
  }

  /// Runs `body` beside flushes of the file system that holds `target`, and flushes it once more. Blocks.
  static func with<Result>(
    _ target: File, _ progress: Progress, _ body: (WriteBehind) throws -> Result
  ) throws -> Result {
    try WorkerPool<Void>.with(count: 1, context: {}) { pool in
      let behind = WriteBehind(target, pool)
      let result = try body(behind)
      progress.begin(.flushing, total: 0)
      try pool.submit { try target.syncFileSystem() }.wait()
      if let failure = behind.state.withLock({ $0.failure }) { throw failure }
      return result
    }
  }

  /// So many bytes more were written.
  func note(_ bytes: UInt64) {
    let isDue = state.withLock { state in
      state.pending += bytes
      guard state.pending >= Self.step, !state.isFlushing else { return false }
      state.pending = 0
      state.isFlushing = true
      return true
    }
    guard isDue else { return }
    _ = pool.submit { [target, self] in
      let result = Result { try target.syncFileSystem() }
      state.withLock { state in
        state.isFlushing = false
        if case .failure(let error) = result { state.failure = state.failure ?? error }
      }
    }
  }
}
