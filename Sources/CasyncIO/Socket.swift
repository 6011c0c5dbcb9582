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

  /// socketpair(2): two ends of one connection.
  package static func pair(_ name: String) throws -> (Socket, Socket) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      // SAFETY: the call fills the two numbers.
      unsafe casync_socket_pair(bytes.baseAddress?.assumingMemoryBound(to: Int32.self))
    }
    guard result == 0 else { throw SystemError("create", name, errno: errno) }
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
    if count >= 0 { return .bytes(count) }
    return number == EAGAIN || number == EWOULDBLOCK || number == ENOBUFS ? .notReady : .ended
  }

  /// A piece of what is to be sent.
  package struct Piece: Sendable {
    package let buffer: Buffer
    package var range: Range<Int>

    package init(_ buffer: Buffer, _ range: Range<Int>) {
      self.buffer = buffer
      self.range = range
    }
  }

  /// Most pieces that one call sends.
  package static let pieceLimit = 64

  /// sendmsg(2) of the first pieces of `pieces`, as much as there is room for.
  package func send(_ pieces: some Sequence<Piece>) -> Transfer {
    var parts = unsafe [iovec]()
    for piece in pieces.prefix(Self.pieceLimit) {
      precondition(
        piece.range.lowerBound >= 0 && piece.range.upperBound <= piece.buffer.count,
        "range outside the buffer")
      // SAFETY: the range lies inside the buffer, which the caller's pieces keep until the call is done.
      let memory = unsafe piece.buffer.pointer(piece.range)
      unsafe parts.append(iovec(iov_base: memory.baseAddress, iov_len: memory.count))
    }
    let (count, number) = unsafe parts.withUnsafeMutableBufferPointer { parts in
      var message = unsafe msghdr()
      unsafe message.msg_iov = parts.baseAddress
      unsafe message.msg_iovlen = parts.count
      // SAFETY: the message names `parts.count` parts, all of which are alive.
      return retrying { unsafe sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL)) }
    }
    if count >= 0 { return .bytes(count) }
    return number == EAGAIN || number == EWOULDBLOCK || number == ENOBUFS ? .notReady : .ended
  }
}
