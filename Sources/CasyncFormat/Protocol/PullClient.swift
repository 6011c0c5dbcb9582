/// The end of a pull that receives: chunks, an index or an archive, from a `casync pull` elsewhere. Without
/// I/O.
package struct PullClient: Sendable {
  /// What came.
  package enum Event: Equatable, Sendable {
    /// The next bytes of the index.
    case index([UInt8])
    case indexEnd
    /// The next bytes of the archive.
    case archive([UInt8])
    case archiveEnd
    /// A chunk that was asked for, which is not compared with its name yet.
    case chunk(ChunkID, isCompressed: Bool, [UInt8])
    /// A chunk that was asked for and is not there.
    case missing(ChunkID)
  }

  private var channel: RemoteChannel
  private let wants: RemoteFlags
  private var hasIndex = false
  private var hasArchive = false
  /// Chunks that were asked for and not answered yet.
  private var outstanding: Set<ChunkID> = []

  /// - Parameter wants: what the HELLO asks for: pull flags, at least one.
  package init(wants: RemoteFlags) {
    self.wants = wants
    channel = RemoteChannel(wants)
  }

  /// Whether the other end has said HELLO.
  package var isConnected: Bool { channel.peer != nil }

  /// Takes bytes that came; `next` says what they mean.
  package mutating func receive(_ bytes: RawSpan) { channel.receive(bytes) }

  /// The bytes to be sent so far, given once.
  package mutating func takeOutput() -> [UInt8] { channel.takeOutput() }

  /// Asks for a chunk. In a message of its own: desync's servers read only the first ID of each.
  /// - Parameter isUrgent: whether somebody waits for it; may be asked again so when it was asked before.
  package mutating func request(_ id: ChunkID, isUrgent: Bool) {
    outstanding.insert(id)
    channel.send(.request(isUrgent: isUrgent, [id]))
  }

  /// Tells the other end that nothing more is wanted.
  package mutating func sayGoodbye() { channel.send(.goodbye) }

  /// The next thing that came; `nil` when there is none yet.
  /// - Throws: `ProtocolError`, from then on always the same.
  package mutating func next() throws(ProtocolError) -> Event? {
    while let message = try channel.next() {
      switch message {
      case .hello: break
      case .index(let bytes) where wants.contains(.pullIndex) && !hasIndex: return .index(bytes)
      case .indexEnd where wants.contains(.pullIndex) && !hasIndex:
        hasIndex = true
        return .indexEnd
      case .archive(let bytes) where wants.contains(.pullArchive) && !hasArchive: return .archive(bytes)
      case .archiveEnd where wants.contains(.pullArchive) && !hasArchive:
        hasArchive = true
        return .archiveEnd
      // A second answer to what was asked twice, or an answer to nothing: harmless.
      case .chunk(let id, let isCompressed, let bytes) where wants.contains(.pullChunks):
        if outstanding.remove(id) != nil { return .chunk(id, isCompressed: isCompressed, bytes) }
      case .missing(let id) where wants.contains(.pullChunks):
        if outstanding.remove(id) != nil { return .missing(id) }
      default: throw channel.unexpected(message)
      }
    }
    return nil
  }
}
