internal import Glibc
import Synchronization

/// A request to stop, made by a signal or by a caller's own thread and looked at once a chunk by all others.
public final class Cancellation: Sendable {
  private let requested = Atomic(false)

  public init() {}

  /// Asks everybody who holds this object to stop. Does not block.
  public func cancel() {
    requested.store(true, ordering: .relaxed)
  }

  /// Whether somebody asked.
  public var isCancelled: Bool { requested.load(ordering: .relaxed) }

  /// - Throws: `CancellationError` once somebody asked.
  package func check() throws {
    if isCancelled { throw CancellationError() }
  }

  /// Waits until somebody asks, but no longer than `limit`. Blocks.
  /// - Returns: whether somebody asked.
  package func wait(atMost limit: Duration = .seconds(Int64.max / 2)) -> Bool {
    let start = ContinuousClock.now
    while !isCancelled {
      let rest = limit - start.duration(to: .now)
      guard rest > .zero else { break }
      usleep(UInt32(min(rest, .milliseconds(100)) / .microseconds(1)))
    }
    return isCancelled
  }
}
