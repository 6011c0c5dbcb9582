/// The end of a push that receives: `casync push`, as a client elsewhere starts it. Without I/O.
///
/// The index is read while it comes: `nextNamed` gives its chunks one by one, so that those which are missing
/// can be asked for before its end.
package struct PushServer: Sendable {
  /// What the client did.
  package enum Event: Equatable, Sendable {
    /// It said what it wants to push.
    case begin(RemoteFlags)
    /// The next bytes of the index came, or its end: `nextNamed` gives its chunks.
    case index
    /// The next bytes of the archive.
    case archive([UInt8])
    case archiveEnd
    /// A chunk that was asked for, which is not compared with its name yet.
    case chunk(ChunkID, isCompressed: Bool, [UInt8])
  }

  /// The longest index that is taken, in bytes: 2^27 chunks.
  private static let indexLimit = (1 << 27) * 40 + 104

  private var channel: RemoteChannel
  private var wants: RemoteFlags = []
  /// The index so far; all of it once it has ended.
  package private(set) var index: [UInt8] = []
  private var isIndexComplete = false
  private var isArchiveComplete = false
  /// Where the next item of the index starts.
  private var cursor = Index.headerLength
  private var isTableDone = false
  private var outstanding: Set<ChunkID> = []

  /// - Parameter offers: what can be written: writable flags, at least one.
  package init(offers: RemoteFlags) { channel = RemoteChannel(offers) }

  /// Takes bytes that came; `next` says what they mean.
  package mutating func receive(_ bytes: RawSpan) { channel.receive(bytes) }

  /// The bytes to be sent so far, given once.
  package mutating func takeOutput() -> [UInt8] { channel.takeOutput() }

  /// Chunks that were asked for and have not come.
  package var outstandingCount: Int { outstanding.count }

  /// Whether everything that the client announced has come.
  package var isComplete: Bool {
    !wants.isEmpty && (isIndexComplete || !wants.contains(.pushIndex))
      && (isArchiveComplete || !wants.contains(.pushArchive)) && outstanding.isEmpty
      && (isTableDone || !wants.contains(.pushIndexChunks))
  }

  /// Asks for a chunk, unless it was asked for and has not come.
  package mutating func request(_ id: ChunkID) {
    if outstanding.insert(id).inserted { channel.send(.request(isUrgent: false, [id])) }
  }

  /// Puts a message in line: GOODBYE when all is in its place, or an ABORT.
  package mutating func send(_ message: RemoteMessage) { channel.send(message) }

  /// The next chunk that the index names, as far as it has come; `nil` when there is none yet.
  package mutating func nextNamed() -> ChunkID? {
    guard wants.contains(.pushIndexChunks), !isTableDone, index.count >= cursor + Index.itemLength else {
      return nil
    }
    // No item ends at offset 0: that is the tail.
    guard let end = index.rawSpan.word(at: cursor), end != 0 else {
      isTableDone = true
      return nil
    }
    defer { cursor += Index.itemLength }
    return ChunkID(index.rawSpan, at: cursor + 8)
  }

  /// The next thing that the client did; `nil` when there is none yet.
  /// - Throws: `ProtocolError`, from then on always the same.
  package mutating func next() throws(ProtocolError) -> Event? {
    guard let message = try channel.next() else { return nil }
    switch message {
    case .hello(let flags):
      wants = flags
      return .begin(flags)
    case .index(let piece) where wants.contains(.pushIndex) && !isIndexComplete:
      try take(piece)
      return .index
    case .indexEnd where wants.contains(.pushIndex) && !isIndexComplete:
      try checkIndex()
      isIndexComplete = true
      return .index
    case .archive(let piece) where wants.contains(.pushArchive) && !isArchiveComplete: return .archive(piece)
    case .archiveEnd where wants.contains(.pushArchive) && !isArchiveComplete:
      isArchiveComplete = true
      return .archiveEnd
    case .chunk(let id, let isCompressed, let bytes):
      guard outstanding.remove(id) != nil else { throw channel.unexpected(message) }
      return .chunk(id, isCompressed: isCompressed, bytes)
    case .missing(let id): throw channel.fail(ProtocolError(.missing(id)))
    default: throw channel.unexpected(message)
    }
  }

  private mutating func take(_ piece: [UInt8]) throws(ProtocolError) {
    let hadHeader = index.count >= Index.headerLength
    guard index.count + piece.count <= Self.indexLimit else {
      throw channel.fail(ProtocolError(.badIndex(IndexError(.tooLarge, at: Self.indexLimit))))
    }
    index += piece
    // What is no index is refused before anything of it is asked for.
    guard !hadHeader, index.count >= Index.headerLength else { return }
    do throws(IndexError) {
      _ = try Index.header(index.rawSpan)
    } catch {
      throw channel.fail(ProtocolError(.badIndex(error)))
    }
  }

  private mutating func checkIndex() throws(ProtocolError) {
    do throws(IndexError) {
      _ = try Index(decoding: index.rawSpan)
    } catch {
      throw channel.fail(ProtocolError(.badIndex(error)))
    }
  }
}
