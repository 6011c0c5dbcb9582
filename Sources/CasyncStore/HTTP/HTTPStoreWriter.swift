package import CasyncFormat
internal import CasyncIO
internal import Synchronization

/// Adds chunks to a store behind a server that takes files by PUT: nginx with WebDAV, S3.
///
/// Uploads are under way while further chunks are made; `close` waits for all of them. What is durable then
/// is the server's affair: it has said that it has the file. A chunk is there as a whole or not at all, as
/// far as the server keeps to what PUT means.
package final class HTTPStoreWriter: StoreWriter {
  /// Bytes of chunks on their way.
  private static let heldLimit = 8 << 20

  private struct Upload: Sendable {
    let id: ChunkID
    let ticket: HTTPTicket
    let count: Int
  }

  private struct State {
    var uploads = Fifo<Upload>()
    var bytes = 0
    /// Chunks on their way.
    var pending: Set<ChunkID> = []
    var failure: (any Error)?
  }

  private let store: HTTPStore
  private let state = Mutex(State())

  /// Starts writing to `store`. Blocks.
  /// - Throws: `StoreError` when it cannot be reached, or whatever answers is no store.
  init(_ store: HTTPStore) throws {
    self.store = store
    // Who may write but not list is answered 403 for what is not there; whether he may write will be seen.
    store.place.bucket?.hasServed.store(true, ordering: .relaxed)
    // A login page, or a server that has a page for everything, would swallow all chunks.
    let nobody = ChunkID(words: [.random(in: .min ... .max), .random(in: .min ... .max), 0, 0])
    guard try store.storedSizes(of: [nobody]) == [nil] else {
      throw StoreError(
        .unreachable, store.name, "the server claims to have a file that is nowhere",
        hint: "a login page or a proxy may answer instead of the server")
    }
  }

  package func contains(_ ids: [ChunkID]) throws -> [Bool] {
    var unknown = [ChunkID]()
    var asked = Set<ChunkID>()
    let pending = state.withLock { $0.pending }
    for id in ids where !pending.contains(id) && asked.insert(id).inserted { unknown.append(id) }
    let sizes = try store.storedSizes(of: unknown)
    var missing = Set<ChunkID>()
    for (id, size) in zip(unknown, sizes) where size == nil { missing.insert(id) }
    return ids.map { missing.remove($0) == nil }
  }

  package func add(_ id: ChunkID, compressed: RawSpan) throws -> Bool {
    try check()
    guard state.withLock({ $0.pending.insert(id).inserted }) else { return false }
    let ticket = store.file(id).start(.put, body: [compressed.copy()])
    let count = compressed.byteCount
    state.withLock { state in
      state.uploads.append(Upload(id: id, ticket: ticket, count: count))
      state.bytes += count
    }
    try finish(downTo: Self.heldLimit)
    return true
  }

  /// Waits for the oldest uploads until no more than so many bytes are on their way.
  private func finish(downTo limit: Int) throws {
    while let upload = state.withLock({ $0.bytes > limit ? $0.uploads.popFirst() : nil }) {
      do {
        try store.place.finishPut(upload.ticket)
      } catch {
        state.withLock { if $0.failure == nil { $0.failure = error } }
      }
      state.withLock { state in
        state.bytes -= upload.count
        state.pending.remove(upload.id)
      }
    }
    try check()
  }

  private func check() throws {
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  package var isCommitDue: Bool { false }

  /// Waits for what is on its way.
  package func commit() throws { try finish(downTo: 0) }

  package func close() throws { try commit() }
}
