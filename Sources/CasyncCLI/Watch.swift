internal import CLinux
internal import CasyncIO
internal import Glibc
internal import Synchronization

/// What runs beside a job: one thread that waits for signals and, between them, calls `tick` every so often.
///
/// SIGINT, SIGTERM and SIGHUP ask the job to stop through its cancellation; a second one ends the process at
/// once. They are blocked in every thread, so that this one takes them; SIGUSR1, blocked too, is how `stop`
/// reaches it.
struct Watch {
  private let thread: Threads
  private let first = First()

  /// The signal that asked the job to stop; 0 for none.
  private final class First: Sendable {
    let signal = Atomic<Int32>(0)
  }

  /// Starts watching. To be called before any other thread is started.
  /// - Parameter tick: called on the watching thread.
  init(_ cancellation: Cancellation, every interval: Duration, tick: @escaping @Sendable () -> Void) {
    let signals = Self.blockSignals()
    let first = first
    thread = Threads(count: 1) {
      while true {
        let signal = Self.next(of: signals, within: interval)
        if signal == SIGUSR1 { return }
        if signal <= 0 {
          tick()
        } else if first.signal.compareExchange(expected: 0, desired: signal, ordering: .relaxed).exchanged {
          cancellation.cancel()
        } else {
          _exit(128 + signal)
        }
      }
    }
  }

  /// Ends the thread.
  /// - Returns: the signal that asked the job to stop, if one did.
  func stop() -> Int32? {
    kill(getpid(), SIGUSR1)
    thread.join()
    let signal = first.signal.load(ordering: .relaxed)
    return signal == 0 ? nil : signal
  }

  /// Blocks the signals that end a job, those left out that our parent ignores (nohup, background jobs).
  private static func blockSignals() -> sigset_t {
    var set = sigset_t()
    // SAFETY: the calls fill the structures that they are given.
    unsafe sigemptyset(&set)
    for number in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
      if number != SIGUSR1, isIgnored(number) { continue }
      unsafe sigaddset(&set, number)
    }
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    return set
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    // SAFETY: the call fills the structure; a handler is a pointer or one of two small numbers, both as wide
    // as Int.
    guard unsafe sigaction(number, nil, &action) == 0 else { return false }
    return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
      == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  /// Waits for one of `signals`.
  /// - Returns: its number; nothing positive when the time is over.
  private static func next(of signals: sigset_t, within interval: Duration) -> Int32 {
    let parts = interval.components
    var time = timespec(tv_sec: Int(parts.seconds), tv_nsec: Int(parts.attoseconds / 1_000_000_000))
    var signals = signals
    // SAFETY: both structures live through the call.
    return unsafe sigtimedwait(&signals, nil, &time)
  }
}
