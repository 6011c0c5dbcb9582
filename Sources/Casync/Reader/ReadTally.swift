internal import Synchronization

/// What a server of images did, for its summary.
package struct ReadSummary: Sendable {
  /// Requests of clients, and their bytes.
  package var reads = 0
  package var readBytes: UInt64 = 0
  package var writes = 0
  package var writtenBytes: UInt64 = 0
  /// Requests that were answered by an error.
  package var failures = 0
  /// Chunks that came from a store, their bytes, and their bytes as they were stored.
  package var fetchedChunks = 0
  package var loadedBytes: UInt64 = 0
  package var fetchedBytes: UInt64 = 0
  /// The time in which at least one read waited for a chunk from a store.
  package var stall = Duration.zero
  /// Since the server began.
  package var duration = Duration.zero
}

/// Counts while images are served. Shared by all threads.
final class ReadTally: Sendable {
  private struct State {
    var summary = ReadSummary()
    var waiting = 0
    var since = ContinuousClock.now
  }

  private let state = Mutex(State())
  private let start = ContinuousClock.now

  /// What was done so far.
  var summary: ReadSummary {
    state.withLock { state in
      var summary = state.summary
      if state.waiting > 0 { summary.stall += state.since.duration(to: .now) }
      summary.duration = start.duration(to: .now)
      return summary
    }
  }

  func count(_ change: (inout ReadSummary) -> Void) { state.withLock { change(&$0.summary) } }

  /// Whether a read waits for a store.
  var isWaiting: Bool { state.withLock { $0.waiting > 0 } }

  /// A read begins to wait for a store.
  func beginWait() {
    state.withLock { state in
      if state.waiting == 0 { state.since = .now }
      state.waiting += 1
    }
  }

  func endWait() {
    state.withLock { state in
      state.waiting -= 1
      if state.waiting == 0 { state.summary.stall += state.since.duration(to: .now) }
    }
  }
}
