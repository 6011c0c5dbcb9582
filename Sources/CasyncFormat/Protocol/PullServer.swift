/// The end of a pull that gives: `casync pull`, as a client elsewhere starts it. Without I/O.
package struct PullServer: Sendable {
  /// What the client did.
  package enum Event: Equatable, Sendable {
    /// It said what it wants: now index and archive are to be sent, where they are wanted.
    case begin(RemoteFlags)
    /// It asked for chunks: `popRequest` gives them.
    case requested
    /// It wants nothing more.
    case ended
  }

  /// When so many chunks wait for an answer nothing more needs to be received.
  package static let requestLimit = 65_536

  private var channel: RemoteChannel
  private var queue = RequestQueue()
  private var hasEnded = false

  /// - Parameter offers: what there is: readable flags, at least one.
  package init(offers: RemoteFlags) { channel = RemoteChannel(offers) }

  /// Takes bytes that came; `next` says what they mean.
  package mutating func receive(_ bytes: RawSpan) { channel.receive(bytes) }

  /// The bytes to be sent so far, given once.
  package mutating func takeOutput() -> [UInt8] { channel.takeOutput() }

  /// Chunks that wait for an answer.
  package var requestCount: Int { queue.count }

  /// The chunk to be answered next, with `send`.
  package mutating func popRequest() -> ChunkID? { queue.popFirst() }

  /// Puts a message in line: pieces of index and archive, chunks, an ABORT.
  package mutating func send(_ message: RemoteMessage) { channel.send(message) }

  /// The next thing that the client did; `nil` when there is none yet.
  /// - Throws: `ProtocolError`, from then on always the same.
  package mutating func next() throws(ProtocolError) -> Event? {
    guard !hasEnded, let message = try channel.next() else { return nil }
    switch message {
    case .hello(let wants): return .begin(wants)
    case .request(let isUrgent, let ids) where channel.peer?.contains(.pullChunks) ?? false:
      queue.add(ids, isUrgent: isUrgent)
      return .requested
    case .goodbye:
      hasEnded = true
      return .ended
    default: throw channel.unexpected(message)
    }
  }
}
