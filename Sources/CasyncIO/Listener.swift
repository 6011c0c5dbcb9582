internal import CLinux
internal import Glibc

/// A socket that others connect to: at a path, at an address, or one that systemd opened for us.
package final class Listener: Sendable {
  /// Where it listens.
  package enum Address: Sendable, Equatable {
    case path(String)
    /// A numeric host and a port.
    case tcp(host: String, port: UInt16)
  }

  package let socket: Socket
  package let address: Address
  /// The socket's file that we made, and its inode: removed at the end when it is still the same.
  private let made: (path: String, inode: UInt64)?

  private init(_ socket: Socket, _ address: Address, made: (path: String, inode: UInt64)? = nil) {
    self.socket = socket
    self.address = address
    self.made = made
  }

  deinit {
    guard let made, let status = try? File.status(made.path), status.inode == made.inode else { return }
    // A file that cannot be removed now is replaced by the next server at this path.
    _ = try? FileSystem.remove(made.path)
  }

  /// Listens at `path`. A socket that a dead server left there is replaced.
  /// - Throws: `SystemError`: EADDRINUSE when somebody listens there or the file is no socket.
  package static func unix(_ path: String) throws -> Listener {
    let socket = try stream(AF_UNIX, "the socket \(path)")
    let length = path.utf8.count
    var (result, number) = retrying { unsafe casync_bind_unix(socket.descriptor, path, length) }
    if result != 0, number == EADDRINUSE, try isStale(path) {
      try FileSystem.remove(path)
      (result, number) = retrying { unsafe casync_bind_unix(socket.descriptor, path, length) }
    }
    guard result == 0 else { throw SystemError("listen at", path, errno: number) }
    let inode = try File.status(path)?.inode
    let listener = Listener(socket, .path(path), made: inode.map { (path, $0) })
    try listener.start()
    return listener
  }

  /// Whether a socket lies at `path` to which nobody listens.
  private static func isStale(_ path: String) throws -> Bool {
    guard try File.status(path)?.kind == .pipe else { return false }
    let probe = try stream(AF_UNIX, "a socket")
    let (result, number) = retrying { unsafe casync_connect_unix(probe.descriptor, path, path.utf8.count) }
    return result != 0 && number == ECONNREFUSED
  }

  /// Listens at a host's address or name; an empty one is every address. Port 0 is one that is free.
  /// - Throws: `SystemError`.
  package static func tcp(host: String, port: String) throws -> Listener {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = host.isEmpty ? AF_INET6 : AF_UNSPEC
    unsafe hints.ai_socktype = 1
    unsafe hints.ai_flags = Int32(AI_PASSIVE)
    var found: UnsafeMutablePointer<addrinfo>?
    let subject = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    // SAFETY: the call fills `found` with a list that is freed below; the strings live through it.
    let status = unsafe getaddrinfo(host.isEmpty ? "::" : host, port, &hints, &found)
    guard status == 0, let first = unsafe found else {
      throw SystemError("listen at", subject, errno: EADDRNOTAVAIL)
    }
    defer { unsafe freeaddrinfo(first) }
    let socket = try unsafe stream(first.pointee.ai_family, subject)
    _ = casync_set_option(socket.descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
    if host.isEmpty { _ = casync_set_option(socket.descriptor, 41, IPV6_V6ONLY, 0) }
    let (result, number) = retrying {
      unsafe bind(socket.descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen)
    }
    guard result == 0 else { throw SystemError("listen at", subject, errno: number) }
    let listener = Listener(socket, try localAddress(of: socket.descriptor, subject))
    try listener.start()
    return listener
  }

  /// The sockets that systemd passed (sd_listen_fds(3)): descriptors from 3 on.
  /// - Throws: `SystemError` when one of them is no listening socket.
  package static func inherited(count: Int) throws -> [Listener] {
    try (3..<3 + max(0, count)).map { number in
      let descriptor = Int32(number)
      let name = "the passed descriptor \(number)"
      guard casync_is_listening(descriptor) == 1 else {
        throw SystemError("accept on", name, errno: ENOTSOCK)
      }
      guard casync_make_private(descriptor) >= 0 else { throw SystemError("accept on", name, errno: errno) }
      return Listener(Socket(descriptor: descriptor, name: name), try localAddress(of: descriptor, name))
    }
  }

  private static func stream(_ family: Int32, _ name: String) throws -> Socket {
    let descriptor = casync_stream_socket(family)
    guard descriptor >= 0 else { throw SystemError("create", name, errno: errno) }
    return Socket(descriptor: descriptor, name: name)
  }

  private func start() throws {
    guard casync_listen(socket.descriptor, 128) == 0 else {
      throw SystemError("listen at", socket.name, errno: errno)
    }
  }

  private static func localAddress(of descriptor: Int32, _ name: String) throws -> Address {
    var host = [CChar](repeating: 0, count: 128)
    var port: UInt16 = 0
    // SAFETY: the array has the 128 bytes that the call fills, a zero among them.
    let family = unsafe casync_local_address(descriptor, &host, &port)
    guard family >= 0 else { throw SystemError("examine", name, errno: errno) }
    let text = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return family == AF_UNIX ? .path(text) : .tcp(host: text, port: port)
  }

  /// What became of a call of `accept`.
  package enum Accepted: Sendable {
    case connection(Socket)
    /// Nobody waits.
    case none
    /// The process or the system has no descriptors left.
    case exhausted
  }

  /// accept(2) of one connection that waits. Does not block.
  package func accept() -> Accepted {
    let (descriptor, number) = retrying { casync_accept(socket.descriptor) }
    guard descriptor >= 0 else {
      return [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(number) ? .exhausted : .none
    }
    let connection = Socket(descriptor: descriptor, name: "a connection")
    if case .tcp = address {
      // Hints: a connection works without them.
      _ = casync_set_option(descriptor, 6, TCP_NODELAY, 1)
      _ = casync_set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
    } else {
      casync_set_room(descriptor, Socket.localRoom)
    }
    return .connection(connection)
  }
}
