import CasyncFormat
public import CasyncIO
import CasyncStore

/// `casync push`: takes an index with its chunks, or an archive, from a client elsewhere, over standard input
/// and output.
///
///     standard input → PushServer → the index's chunks: known? else REQUEST → CHUNK → compare → store → index
public struct PushService: Sendable {
  /// Paths of what may be written; `nil` may not.
  public var archive: String?
  public var index: String?
  public var store: String?
  /// Stores whose chunks need not be sent.
  public var extraStores: [String]

  public init(archive: String?, index: String?, store: String?, extraStores: [String]) {
    self.archive = archive
    self.index = index
    self.store = store
    self.extraStores = extraStores
  }

  /// Serves until everything is in its place, durably; then the client is told. Blocks.
  /// - Throws: `SystemError`, `StoreError`, `ProtocolError`, `JobError`, `CancellationError`; the client was
  ///   told. Then there is no index, and the store holds only whole chunks.
  public func run(_ cancellation: Cancellation) throws {
    let run = try PushRun(self)
    do {
      try run.serve(cancellation)
    } catch {
      run.keepChunks()
      // The client may be gone, and the error is reported here too.
      try? File.standardOutput.writeNext(Abort.message(error).encoded.rawSpan)
      throw error
    }
  }
}

/// One run of a push.
private final class PushRun {
  /// Requests under way: what is written of them fits what a pipe holds, so that neither end waits for the
  /// other to read.
  private static let requestLimit = 1024

  private let service: PushService
  private var session: PushServer
  private let check = ChunkCheck()
  private let extraStores: [LocalStore]
  private var writer: LocalStoreWriter?
  private var index: OutputFile?
  private var archive: OutputFile?

  init(_ service: PushService) throws {
    self.service = service
    var offers: RemoteFlags = service.store == nil ? [] : .writableStore
    if service.index != nil { offers.insert(.writableIndex) }
    if service.archive != nil { offers.insert(.writableArchive) }
    session = PushServer(offers: offers)
    extraStores = try service.extraStores.map { try LocalStore($0) }
  }

  func serve(_ cancellation: Cancellation) throws {
    let input = Buffer(count: 256 << 10)
    try flush()
    while !session.isComplete {
      let count = try File.standardInput.readSome(into: input, 0..<input.count, [cancellation])
      guard count > 0 else { throw ProtocolError(.cut) }
      session.receive(input.bytes.extracting(0..<count))
      while let event = try session.next() { try take(event) }
      try ask()
      try flush()
    }
    try writer?.close()
    if let index {
      let bytes = session.index
      try index.write(bytes.rawSpan)
      try index.finish()
    }
    try archive?.finish()
    session.send(.goodbye)
    try flush()
  }

  /// What came is good, and need not come again. What cannot be kept is not worth another error.
  func keepChunks() { try? writer?.commit() }

  private func flush() throws { try File.standardOutput.writeNext(session.takeOutput().rawSpan) }

  private func take(_ event: PushServer.Event) throws {
    switch event {
    case .begin(let wants): try begin(wants)
    case .index: break
    case .archive(let bytes): try archive?.write(bytes.rawSpan)
    case .archiveEnd: break
    case .chunk(let id, let isCompressed, let bytes):
      guard check.isChunk(id, bytes, isCompressed: isCompressed) else {
        throw JobError(.damaged, "the chunk that came as \(id) does not have that digest")
      }
      let stored = try isCompressed ? bytes : check.compressed(bytes)
      _ = try writer?.add(id, compressed: stored.rawSpan)
      if let writer, writer.isCommitDue { try writer.commit() }
    }
  }

  private func begin(_ wants: RemoteFlags) throws {
    guard !wants.contains(.pushChunks) || wants.contains(.pushIndexChunks) else {
      throw JobError(
        .refused, "chunks can only be pushed together with the index that names them",
        hint: "put the index on the same host as the store")
    }
    // What cannot be written is told before anything is sent.
    if wants.contains(.pushIndex), let path = service.index { index = try OutputFile(path, mode: 0o666) }
    if wants.contains(.pushArchive), let path = service.archive {
      archive = try OutputFile(path, mode: 0o666)
    }
  }

  /// Asks for chunks that the index names and nobody has, as many as may be under way.
  private func ask() throws {
    while session.outstandingCount < Self.requestLimit, let id = session.nextNamed() {
      if try !isKnown(id) { session.request(id) }
    }
  }

  private func isKnown(_ id: ChunkID) throws -> Bool {
    guard let store = service.store else { return true }
    // Made with the first chunk: an index of none needs no store.
    let writer = try self.writer ?? LocalStoreWriter(LocalStore.create(store))
    self.writer = writer
    if try writer.contains(id) { return true }
    return try extraStores.contains { try $0.storedSize(of: id) != nil }
  }
}
