internal import CLinux
internal import Glibc

/// A socket to the kernel's generic netlink (netlink(7)): messages of bytes, whose form is the caller's.
package final class NetlinkSocket: Sendable {
  private static let name = "the kernel's netlink"
  private let descriptor: Int32

  /// - Throws: `SystemError`, also on a kernel without netlink.
  package init() throws {
    descriptor = casync_netlink_socket()
    guard descriptor >= 0 else { throw SystemError("connect to", Self.name, errno: errno) }
  }

  deinit { close(descriptor) }

  /// Sends one message. Blocks as long as the kernel takes to do what it says.
  package func send(_ message: [UInt8]) throws {
    // SAFETY: the call reads the array's bytes.
    let (count, number) = retrying { unsafe Glibc.send(descriptor, message, message.count, 0) }
    guard count == message.count else { throw SystemError("write to", Self.name, errno: number) }
  }

  /// The next datagram: one message, or several. Blocks.
  package func receive() throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    // SAFETY: the call fills at most the array's bytes.
    let (count, number) = retrying { unsafe recv(descriptor, &bytes, bytes.count, 0) }
    guard count >= 0 else { throw SystemError("read from", Self.name, errno: number) }
    return Array(bytes.prefix(count))
  }
}
