internal import CLinux
internal import Glibc

/// A value that threads change under a lock and wait on: a mutex and a condition variable in one.
///
/// `@unchecked Sendable`: `state` is touched only under `mutex`.
@safe package final class Monitor<State>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var state: State

  package init(_ state: sending State) {
    self.state = state
    // SAFETY: both objects are initialised once, here, and destroyed in `deinit`.
    unsafe pthread_mutex_init(mutex, nil)
    unsafe pthread_cond_init(changed, nil)
  }

  deinit {
    unsafe pthread_cond_destroy(changed)
    unsafe pthread_mutex_destroy(mutex)
    unsafe changed.deallocate()
    unsafe mutex.deallocate()
  }

  /// Runs `body` under the lock, then wakes everybody who waits.
  package func withLock<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer {
      unsafe pthread_cond_broadcast(changed)
      unsafe pthread_mutex_unlock(mutex)
    }
    return try body(&state)
  }

  /// Runs `attempt` under the lock now and after each change until it gives a value. Blocks.
  package func wait<Result>(for attempt: (inout State) -> Result?) -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer {
      unsafe pthread_cond_broadcast(changed)
      unsafe pthread_mutex_unlock(mutex)
    }
    while true {
      if let result = attempt(&state) { return result }
      unsafe pthread_cond_wait(changed, mutex)
    }
  }

  /// As `waitWakingNobody`, but for no longer than `limit`. Blocks.
  /// - Returns: `nil` when the time is over.
  package func wait<Result>(atMost limit: Duration, for attempt: (inout State) -> Result?) -> Result? {
    var now = timespec()
    // SAFETY: the call fills the structure.
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    let (seconds, attoseconds) = limit.components
    let nanoseconds = now.tv_nsec + Int(attoseconds / 1_000_000_000)
    var end = timespec(
      tv_sec: now.tv_sec + Int(seconds) + nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000)
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    while true {
      if let result = attempt(&state) { return result }
      // SAFETY: both objects live as long as this one; the call reads the time.
      guard unsafe pthread_cond_clockwait(changed, mutex, CLOCK_MONOTONIC, &end) == 0 else {
        return attempt(&state)
      }
    }
  }

  /// Runs `body` under the lock, then wakes one of those who wait: for queues whose waiters are all alike.
  package func withLockWakingOne<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer {
      unsafe pthread_cond_signal(changed)
      unsafe pthread_mutex_unlock(mutex)
    }
    return try body(&state)
  }

  /// As `wait`, but what `attempt` changes concerns nobody else who waits. Blocks.
  package func waitWakingNobody<Result>(for attempt: (inout State) -> Result?) -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    while true {
      if let result = attempt(&state) { return result }
      unsafe pthread_cond_wait(changed, mutex)
    }
  }
}
