import CasyncChunking
import CasyncFormat
public import CasyncIO
import CasyncStore

/// `casync pull`: gives an index, an archive and chunks to a client elsewhere, over standard input and
/// output.
///
///     standard input → a thread that reads → PullServer → this thread: stores → CHUNK → standard output
public struct PullService: Sendable {
  /// Paths of what is offered; `nil` is not.
  public var archive: String?
  public var index: String?
  /// Directories of stores, asked in order.
  public var stores: [String]

  public init(archive: String?, index: String?, stores: [String]) {
    self.archive = archive
    self.index = index
    self.stores = stores
  }

  /// What the two threads share.
  private struct State {
    var session: PullServer
    var wants: RemoteFlags?
    var hasEnded = false
    var failure: (any Error)?
  }

  private enum Step {
    case chunk(ChunkID)
    case end
  }

  private static let pieceLength = 64 << 10

  /// Serves until the client has enough or is gone. Blocks.
  /// - Parameter warn: called with what is wrong with a chunk that is there.
  /// - Throws: `SystemError`, `StoreError`, `ProtocolError`, `CancellationError`; the client was told.
  public func run(_ cancellation: Cancellation, warn: (String) -> Void) throws {
    let output = File.standardOutput
    do {
      try serve(output, cancellation, warn)
    } catch let error as SystemError where error.isBrokenPipe {
      // The client has gone: it has what it wants, or will come again.
    } catch {
      // The client may be gone, and the error is reported here too.
      try? output.writeNext(Abort.message(error).encoded.rawSpan)
      throw error
    }
  }

  private func serve(_ output: File, _ cancellation: Cancellation, _ warn: (String) -> Void) throws {
    let archive = try archive.map { try File.open($0) }
    let index = try index.map { try File.open($0) }
    let source = try ChunkGiver(stores)
    var offers: RemoteFlags = stores.isEmpty ? [] : .readableStore
    if index != nil { offers.insert(.readableIndex) }
    if archive != nil { offers.insert(.readableArchive) }
    let state = Monitor(State(session: PullServer(offers: offers)))
    let stop = Cancellation()
    let reader = Threads(count: 1) { Self.receive(state, cancellation, stop) }
    defer {
      stop.cancel()
      state.withLock { $0.hasEnded = true }
      reader.join()
    }
    try Self.flush(state, output)
    guard let wants = try Self.wants(state) else { return }
    if wants.contains(.pullIndex), let index { try send(index, state, output, { .index($0) }, .indexEnd) }
    if wants.contains(.pullArchive), let archive {
      try send(archive, state, output, { .archive($0) }, .archiveEnd)
    }
    while case .chunk(let id) = try Self.next(state) {
      let answer = try source.message(for: id, warn)
      state.withLock { $0.session.send(answer) }
      try Self.flush(state, output)
    }
  }

  /// The reading thread.
  private static func receive(_ state: Monitor<State>, _ cancellation: Cancellation, _ stop: Cancellation) {
    let buffer = Buffer(count: pieceLength)
    do {
      while true {
        // No more is taken than can be kept.
        state.wait { $0.hasEnded || $0.session.requestCount < PullServer.requestLimit ? () : nil }
        let count = try File.standardInput.readSome(into: buffer, 0..<buffer.count, [cancellation, stop])
        let isOver = try state.withLock { state in
          if count == 0 { state.hasEnded = true }
          state.session.receive(buffer.bytes.extracting(0..<count))
          while let event = try state.session.next() {
            switch event {
            case .begin(let wants): state.wants = wants
            case .requested: break
            case .ended: state.hasEnded = true
            }
          }
          return state.hasEnded
        }
        if isOver { return }
      }
    } catch {
      state.withLock { state in
        if !state.hasEnded { state.failure = error }
      }
    }
  }

  /// What the client wants; `nil` when it is gone before it said that.
  private static func wants(_ state: Monitor<State>) throws -> RemoteFlags? {
    try state.wait { state -> Result<RemoteFlags?, any Error>? in
      if let failure = state.failure { return .failure(failure) }
      if let wants = state.wants { return .success(wants) }
      return state.hasEnded ? .success(nil) : nil
    }.get()
  }

  private static func next(_ state: Monitor<State>) throws -> Step {
    try state.wait { state -> Result<Step, any Error>? in
      if let failure = state.failure { return .failure(failure) }
      if let id = state.session.popRequest() { return .success(.chunk(id)) }
      return state.hasEnded ? .success(.end) : nil
    }.get()
  }

  private static func flush(_ state: Monitor<State>, _ output: File) throws {
    let bytes = state.withLock { $0.session.takeOutput() }
    try output.writeNext(bytes.rawSpan)
  }

  private func send(
    _ file: File, _ state: Monitor<State>, _ output: File, _ message: ([UInt8]) -> RemoteMessage,
    _ end: RemoteMessage
  ) throws {
    let buffer = Buffer(count: Self.pieceLength)
    while true {
      let count = try file.readNext(into: buffer, 0..<buffer.count)
      if count > 0 {
        let piece = buffer.bytes.extracting(0..<count).copy()
        state.withLock { $0.session.send(message(piece)) }
      }
      if count < buffer.count { state.withLock { $0.session.send(end) } }
      try Self.flush(state, output)
      if count < buffer.count { return }
    }
  }
}

/// What the other end is told of a failure.
enum Abort {
  static func message(_ error: any Error) -> RemoteMessage {
    switch error {
    case let error as SystemError: .abort(number: UInt64(max(0, error.number)), "\(error)")
    case let error as StoreError where error.code == .noStore:
      .abort(number: RemoteMessage.notFoundNumber, "\(error)")
    default: .abort(number: 0, "\(error)")
    }
  }
}
