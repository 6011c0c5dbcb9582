import CasyncIO

/// How long stores that cannot be reached are asked again. One for all loads: what is asked for when they
/// have been away for longer fails after one try, so that nothing waits in a queue of hopeless loads.
final class Outage: Sendable {
  private struct State {
    /// The first failure since something was fetched.
    var since: ContinuousClock.Instant?
    var isClosed = false
  }

  private static let pause = Duration.milliseconds(250)
  private let state = Monitor(State())
  private let limit: Duration

  init(limit: Duration) { self.limit = limit }

  /// Something was fetched.
  func end() {
    state.withLockWakingOne { $0.since = nil }
  }

  /// A load failed that began at `start`. Waits a little when it should be tried again.
  func shallRetry(_ start: ContinuousClock.Instant) -> Bool {
    let since = state.withLockWakingOne { state in
      let since = state.since ?? .now
      state.since = since
      return min(since, start)
    }
    guard since.duration(to: .now) < limit else { return false }
    return state.wait(atMost: Self.pause) { $0.isClosed ? true : nil } == nil
  }

  /// Nobody waits any more.
  func close() {
    state.withLock { $0.isClosed = true }
  }
}
