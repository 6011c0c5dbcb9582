internal import CLinux
internal import Glibc

/// A node /dev/nbdN and the calls on it (linux/nbd.h), by which a process that stays hands a connection to
/// the kernel. Where there is netlink this is not needed.
package final class NBDNode: Sendable {
  private let file: File
  private var path: String { file.path }

  /// open(2) of the node, which does not wait for anything and reads nothing.
  package init(_ path: String) throws { file = try File.open(path, [.readWrite, .nonBlocking]) }

  private func call(_ operation: String, _ call: UInt, _ argument: UInt) throws {
    let (result, number) = retrying { casync_nbd(file.descriptor, call, argument) }
    guard result >= 0 else { throw SystemError(operation, path, errno: number) }
  }

  /// Gives the device its connection.
  /// - Throws: `SystemError`: `isBusy` when it has one.
  package func attach(_ socket: Socket) throws {
    try call("attach", casync_nbd_set_sock, UInt(socket.number))
  }

  /// Says what the device is.
  /// - Parameters:
  ///   - flags: the transmission flags of the NBD protocol.
  ///   - timeout: seconds that a request may take.
  package func describe(size: UInt64, blockSize: Int, flags: UInt16, timeout: UInt64) throws {
    try call("set the block size of", casync_nbd_set_blksize, UInt(blockSize))
    try call("set the size of", casync_nbd_set_size_blocks, UInt(size / UInt64(blockSize)))
    try call("set the flags of", casync_nbd_set_flags, UInt(flags))
    try call("set the time limit of", casync_nbd_set_timeout, UInt(timeout))
  }

  /// Has the kernel use the connection. Blocks until `detach`, or until the connection ends.
  package func serve() {
    // However it ends, the device is gone then.
    _ = casync_nbd(file.descriptor, casync_nbd_do_it, 0)
  }

  /// Ends the connection, after telling the server; whoever reads gets errors.
  package func detach() throws {
    try call("detach", casync_nbd_disconnect, 0)
    try call("detach", casync_nbd_clear_sock, 0)
  }
}

/// What a process must be that the kernel's own writing may wait for.
package enum DeviceBacking {
  /// Has the kernel take memory for this process without writing through the device that it serves, and keeps
  /// what it touches in memory. To be called before other threads are started, which inherit it. Without
  /// the privilege nothing happens; then no device can be attached either.
  package static func prepare() { casync_prepare_to_back_device() }
}
