import CasyncChunking
import CasyncFormat
import CasyncIO
public import CasyncStore

// copy: index → batches of chunks → which does the target lack? → the source's bytes → digest → the target →
// when all are durable, the indexes.

/// Bring indexes and their chunks to another store.
public struct CopyRequest: Sendable {
  /// An index, where its chunks are, and where it goes.
  public struct Item: Sendable {
    public var index: String
    public var stores: [String]
    /// Path or URL of the copy; `nil` for chunks alone.
    public var target: String?

    public init(index: String, stores: [String], target: String?) {
      self.index = index
      self.stores = stores
      self.target = target
    }
  }

  public var items: [Item]
  /// Directory or URL of the store to add chunks to.
  public var store: String
  /// How what is remote is reached.
  public var connection = ConnectionSettings()
  /// Batches of chunks that are copied at one time.
  public var workers: Int?

  public init(_ items: [Item], to store: String) {
    self.items = items
    self.store = store
  }
}

/// What `copy` did.
public struct CopySummary: Sendable {
  public internal(set) var indexes = 0
  /// Different chunks that the indexes name.
  public internal(set) var chunks = 0
  /// Those that were not there, and their bytes as stored.
  public internal(set) var copiedChunks = 0
  public internal(set) var copiedBytes: UInt64 = 0
  public internal(set) var receivedBytes: UInt64 = 0
  public internal(set) var duration: Duration = .zero
}

extension CopyRequest {
  private static let batchLength = 32
  /// More than there are processors, since servers are waited for.
  private static let standardWorkers = 8

  /// Copies what is not there. Blocks until all of it is durable; run again after an interruption it goes on.
  /// - Throws: `JobError`, `StoreError`, `SystemError`, `CancellationError`. After an error the target holds
  ///   whole chunks and no index that was not there.
  public func run(_ progress: Progress) throws -> CopySummary {
    let start = ContinuousClock.now
    for item in items {
      try Stores.checkWriting(index: item.target == item.index ? "-" : item.target ?? "-", store: store)
    }
    let opener = Stores(connection, progress.cancellation)
    let files = try items.map { try IndexFile.bytes(of: $0.index, opener) }
    let indexes = try zip(items, files).map { try IndexFile.decode($1, of: $0.index) }
    var summary = CopySummary()
    progress.begin(.working, total: indexes.reduce(0) { $0 + $1.size })
    let writer = try opener.writer(store)
    var seen = Set<ChunkID>()
    for (item, index) in zip(items, indexes) {
      let fetcher = try ChunkFetcher(stores: item.stores, cache: nil, opener)
      try copy(index, from: fetcher, to: writer, &seen, progress, &summary)
    }
    progress.begin(.flushing, total: 0)
    try writer.close()
    for (item, bytes) in zip(items, files) {
      guard let target = item.target, target != item.index else { continue }
      try IndexFile.write(bytes, to: target, opener)
      summary.indexes += 1
    }
    summary.chunks = seen.count
    summary.receivedBytes = opener.receivedBytes
    summary.duration = start.duration(to: .now)
    return summary
  }

  private func copy(
    _ index: Index, from fetcher: ChunkFetcher, to writer: any StoreWriter, _ seen: inout Set<ChunkID>,
    _ progress: Progress, _ summary: inout CopySummary
  ) throws {
    let context: @Sendable () -> ChunkCopier = { ChunkCopier(index.digest, fetcher, writer) }
    try WorkerPool.with(count: workers ?? Self.standardWorkers, context: context) { pool in
      var jobs = Fifo<Job<ChunkCopier.Result>>()
      func finishNext() throws {
        guard let result = try jobs.popFirst()?.wait() else { return }
        summary.copiedChunks += result.chunks
        summary.copiedBytes += result.storedBytes
        progress.advance(result.length)
        if writer.isCommitDue { try writer.commit() }
      }
      var batch = [(id: ChunkID, length: Int)]()
      for position in 0..<index.count {
        let chunk = (id: index.id(of: position), length: index.length(of: position))
        if seen.insert(chunk.id).inserted { batch.append(chunk) } else { progress.advance(chunk.length) }
        guard batch.count == Self.batchLength || position + 1 == index.count else { continue }
        try progress.cancellation.check()
        let full = batch
        batch = []
        jobs.append(pool.submit { copier in try copier.copy(full) })
        if jobs.count > 2 * (workers ?? Self.standardWorkers) { try finishNext() }
      }
      while !jobs.isEmpty { try finishNext() }
    }
  }
}

/// Copies batches of chunks. Not shared.
private final class ChunkCopier {
  struct Result: Sendable {
    var chunks = 0
    var storedBytes: UInt64 = 0
    /// Of the whole batch, uncompressed.
    var length = 0
  }

  private let fetcher: ChunkFetcher
  private let writer: any StoreWriter
  private let digester: Digester
  private let loader = ChunkLoader(keepsStored: true)
  private let compressor = try? Compressor(.zstd)

  init(_ digest: DigestAlgorithm, _ fetcher: ChunkFetcher, _ writer: any StoreWriter) {
    self.fetcher = fetcher
    self.writer = writer
    digester = Digester(digest)
  }

  func copy(_ batch: [(id: ChunkID, length: Int)]) throws -> Result {
    let known = try writer.contains(batch.map(\.id))
    let missing = zip(batch, known).filter { !$1 }.map(\.0)
    let requested = fetcher.request(missing)
    var result = Result()
    result.length = batch.reduce(0) { $0 + $1.length }
    for chunk in missing {
      let bytes = try stored(chunk.id, length: chunk.length, requested)
      guard try writer.add(chunk.id, compressed: bytes.rawSpan) else { continue }
      result.chunks += 1
      result.storedBytes += UInt64(bytes.count)
    }
    return result
  }

  /// A chunk that has its digest, as it lies in the source; one that is not compressed there is.
  private func stored(_ id: ChunkID, length: Int, _ requested: RequestedChunks) throws -> [UInt8] {
    let buffer = Buffer(count: length)
    let isThere = try fetcher.fetch(id, into: buffer, 0..<length, using: loader, requested) != nil
    if !isThere || digester.digest(buffer.bytes) != id {
      _ = try fetcher.fetchVerified(id, into: buffer, 0..<length, using: loader, digester)
    }
    if let stored = loader.stored { return stored }
    guard let compressor else { preconditionFailure("no memory for a compressor") }
    var compressed = [UInt8]()
    try compressor.compress(buffer.bytes, into: &compressed)
    return compressed
  }
}
