import CasyncArchive
import CasyncChunking
import CasyncFormat
import CasyncIO

/// Finds the chunks of the image that seeds, and the target's old content, hold at other offsets.
///
/// A seed whose index is known costs nothing but a few probes. Any other is cut with the chunker that the
/// image was cut with, as fast as it can be read, until nothing is wanted any more.
struct SeedScan {
  /// Chunks that are compared before a seed's index is believed; half of them must match.
  private static let probes = 32

  let workers: WorkerPool<SlabLoader.Context>
  let progress: Progress

  /// Offers what an index says of a seed, or of the target.
  /// - Parameters:
  ///   - read: fills a buffer from an offset; whether it could.
  ///   - source: what a chunk at an offset is taken from.
  /// - Returns: whether the index tells of the content; if not, the content must be cut.
  func use(
    _ index: Index, _ plan: inout Plan, read: @escaping @Sendable (UInt64, Buffer) -> Bool,
    source: (UInt64) -> ChunkSource
  ) throws -> Bool {
    guard index.digest == plan.index.digest, try isTrustworthy(index, read) else { return false }
    for position in 0..<index.count {
      let offset = index.start(of: position)
      guard offset < ChunkSource.offsetLimit else { break }
      plan.offer(source(offset), for: index.id(of: position), length: index.length(of: position))
    }
    return true
  }

  private func isTrustworthy(
    _ index: Index, _ read: @escaping @Sendable (UInt64, Buffer) -> Bool
  ) throws -> Bool {
    guard index.count > 0 else { return false }
    let step = max(1, index.count / Self.probes)
    let probes = stride(from: 0, to: index.count, by: step).prefix(Self.probes)
    let jobs = probes.map { position in
      workers.submit { context in
        let length = index.length(of: position)
        let buffer = Buffer(count: length)
        guard read(index.start(of: position), buffer) else { return false }
        return context.digester.digest(buffer.bytes) == index.id(of: position)
      }
    }
    let matches = try jobs.count { try $0.wait() }
    return matches * 2 >= jobs.count
  }

  /// Cuts a device or file and offers what it holds.
  /// - Parameter source: what a chunk at an offset of it is taken from.
  func cut(_ path: String, _ plan: inout Plan, source: (UInt64) -> ChunkSource) throws {
    guard plan.unresolved > 0 else { return }
    try cut(ImageInput(path, extent: Self.extent(of: path), progress.cancellation), &plan, source: source)
  }

  /// The same of an input that is open.
  func cut(_ input: ImageInput, _ plan: inout Plan, source: (UInt64) -> ChunkSource) throws {
    progress.begin(.planning, total: input.size ?? 0)
    let stream = ChunkStream(chunker: plan.index.chunker, cancellation: progress.cancellation)
    do {
      _ = try stream.cut(input, pool: workers) { context, batch in
        Self.digest(batch, context)
      } inOrder: { chunks in
        for chunk in chunks where chunk.offset < ChunkSource.offsetLimit {
          plan.offer(source(chunk.offset), for: chunk.id, length: chunk.length)
          progress.advance(chunk.length)
        }
        if plan.unresolved == 0 { throw Done() }
      }
    } catch is Done {
      return
    }
  }

  /// The same of a seed, which may be a tree. One that cannot be read costs a fetch, not the job.
  /// - Parameter shift: of the owners in trees.
  func cut(_ seed: Seed, _ shift: UIDShift, _ plan: inout Plan, _ warnings: inout [String]) throws {
    guard plan.unresolved > 0 else { return }
    let source: (UInt64) -> ChunkSource = { .seed(seed.number, offset: $0) }
    guard let tree = seed.tree else { return try cut(seed.path, &plan, source: source) }
    let options = TreeOptions(features: plan.index.flags, shift: shift)
    let cancellation = progress.cancellation
    do {
      try ByteChannel.run { channel in
        try tree.archive(options, into: channel, cancellation)
      } consume: { channel in
        try cut(ImageInput(channel, path: tree.path, mode: 0, cancellation), &plan, source: source)
      }
    } catch let error as CancellationError {
      throw error
    } catch {
      warnings.append("\(error); the seed \(seed.path) was used in part")
    }
  }

  /// A device may be far larger than the file system on it.
  private static func extent(of path: String) throws -> PutRequest.Extent {
    guard !NBDExport.isURI(path) else { return .whole }
    return try File.status(path)?.kind == .blockDevice ? .fileSystem : .whole
  }

  /// Nothing is wanted any more.
  private struct Done: Error {}

  private struct Found: Sendable {
    let id: ChunkID
    let offset: UInt64
    let length: Int
  }

  /// Zeros are of no use as a source, and are left out.
  private static func digest(_ batch: ChunkBatch, _ context: SlabLoader.Context) -> [Found] {
    guard let buffer = batch.memory?.buffer else { return [] }
    let chunks = batch.chunks.filter { $0.range != nil }
    context.ids.removeAll(keepingCapacity: true)
    context.digester.digests(of: chunks.compactMap(\.range), in: buffer.bytes, into: &context.ids)
    return zip(chunks, context.ids).map { Found(id: $1, offset: $0.offset, length: $0.length) }
  }
}
