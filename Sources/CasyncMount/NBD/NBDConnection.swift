internal import Casync
internal import CasyncIO

/// One client of the server: its socket, its session, and what is under way for it. Used by the server's
/// thread alone.
final class NBDConnection {
  /// No more is taken from a client for whom so many bytes are being loaded or wait to be sent. One request
  /// more may come on top.
  private static let byteLimit = 16 << 20
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
    guard loadingCount < Self.requestLimit else { return false }
    let own = bytesUnderWay
    return own == 0 || own < Self.byteLimit && total < limit
  }

  /// Receives what is there, as far as it may be kept.
  func receive(into buffer: Buffer) {
    guard !inputEnded, !isFinishing, session.bufferedCount < Self.inputLimit else { return }
    switch socket.receive(into: buffer, 0..<buffer.count) {
    case .bytes(let count): session.receive(buffer.bytes.extracting(0..<count))
    case .notReady: break
    case .ended: inputEnded = true
    }
  }

  /// Sends what there is room for.
  func send() {
    while !replies.isEmpty, !isBroken {
      switch socket.send(replies.front) {
      case .bytes(let count): replies.drop(count)
      case .notReady: return
      case .ended: isBroken = true
      }
    }
  }

  /// Whether nothing more will happen here.
  var isOver: Bool {
    isBroken || (isFinishing || inputEnded) && loadingCount == 0 && replies.isEmpty
  }

  /// What the socket has to be waited for.
  func wantedInterest(mayTake: Bool) -> Poller.Interest {
    var interest: Poller.Interest = []
    if mayTake, !inputEnded, session.bufferedCount < Self.inputLimit { interest.insert(.readable) }
    if !replies.isEmpty { interest.insert(.writable) }
    return interest
  }
}
