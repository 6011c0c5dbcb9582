import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore
import Synchronization

/// Digests the chunks of a batch, and compresses and stores those that the store does not hold.
final class ChunkStorer: Sendable {
  /// What each worker reuses. Not shared.
  final class Context {
    let digester: Digester
    let compressor: Compressor
    var ids: [ChunkID] = []
    var ranges: [Range<Int>] = []
    /// Compressed chunks, one after the other.
    var compressed: [UInt8] = []

    init(_ digester: Digester, _ compressor: Compressor) {
      self.digester = digester
      self.compressor = compressor
    }
  }

  private let request: PutRequest
  private let writer: any StoreWriter
  private let zeros: ZeroChunks
  /// Zero chunks that are known to be in the store: an image has thousands of the same.
  private let storedZeros = Mutex<Set<ChunkID>>([])

  /// - Throws: `CompressionError` when the level is not one of the compression's.
  init(_ request: PutRequest, _ writer: any StoreWriter) throws {
    self.request = request
    self.writer = writer
    zeros = ZeroChunks(request.digest, chunker: request.chunker)
    _ = try Compressor(request.compression, level: request.compressionLevel)
  }

  func context() -> Context {
    guard let compressor = try? Compressor(request.compression, level: request.compressionLevel) else {
      // The level was tried in `init`; what is left is memory.
      preconditionFailure("no memory for a compressor")
    }
    return Context(Digester(request.digest), compressor)
  }

  /// Compresses all of the batch's new chunks, then stores them: what a file system does for each file would
  /// drive zstd's tables from the caches.
  func store(_ batch: ChunkBatch, _ context: Context) throws -> [StoredChunk] {
    context.ranges.removeAll(keepingCapacity: true)
    context.ids.removeAll(keepingCapacity: true)
    context.compressed.removeAll(keepingCapacity: true)
    for chunk in batch.chunks { if let range = chunk.range { context.ranges.append(range) } }
    var compressed: [Range<Int>?] = []
    if let buffer = batch.memory?.buffer, !context.ranges.isEmpty {
      context.digester.digests(of: context.ranges, in: buffer.bytes, into: &context.ids)
      compressed = try zip(context.ranges, writer.contains(context.ids)).map { range, isStored in
        isStored ? nil : try compress(buffer.bytes.extracting(range), context)
      }
    }
    var next = 0
    return try batch.chunks.map { chunk in
      guard chunk.range != nil else { return try storeZeros(chunk, context) }
      defer { next += 1 }
      let id = context.ids[next]
      let stored = try compressed[next].flatMap { try add(id, $0, context) }
      return StoredChunk(id: id, length: chunk.length, isZero: false, storedBytes: stored)
    }
  }

  private func storeZeros(_ chunk: CutChunk, _ context: Context) throws -> StoredChunk {
    let id = zeros.id(length: chunk.length)
    var stored: Int?
    if !storedZeros.withLock({ $0.contains(id) }) {
      if try !writer.contains(id) {
        let zeros = Buffer(count: chunk.length)
        stored = try add(id, compress(zeros.bytes.extracting(0..<chunk.length), context), context)
      }
      storedZeros.withLock { _ = $0.insert(id) }
    }
    return StoredChunk(id: id, length: chunk.length, isZero: true, storedBytes: stored)
  }

  /// - Returns: where in the context's memory the compressed form is.
  private func compress(_ bytes: RawSpan, _ context: Context) throws -> Range<Int> {
    let start = context.compressed.count
    try context.compressor.compress(bytes, appendingTo: &context.compressed)
    return start..<context.compressed.count
  }

  /// - Returns: the compressed length; `nil` when another worker was adding the same chunk.
  private func add(_ id: ChunkID, _ range: Range<Int>, _ context: Context) throws -> Int? {
    let compressed = context.compressed
    return try writer.add(id, compressed: compressed.rawSpan.extracting(range)) ? range.count : nil
  }
}
