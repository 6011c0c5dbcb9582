internal import Synchronization

/// What was received from servers, in bytes: bodies and headers as HTTP has them, tries that failed included.
final class Traffic: Sendable {
  private let count = Atomic<UInt64>(0)

  var received: UInt64 { count.load(ordering: .relaxed) }

  func add(_ bytes: Int) { count.add(UInt64(max(0, bytes)), ordering: .relaxed) }
}
