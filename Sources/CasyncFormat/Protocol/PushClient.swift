/// The end of a push that gives: an index with its chunks, or an archive, to a `casync push` elsewhere.
/// Without I/O.
package struct PushClient: Sendable {
  /// What the server did.
  package enum Event: Equatable, Sendable {
    /// It said HELLO.
    case connected
    /// It asked for chunks: `popRequest` gives them.
    case requested
    /// Everything is in its place.
    case done
  }

  private var channel: RemoteChannel
  private let wants: RemoteFlags
  private var queue = RequestQueue()
  private var isDone = false
  private var isIndexSent = false
  private var isArchiveSent = false

  /// - Parameter wants: what the HELLO asks for: push flags, at least one.
  package init(wants: RemoteFlags) {
    self.wants = wants
    channel = RemoteChannel(wants)
    isIndexSent = !wants.contains(.pushIndex)
    isArchiveSent = !wants.contains(.pushArchive)
  }

  /// Takes bytes that came; `next` says what they mean.
  package mutating func receive(_ bytes: RawSpan) { channel.receive(bytes) }

  /// Whether the other end has said HELLO.
  package var isConnected: Bool { channel.peer != nil }

  /// The bytes to be sent so far, given once.
  package mutating func takeOutput() -> [UInt8] { channel.takeOutput() }

  /// Puts the next piece of the index in line, or with `nil` its end. The first piece holds at least the 64
  /// bytes of the header: casync misreads shorter ones.
  package mutating func sendIndex(_ piece: [UInt8]?) {
    channel.send(piece.map { .index($0) } ?? .indexEnd)
    if piece == nil { isIndexSent = true }
  }

  /// The same for the archive.
  package mutating func sendArchive(_ piece: [UInt8]?) {
    channel.send(piece.map { .archive($0) } ?? .archiveEnd)
    if piece == nil { isArchiveSent = true }
  }

  /// The chunk to be answered next, with `send`.
  package mutating func popRequest() -> ChunkID? { queue.popFirst() }

  /// Puts an answer to a request, or an ABORT, in line.
  package mutating func send(_ message: RemoteMessage) { channel.send(message) }

  /// The next thing that the server did; `nil` when there is none yet.
  /// - Throws: `ProtocolError`, from then on always the same.
  package mutating func next() throws(ProtocolError) -> Event? {
    guard !isDone, let message = try channel.next() else { return nil }
    switch message {
    case .hello: return .connected
    case .request(let isUrgent, let ids) where wants.contains(.pushIndexChunks):
      queue.add(ids, isUrgent: isUrgent)
      return .requested
    case .goodbye where isIndexSent && isArchiveSent && queue.count == 0:
      isDone = true
      return .done
    default: throw channel.unexpected(message)
    }
  }
}
