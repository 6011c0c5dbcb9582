internal import Casync
internal import CasyncFormat
internal import CasyncIO
internal import CasyncStore
internal import Synchronization

/// Takes chunks and indexes by PUT, from who has the token.
///
/// A chunk is compared with its name, and durable when it is answered; an index is decoded, and every chunk
/// that it names is in a store beside it, before it appears.
final class HTTPUploads: Sendable {
  /// The longest index, in bytes.
  private static let indexLimit = 256 << 20
  /// Bytes of bodies under way together.
  private static let heldLimit = 512 << 20
  /// A body that is not wanted is read all the same when it is no longer than this, so that the answer is
  /// seen.
  private static let drainLimit = 1 << 20

  private let root: String
  private let token: [UInt8]
  private let held = Mutex(0)
  private let writers = Mutex<[String: (writer: SharedWriter, users: Int)]>([:])

  init(root: String, token: String) {
    self.root = root
    self.token = Array("Bearer \(token)".utf8)
  }

  /// What a path says that its file is.
  private enum Kind {
    /// A compressed chunk of the store at a path below the root.
    case chunk(ChunkID, store: [String])
    case index
  }

  /// - Returns: whether the connection stays.
  func take(_ exchange: HTTPExchange) throws -> Bool {
    guard isAllowed(exchange.request["authorization"]) else {
      return try refuse(exchange, 401, "a token is needed to write", ["WWW-Authenticate: Bearer"])
    }
    guard let length = exchange.request.length else {
      return try exchange.send(411, "a PUT has a Content-Length", isKept: false)
    }
    guard let kind = kind(of: exchange.request.path) else {
      return try refuse(exchange, 403, "only chunks of a store (DIR/XXXX/ID.cacnk) and indexes are taken")
    }
    let limit = if case .index = kind { Self.indexLimit } else { ChunkSizes.limit - 1 }
    guard length > 0, length <= limit else { return try exchange.send(413, "too long", isKept: false) }
    guard
      held.withLock({ held in
        guard held + length <= Self.heldLimit else { return false }
        held += length
        return true
      })
    else {
      return try refuse(exchange, 503, "too many uploads at one time", ["Retry-After: 1"])
    }
    defer { held.withLock { $0 -= length } }
    guard let body = try exchange.body(length) else { return false }
    do {
      switch kind {
      case .chunk(let id, let store): return try put(id, body, store, exchange)
      case .index: return try putIndex(body, exchange)
      }
    } catch let error as SystemError {
      return try exchange.send(
        error.isNoSpace ? 507 : error.isNotFound ? 409 : 500,
        error.isNotFound ? "no such directory" : error.reason)
    }
  }

  private func refuse(
    _ exchange: HTTPExchange, _ status: Int, _ text: String, _ fields: [String] = []
  ) throws -> Bool {
    let length = exchange.request.length ?? 0
    let isDrained =
      length <= Self.drainLimit && exchange.request["expect"] == nil
      ? try exchange.body(length) != nil : false
    return try exchange.send(status, text, fields, isKept: isDrained)
  }

  /// Compares the token in a time that does not tell how much of it is right.
  private func isAllowed(_ field: String?) -> Bool {
    let given = Array((field ?? "").utf8)
    var difference: UInt8 = given.count == token.count ? 0 : 1
    for index in token.indices { difference |= token[index] ^ (index < given.count ? given[index] : 0) }
    return difference == 0
  }

  private func kind(of path: [String]) -> Kind? {
    guard let name = path.last else { return nil }
    if name.hasSuffix(".caibx") || name.hasSuffix(".caidx"), name.count > 6 { return .index }
    let suffix = LocalStore.standardSuffix
    guard !suffix.isEmpty, name.hasSuffix(suffix), let id = ChunkID(hex: name.dropLast(suffix.count)),
      path.count >= 2, path[path.count - 2] == id.hex.prefix(4)
    else { return nil }
    return .chunk(id, store: path.dropLast(2))
  }

  /// The directory at `path`, which must be below the root, links followed.
  /// - Throws: `SystemError` (not found) when it is not.
  private func directory(_ path: [String]) throws -> String {
    let full = ([root] + path).joined(separator: "/")
    guard let resolved = FileSystem.resolved(full),
      resolved == root || resolved.hasPrefix(root == "/" ? "/" : root + "/")
    else { throw SystemError("open", full, errno: SystemError.notFound) }
    return resolved
  }

  // MARK: Chunks

  private func put(_ id: ChunkID, _ body: [UInt8], _ store: [String], _ exchange: HTTPExchange) throws -> Bool
  {
    guard exchange.check.isChunk(id, body, isCompressed: true) else {
      return try exchange.send(422, "the content does not match the name")
    }
    // The store is made, its parent is not.
    let path = try store.isEmpty ? root : "\(directory(store.dropLast()))/\(store.last ?? "")"
    let writer = try startUsing(path)
    defer { stopUsing(path) }
    guard try !writer.writer.contains(id) else { return try exchange.send(200) }
    _ = try writer.writer.add(id, compressed: body.rawSpan)
    try writer.commit()
    return try exchange.send(201)
  }

  /// The writer of a store, shared by all who add to it now: it holds the store's lock.
  private func startUsing(_ path: String) throws -> SharedWriter {
    func known() -> SharedWriter? {
      writers.withLock { writers in
        guard writers[path] != nil else { return nil }
        writers[path]?.users += 1
        return writers[path]?.writer
      }
    }
    if let writer = known() { return writer }
    let store = try LocalStore.create(path)
    _ = try directory(Array(path.dropFirst(root.count).split(separator: "/").map(String.init)))
    let new = SharedWriter(try LocalStoreWriter(store))
    return writers.withLock { writers in
      let writer = writers[path]?.writer ?? new
      writers[path] = (writer, (writers[path]?.users ?? 0) + 1)
      return writer
    }
  }

  private func stopUsing(_ path: String) {
    let unused = writers.withLock { writers -> SharedWriter? in
      guard let entry = writers[path] else { return nil }
      writers[path] = entry.users > 1 ? (entry.writer, entry.users - 1) : nil
      return entry.users > 1 ? nil : entry.writer
    }
    // Let go here, outside the lock: that closes files.
    withExtendedLifetime(unused) {}
  }

  // MARK: Indexes

  private func putIndex(_ body: [UInt8], _ exchange: HTTPExchange) throws -> Bool {
    let index: Index
    do {
      index = try Index(decoding: body.rawSpan)
    } catch {
      return try exchange.send(422, "\(error)")
    }
    let path = exchange.request.path
    let directory = try directory(path.dropLast())
    let names = try FileSystem.names(in: directory).filter { $0.hasSuffix(".castr") }
    let stores = try names.map { try LocalStore("\(directory)/\($0)") }
    // Until the index is there no collection may take its chunks.
    let locks = try stores.map { try $0.lockForWriting() }
    defer { withExtendedLifetime(locks) {} }
    for position in 0..<index.count {
      let id = index.id(of: position)
      guard try stores.contains(where: { try $0.storedSize(of: id) != nil }) else {
        return try exchange.send(409, "chunk \(id) is in no store (*.castr) beside the index")
      }
    }
    for lock in locks { try lock.syncFileSystem() }
    let file = "\(directory)/\(path.last ?? "")"
    let isNew = try File.status(file) == nil
    let output = try OutputFile(file, mode: 0o666)
    try output.write(body.rawSpan)
    try output.finish()
    return try exchange.send(isNew ? 201 : 200)
  }
}

/// A writer of a store that several threads add to: those that wait at one time share one flush.
private final class SharedWriter: Sendable {
  private struct State {
    var added = 0
    var durable = 0
    var isFlushing = false
  }

  private enum Turn {
    case done
    /// Flush everything up to here.
    case flush(Int)
  }

  let writer: LocalStoreWriter
  private let state = Monitor(State())

  init(_ writer: LocalStoreWriter) { self.writer = writer }

  /// Blocks until what was added before is durable.
  func commit() throws {
    let own = state.withLock { state in
      state.added += 1
      return state.added
    }
    while case .flush(let last) = turn(own) {
      let result = Result { try writer.commit() }
      state.withLock { state in
        state.isFlushing = false
        if case .success = result { state.durable = max(state.durable, last) }
      }
      try result.get()
    }
  }

  private func turn(_ own: Int) -> Turn {
    state.wait { state in
      if state.durable >= own { return .done }
      guard !state.isFlushing else { return nil }
      state.isFlushing = true
      return .flush(state.added)
    }
  }
}
