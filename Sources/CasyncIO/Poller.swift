internal import CLinux
internal import Glibc

/// Waits for many descriptors at once (epoll(7)), and for a call of `wake` from another thread.
///
/// What is added is named by a token. Readiness is told as long as it lasts, not once.
package final class Poller: Sendable {
  /// What a descriptor is waited for. Errors are always told.
  package struct Interest: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let readable = Interest(rawValue: 1)
    package static let writable = Interest(rawValue: 2)
  }

  /// What became of a descriptor.
  package struct Event: Sendable {
    package let token: UInt64
    package let isReadable: Bool
    package let isWritable: Bool
    /// Its other end is gone in both directions.
    package let isBroken: Bool
  }

  private static let wakeToken = UInt64.max
  private let descriptor: Int32
  private let wakeDescriptor: Int32

  /// - Throws: `SystemError` when the process has no descriptor left.
  package init() throws {
    descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard descriptor >= 0 else { throw SystemError("create", "an epoll instance", errno: errno) }
    wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
    guard wakeDescriptor >= 0 else { throw SystemError("create", "an eventfd", errno: errno) }
    try control(EPOLL_CTL_ADD, wakeDescriptor, .readable, Self.wakeToken, "an eventfd")
  }

  deinit {
    if wakeDescriptor >= 0 { close(wakeDescriptor) }
    if descriptor >= 0 { close(descriptor) }
  }

  /// Starts to wait for `socket`; it is forgotten when it is closed.
  /// - Precondition: `token` is less than the greatest.
  package func add(_ socket: Socket, _ interest: Interest, token: UInt64) throws {
    try control(EPOLL_CTL_ADD, socket.descriptor, interest, token, socket.name)
  }

  /// Waits for something else of `socket` from now on.
  package func change(_ socket: Socket, to interest: Interest, token: UInt64) throws {
    try control(EPOLL_CTL_MOD, socket.descriptor, interest, token, socket.name)
  }

  /// Waits for `socket` no longer.
  package func remove(_ socket: Socket) {
    // It fails only for what was not added.
    _ = casync_epoll_control(descriptor, EPOLL_CTL_DEL, socket.descriptor, 0, 0)
  }

  private func control(
    _ operation: Int32, _ file: Int32, _ interest: Interest, _ token: UInt64, _ name: String
  ) throws {
    var events: UInt32 = 0
    if interest.contains(.readable) { events |= casync_epollin }
    if interest.contains(.writable) { events |= casync_epollout }
    let (result, number) = retrying { casync_epoll_control(descriptor, operation, file, events, token) }
    guard result == 0 else { throw SystemError("wait for", name, errno: number) }
  }

  /// Ends the present or the next `wait`. May be called by any thread; does not block.
  package func wake() {
    var one: UInt64 = 1
    // SAFETY: the call reads the eight bytes. It fails only when so many calls are pending that one more says
    // nothing.
    _ = unsafe casync_write(wakeDescriptor, &one, 8)
  }

  /// Waits until something happens, but no longer than `limit`. Blocks.
  /// - Parameter awake: how long it looks again and again, giving way to other threads, before it sleeps.
  /// - Returns: at most 64 events; none when the time is over or somebody called `wake`.
  package func wait(atMost limit: Duration, awakeFor awake: Duration = .zero) throws -> [Event] {
    if awake > .zero {
      let end = ContinuousClock.now + awake
      repeat {
        if let events = try look(0) { return events }
        sched_yield()
      } while ContinuousClock.now < end
    }
    return try look(Int32(clamping: Int(limit / .milliseconds(1)))) ?? []
  }

  /// - Returns: what happened, none for a `wake`; `nil` when the time is over.
  private func look(_ milliseconds: Int32) throws -> [Event]? {
    var tokens = [UInt64](repeating: 0, count: 64)
    var events = [UInt32](repeating: 0, count: 64)
    // SAFETY: both arrays have the 64 elements that the call may fill.
    let count = unsafe casync_epoll_wait(descriptor, &tokens, &events, milliseconds)
    let number = errno
    guard count >= 0 else {
      if number == EINTR { return [] }
      throw SystemError("wait for", "sockets", errno: number)
    }
    guard count > 0 else { return nil }
    var result = [Event]()
    for index in 0..<Int(count) {
      if tokens[index] == Self.wakeToken {
        var value: UInt64 = 0
        // SAFETY: the call fills the eight bytes. When there is nothing to read, nothing is what is wanted.
        _ = unsafe casync_read(wakeDescriptor, &value, 8)
        continue
      }
      let bits = events[index]
      result.append(
        Event(
          token: tokens[index], isReadable: bits & casync_epollin != 0,
          isWritable: bits & casync_epollout != 0,
          isBroken: bits & (casync_epollhup | casync_epollerr) != 0))
    }
    return result
  }
}
