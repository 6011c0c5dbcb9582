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

  func store(_ batch: ChunkBatch, _ context: Context) throws -> [StoredChunk] {
    context.ranges.removeAll(keepingCapacity: true)
    context.ids.removeAll(keepingCapacity: true)
    for chunk in batch.chunks { if let range = chunk.range { context.ranges.append(range) } }
    let buffer = batch.memory?.buffer
    if let buffer, !context.ranges.isEmpty {
      context.digester.digests(of: context.ranges, in: buffer.bytes, into: &context.ids)
    }
    let known = try writer.contains(context.ids)
    var next = 0
    return try batch.chunks.map { chunk in
      guard let range = chunk.range, let buffer else { return try storeZeros(chunk, context) }
      defer { next += 1 }
      let id = context.ids[next]
      let stored = try known[next] ? nil : add(id, buffer.bytes.extracting(range), context)
      return StoredChunk(id: id, length: chunk.length, isZero: false, storedBytes: stored)
    }
  }

  private func storeZeros(_ chunk: CutChunk, _ context: Context) throws -> StoredChunk {
    let id = zeros.id(length: chunk.length)
    var stored: Int?
    if !storedZeros.withLock({ $0.contains(id) }) {
      if try !writer.contains(id) {
        let buffer = Buffer(count: chunk.length)
        stored = try add(id, buffer.bytes.extracting(0..<chunk.length), context)
      }
      storedZeros.withLock { _ = $0.insert(id) }
    }
    return StoredChunk(id: id, length: chunk.length, isZero: true, storedBytes: stored)
  }

  /// - Returns: the compressed length; `nil` when another worker was adding the same chunk.
  private func add(_ id: ChunkID, _ bytes: RawSpan, _ context: Context) throws -> Int? {
    try context.compressor.compress(bytes, into: &context.compressed)
    let compressed = context.compressed
    return try writer.add(id, compressed: compressed.rawSpan) ? compressed.count : nil
  }
}
