internal import CLinux
internal import Glibc
internal import Synchronization

/// A program that was started to talk with: a socket is its standard input and output, and what it says on
/// standard error is kept.
///
/// It gets SIGTERM when the thread that started it ends, and is gone when nobody has this object any more.
package final class ChildProcess: Sendable {
  private struct State {
    var status: Int32?
    var said: [UInt8] = []
  }

  /// Bytes of its standard error that are kept: the last ones.
  private static let saidLimit = 4096

  /// Our end of its standard input and output.
  package let socket: Socket
  private let identifier: pid_t
  private let errors: Int32
  private let state = Mutex(State())

  private init(_ identifier: pid_t, _ socket: Socket, errors: Int32) {
    self.identifier = identifier
    self.socket = socket
    self.errors = errors
  }

  deinit {
    _ = end(patience: .zero)
    close(errors)
  }

  /// Starts `arguments[0]`, which is looked for in PATH, with these arguments.
  /// - Throws: `SystemError`: there is no such program, or it cannot be run.
  package static func start(_ arguments: [String]) throws -> ChildProcess {
    precondition(!arguments.isEmpty, "a program without a name")
    var channel: [Int32] = [-1, -1]
    var errors: [Int32] = [-1, -1]
    // SAFETY: the call fills the two elements.
    guard unsafe casync_channel(&channel) >= 0 else {
      throw SystemError("create", "a socket pair", errno: errno)
    }
    let socket = Socket(descriptor: channel[0], name: arguments[0])
    defer { close(channel[1]) }
    // SAFETY: as above.
    guard unsafe casync_channel_of_errors(&errors) >= 0 else {
      throw SystemError("create", "a pipe", errno: errno)
    }
    defer { close(errors[1]) }
    let (identifier, number) = spawn(arguments, channel: channel[1], errors: errors[1])
    guard identifier > 0 else {
      close(errors[0])
      throw SystemError("run", arguments[0], errno: number)
    }
    return ChildProcess(identifier, socket, errors: errors[0])
  }

  private static func spawn(_ arguments: [String], channel: Int32, errors: Int32) -> (pid_t, Int32) {
    var words = unsafe arguments.map { unsafe strdup($0) }
    unsafe words.append(nil)
    defer { unsafe words.forEach { unsafe free($0) } }
    // SAFETY: the array ends with a null pointer, and its texts live until the call is done.
    let identifier = unsafe casync_spawn(words, channel, errors)
    return (identifier, errno)
  }

  /// What it has said on standard error, at most the last 4 KiB. To be called now and then while it runs:
  /// it stands still when nobody listens. Does not block.
  package func said() -> String {
    state.withLock { state in
      var bytes = [UInt8](repeating: 0, count: 4096)
      while true {
        // SAFETY: the call fills at most the bytes of the array.
        let (count, _) = retrying { unsafe casync_read(errors, &bytes, bytes.count) }
        guard count > 0 else { break }
        state.said += bytes[..<count]
        state.said = Array(state.said.suffix(Self.saidLimit))
      }
      return String(decoding: state.said, as: UTF8.self)
    }
  }

  /// Ends its standard input: it has been told everything.
  package func endInput() { _ = casync_end_sending(socket.descriptor) }

  /// Takes no more of what it says: it may be waiting for somebody to read.
  package func abandon() { _ = casync_end_channel(socket.descriptor) }

  /// Waits for its end; when `patience` is over it gets SIGTERM, and a second later SIGKILL. Blocks.
  /// - Returns: its exit status; 128 and more for a signal that ended it.
  package func end(patience: Duration) -> Int32 {
    endInput()
    if let status = wait(atMost: patience) { return status }
    kill(identifier, SIGTERM)
    if let status = wait(atMost: .seconds(1)) { return status }
    kill(identifier, SIGKILL)
    return wait(atMost: .seconds(3600)) ?? 128 + SIGKILL
  }

  /// - Returns: the exit status; `nil` when it still runs.
  private func wait(atMost limit: Duration) -> Int32? {
    state.withLock { state in
      if let status = state.status { return status }
      let result = casync_await_child(identifier, Int32(clamping: Int(limit / .milliseconds(1))))
      if result != -1 { state.status = result }
      return state.status
    }
  }
}
