internal import CSSL
internal import Glibc

/// The server's side of one TLS connection, without a socket: what was received goes in, what is to be sent
/// comes out. Does not block. Used by one thread at a time.
@safe package final class TLSChannel {
  /// The longest record of TLS: so much is encrypted at once.
  private static let recordLength = 16 << 10

  private let session: OpaquePointer
  /// What was received, and what is to be sent; the session owns both.
  private let incoming: OpaquePointer
  private let outgoing: OpaquePointer
  private let plaintext = Buffer(count: 16 << 10)
  private var isClosed = false

  package init(_ identity: TLSIdentity) {
    // Failure means no memory: nothing could be done then.
    guard let session = unsafe SSL_new(identity.context), let incoming = unsafe BIO_new(BIO_s_mem()),
      let outgoing = unsafe BIO_new(BIO_s_mem())
    else { preconditionFailure("no memory for a TLS connection") }
    unsafe self.session = session
    unsafe self.incoming = incoming
    unsafe self.outgoing = outgoing
    // SAFETY: the session takes over both buffers and frees them with itself.
    unsafe SSL_set_bio(session, incoming, outgoing)
    unsafe SSL_set_accept_state(session)
  }

  deinit { unsafe SSL_free(session) }

  /// Whether client and server have agreed, so that data may be sent.
  package var isEstablished: Bool { unsafe SSL_is_init_finished(session) == 1 }

  /// Bytes that are to be sent to the client.
  package var outputCount: Int { unsafe BIO_ctrl_pending(outgoing) }

  /// Takes what was received.
  /// - Parameter take: gets what it holds, when client and server have agreed.
  /// - Returns: false when the client broke the protocol, has no certificate that is trusted, or ended the
  ///   stream.
  package func receive(_ bytes: RawSpan, _ take: (RawSpan) -> Void) -> Bool {
    ERR_clear_error()
    let plaintext = plaintext
    // SAFETY: the call copies the bytes of the span. A memory buffer takes all of them.
    let count = unsafe bytes.withUnsafeBytes { unsafe BIO_write(incoming, $0.baseAddress, Int32($0.count)) }
    guard count == bytes.byteCount else { return false }
    while true {
      let memory = unsafe plaintext.pointer(0..<plaintext.count)
      // SAFETY: the call fills at most the memory's bytes; it does the handshake first, if that is not done.
      let count = unsafe SSL_read(session, memory.baseAddress, Int32(memory.count))
      guard count > 0 else { return unsafe SSL_get_error(session, count) == SSL_ERROR_WANT_READ }
      take(plaintext.bytes.extracting(0..<Int(count)))
    }
  }

  /// Encrypts the beginning of `piece`, one record at most.
  /// - Returns: how many bytes; 0 when the connection is of no use any more.
  package func encrypt(_ piece: Socket.Piece) -> Int {
    ERR_clear_error()
    let count = min(piece.range.count, Self.recordLength)
    guard let buffer = piece.buffer else { preconditionFailure("what is encrypted has to be in memory") }
    precondition(
      piece.range.lowerBound >= 0 && piece.range.lowerBound + count <= buffer.count,
      "range outside the buffer")
    // SAFETY: the range lies inside the buffer, which the piece keeps until the call is done.
    let memory = unsafe buffer.pointer(piece.range.lowerBound..<piece.range.lowerBound + count)
    return max(0, Int(unsafe SSL_write(session, memory.baseAddress, Int32(memory.count))))
  }

  /// Tells the client that nothing more comes.
  package func close() {
    guard !isClosed else { return }
    isClosed = true
    // A client that is not there any more misses nothing.
    _ = unsafe SSL_shutdown(session)
  }

  /// Moves what is to be sent into `buffer`.
  /// - Returns: how many bytes.
  package func takeOutput(into buffer: Buffer) -> Int {
    let memory = unsafe buffer.pointer(0..<buffer.count)
    // SAFETY: the call fills at most the memory's bytes.
    return max(0, Int(unsafe BIO_read(outgoing, memory.baseAddress, Int32(clamping: memory.count))))
  }
}
