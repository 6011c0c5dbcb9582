internal import Casync
internal import CasyncIO

/// One client of the server: its socket, its session, and what is under way for it. Used by the server's
/// thread alone.
final class NBDConnection {
  /// No more is taken from a client for whom so many bytes are being loaded or wait to be sent. One request
  /// more may come on top.
  private static let byteLimit = 16 << 20
  /// Nor while so many bytes wait to be sent: what is sent soon after it was read is still in the
  /// processor's cache.
  private static let replyLimit = 1 << 20
  /// Nor with so many requests being loaded.
  private static let requestLimit = 256
  /// Bytes that may wait to be taken from the input: the longest option, and more.
  private static let inputLimit = 2 * NBDSession.Limits.option

  let token: UInt64
  let socket: Socket
  /// Whether the client is this machine's kernel, for a device of ours.
  let isAttached: Bool
  let since = ContinuousClock.now
  var session: NBDSession
  private var tls: TLSChannel?
  var isEncrypted: Bool { tls != nil }
  /// What the socket did not take yet of what TLS gave.
  private var ciphertext: (buffer: Buffer, range: Range<Int>)?
  var replies: ReplyQueue
  /// Requests that are being loaded, and the bytes that their answers will have.
  private(set) var loadingCount = 0
  private(set) var loadingBytes = 0
  /// The client sends nothing more.
  private var inputEnded = false
  /// To be closed when everything is answered.
  var isFinishing = false
  /// To be closed now.
  var isBroken = false
  var interest: Poller.Interest = [.readable]

  init(token: UInt64, socket: Socket, session: NBDSession, isAttached: Bool = false, zeros: Buffer) {
    self.token = token
    self.socket = socket
    self.session = session
    self.isAttached = isAttached
    replies = ReplyQueue(zeros: zeros)
  }

  /// Bytes of memory that this client makes the server hold, roughly.
  var bytesUnderWay: Int { loadingBytes + replies.count + session.payloadCount }

  func beginLoading(bytes: Int) {
    loadingCount += 1
    loadingBytes += bytes
  }

  func endLoading(bytes: Int) {
    loadingCount -= 1
    loadingBytes -= bytes
  }

  /// Whether another request may be taken, when all clients together have `total` bytes under way.
  func mayTake(total: Int, limit: Int) -> Bool {
    guard !isFinishing, !isBroken else { return false }
    // A write that was begun is taken to its end: its memory is counted already.
    guard session.payloadCount == 0 else { return true }
    guard loadingCount < Self.requestLimit, replies.count < Self.replyLimit else { return false }
    let own = bytesUnderWay
    return own == 0 || own < Self.byteLimit && total < limit
  }

  /// Receives what is there, as far as it may be kept.
  func receive(into buffer: Buffer) {
    guard !inputEnded, !isFinishing, session.bufferedCount < Self.inputLimit else { return }
    switch socket.receive(into: buffer, 0..<buffer.count) {
    case .bytes(let count): take(buffer.bytes.extracting(0..<count))
    case .notReady: break
    case .ended: inputEnded = true
    }
  }

  private func take(_ bytes: RawSpan) {
    guard let tls else { return session.receive(bytes) }
    if !tls.receive(bytes, { session.receive($0) }) { inputEnded = true }
  }

  /// Sends what there is room for.
  func send() {
    while !isBroken {
      encrypt()
      guard let front = nextPieces() else { return }
      switch socket.send(front) {
      case .bytes(let count): drop(count)
      case .notReady: return
      case .ended: isBroken = true
      }
    }
  }

  /// What goes to the socket next; `nil` when there is nothing.
  private func nextPieces() -> ArraySlice<Socket.Piece>? {
    if let ciphertext { return [Socket.Piece(ciphertext.buffer, ciphertext.range)] }
    return tls == nil && !replies.isEmpty ? replies.front : nil
  }

  private func drop(_ count: Int) {
    guard let (buffer, range) = ciphertext else { return replies.drop(count) }
    ciphertext = count == range.count ? nil : (buffer, range.lowerBound + count..<range.upperBound)
  }

  // MARK: TLS

  private static let ciphertextLength = 64 << 10

  /// Goes on through TLS. What is to be sent already, answers to options, goes before it as it is.
  func startTLS(_ identity: TLSIdentity) {
    let plain = Buffer(count: replies.count)
    var end = 0
    while !replies.isEmpty {
      for piece in replies.front {
        guard let buffer = piece.buffer else { preconditionFailure("no answers to reads before TLS") }
        plain.copy(piece.range, of: buffer, to: end)
        end += piece.range.count
      }
      replies.drop(end)
    }
    if end > 0 { ciphertext = (plain, 0..<end) }
    tls = TLSChannel(identity)
  }

  /// Makes ciphertext of the answers, when the last was sent.
  private func encrypt() {
    guard let tls, ciphertext == nil else { return }
    while tls.isEstablished, tls.outputCount < Self.ciphertextLength, let piece = replies.front.first {
      let count = tls.encrypt(piece)
      guard count > 0 else { return isBroken = true }
      replies.drop(count)
    }
    if isFinishing, loadingCount == 0, replies.isEmpty { tls.close() }
    guard tls.outputCount > 0 else { return }
    let buffer = Buffer(count: tls.outputCount)
    ciphertext = (buffer, 0..<tls.takeOutput(into: buffer))
  }

  // MARK: The end

  private var hasOutput: Bool { !replies.isEmpty || ciphertext != nil || (tls?.outputCount ?? 0) > 0 }

  /// Whether nothing more will happen here.
  var isOver: Bool {
    isBroken || (isFinishing || inputEnded) && loadingCount == 0 && !hasOutput
  }

  /// What the socket has to be waited for.
  func wantedInterest(mayTake: Bool) -> Poller.Interest {
    var interest: Poller.Interest = []
    if mayTake, !inputEnded, session.bufferedCount < Self.inputLimit { interest.insert(.readable) }
    if hasOutput { interest.insert(.writable) }
    return interest
  }
}
