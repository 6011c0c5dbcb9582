internal import CLinux
internal import Glibc

/// A stream socket that never blocks, listening or connected. Closed with its last reference.
package final class Socket: Sendable {
  let descriptor: Int32
  /// Who it is, for messages.
  package let name: String

  init(descriptor: Int32, name: String) {
    self.descriptor = descriptor
    self.name = name
  }

  deinit {
    close(descriptor)
  }

  /// Bytes that a connection inside this machine holds for its reader: with the usual 208 KiB sender and
  /// reader wait for each other within one answer of an NBD server.
  static let localRoom: Int32 = 1 << 20

  /// socketpair(2): two ends of one connection; the first is the one that sends much.
  package static func pair(_ name: String) throws -> (Socket, Socket) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      // SAFETY: the call fills the two numbers.
      unsafe casync_socket_pair(bytes.baseAddress?.assumingMemoryBound(to: Int32.self))
    }
    guard result == 0 else { throw SystemError("create", name, errno: errno) }
    casync_set_room(ends.0, localRoom)
    return (Socket(descriptor: ends.0, name: name), Socket(descriptor: ends.1, name: name))
  }

  /// The descriptor's number, to be told to the kernel. It is valid as long as this object.
  package var number: UInt32 { UInt32(bitPattern: descriptor) }

  /// Whether the other end is closed everywhere and nothing is left to be received.
  package var isHungUp: Bool {
    var byte: UInt8 = 0
    // SAFETY: the call fills at most the one byte, and takes nothing off the stream.
    let (count, _) = retrying { unsafe recv(descriptor, &byte, 1, Int32(MSG_PEEK)) }
    return count == 0
  }

  /// What a call on a socket that does not block did.
  package enum Transfer: Sendable {
    /// So many bytes went over.
    case bytes(Int)
    /// Nothing for now: wait until the socket is ready.
    case notReady
    /// The other end has ended its stream, or is gone.
    case ended
  }

  /// Waits until the socket has bytes, or room for some, or its other end is gone; no longer than `limit`.
  /// - Returns: false when the time is over.
  /// - Throws: `CancellationError` within a fraction of a second after somebody asked.
  package func wait(
    for readiness: File.Readiness, atMost limit: Duration, _ cancellation: Cancellation
  ) throws -> Bool {
    var request = pollfd(fd: descriptor, events: Int16(readiness == .readable ? POLLIN : POLLOUT), revents: 0)
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
      try cancellation.check()
      // SAFETY: the kernel fills the one structure.
      let (count, number) = retrying { unsafe poll(&request, 1, 200) }
      guard count >= 0 else { throw SystemError("wait for", name, errno: number) }
      if count > 0 { return true }
    }
    return false
  }

  /// recv(2) into `range` of `buffer`, as much as is there.
  package func receive(into buffer: Buffer, _ range: Range<Int>) -> Transfer {
    precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count, "range outside the buffer")
    // SAFETY: the range lies inside the buffer, which this call borrows.
    let memory = unsafe buffer.pointer(range)
    let (count, number) = retrying { unsafe recv(descriptor, memory.baseAddress, memory.count, 0) }
    if count > 0 { return .bytes(count) }
    return count < 0 && (number == EAGAIN || number == EWOULDBLOCK) ? .notReady : .ended
  }

  /// send(2) of `bytes`, as much as there is room for.
  package func send(_ bytes: RawSpan) -> Transfer {
    // SAFETY: the call reads exactly the bytes of the span.
    let (count, number) = unsafe bytes.withUnsafeBytes { memory in
      retrying { unsafe Glibc.send(descriptor, memory.baseAddress, memory.count, Int32(MSG_NOSIGNAL)) }
    }
    return Self.transfer(count, number)
  }

  /// A piece of what is to be sent: bytes in memory, or in a file.
  package struct Piece: Sendable {
    package enum Source: Sendable {
      case memory(Buffer)
      case file(File)
    }

    package let source: Source
    package var range: Range<Int>

    package init(_ buffer: Buffer, _ range: Range<Int>) {
      source = .memory(buffer)
      self.range = range
    }

    /// Bytes of a file that does not become shorter before they are sent, as they are then.
    package init(_ file: File, _ range: Range<Int>) {
      source = .file(file)
      self.range = range
    }

    /// The memory with the bytes; `nil` for those of a file.
    package var buffer: Buffer? {
      if case .memory(let buffer) = source { buffer } else { nil }
    }
  }

  /// Most pieces that one call sends.
  package static let pieceLimit = 64

  /// Sends the first pieces of `pieces`, as much as there is room for: those in memory by sendmsg(2), one of
  /// a file by sendfile(2), which copies nothing. The process has to ignore SIGPIPE.
  package func send(_ pieces: ArraySlice<Piece>) -> Transfer {
    if let first = pieces.first, case .file(let file) = first.source { return send(file, first.range) }
    var parts = unsafe [iovec]()
    var flags = Int32(MSG_NOSIGNAL)
    for piece in pieces.prefix(Self.pieceLimit) {
      guard let buffer = piece.buffer else {
        flags |= Int32(MSG_MORE)
        break
      }
      precondition(
        piece.range.lowerBound >= 0 && piece.range.upperBound <= buffer.count, "range outside the buffer")
      // SAFETY: the range lies inside the buffer, which the caller's pieces keep until the call is done.
      let memory = unsafe buffer.pointer(piece.range)
      unsafe parts.append(iovec(iov_base: memory.baseAddress, iov_len: memory.count))
    }
    let (count, number) = unsafe parts.withUnsafeMutableBufferPointer { parts in
      var message = unsafe msghdr()
      unsafe message.msg_iov = parts.baseAddress
      unsafe message.msg_iovlen = parts.count
      // SAFETY: the message names `parts.count` parts, all of which are alive.
      return retrying { unsafe sendmsg(descriptor, &message, flags) }
    }
    return Self.transfer(count, number)
  }

  private func send(_ file: File, _ range: Range<Int>) -> Transfer {
    let (count, number) = retrying {
      casync_sendfile(descriptor, file.descriptor, off_t(range.lowerBound), range.count)
    }
    // Of a file that ends before the range does nothing is sent, and the answer cannot be finished.
    return count == 0 ? .ended : Self.transfer(count, number)
  }

  /// What a call that sends has done.
  private static func transfer(_ count: Int, _ number: Int32) -> Transfer {
    if count >= 0 { return .bytes(count) }
    return number == EAGAIN || number == EWOULDBLOCK || number == ENOBUFS ? .notReady : .ended
  }
}
