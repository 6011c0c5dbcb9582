internal import CLinux
internal import Glibc

/// This program once more, as one that goes on when we are gone: started, waited for until it is ready, and
/// left alone.
package enum Daemon {
  /// How the start went.
  package struct Start: Sendable {
    /// What it said on standard error until it was ready, or ended.
    package let said: String
    /// Its exit status, when it ended without being ready.
    package let failure: Int32?
  }

  /// The descriptor on which it says that it is ready: writes a line and closes it.
  package static let readyDescriptor: Int32 = 3

  /// Starts the program with these arguments. Blocks until it is ready or has ended.
  /// - Throws: `SystemError` when it cannot be started.
  package static func start(_ arguments: [String]) throws -> Start {
    let (ready, readyEnd) = try pipe()
    let (errors, errorsEnd) = try pipe()
    var words = unsafe arguments.map { word in unsafe strdup(word) }
    unsafe words.append(nil)
    defer { unsafe words.forEach { unsafe free($0) } }
    // SAFETY: the array ends with a null pointer, and its texts live until the call is done.
    let process = unsafe casync_spawn_daemon(words, errorsEnd, readyEnd)
    let number = errno
    close(readyEnd)
    close(errorsEnd)
    guard process > 0 else { throw SystemError("start", "/proc/self/exe", errno: number) }
    guard try ready.readAll(limit: 64).isEmpty else {
      try errors.setNonBlocking()
      return Start(said: waitingText(errors), failure: nil)
    }
    let said = try errors.readAll(limit: 1 << 20)
    return Start(said: String(decoding: said, as: UTF8.self), failure: status(of: process))
  }

  private static func pipe() throws -> (File, writeEnd: Int32) {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the call fills the two elements.
    guard unsafe casync_pipe(&ends) == 0 else { throw SystemError("create", "a pipe", errno: errno) }
    return (File(adopting: ends[0], path: "a pipe"), ends[1])
  }

  /// What was said so far; it may go on, to nobody.
  private static func waitingText(_ errors: File) -> String {
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    // SAFETY: the call fills at most the bytes of the array.
    let (count, _) = retrying { unsafe casync_read(errors.descriptor, &bytes, bytes.count) }
    return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
  }

  private static func status(of process: pid_t) -> Int32 {
    var raw: Int32 = 0
    // SAFETY: the call fills the number.
    let (result, _) = retrying { unsafe waitpid(process, &raw, 0) }
    // The upper byte is what it exited with, the lower the signal that ended it (wait(2)).
    return result == process ? (raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f) : 1
  }
}
