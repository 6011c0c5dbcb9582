import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore
import Synchronization

// put: input → pieces → cuts → batches of chunks → digests → known already? → compress → store → index.
//
// Reading and joining happen on the calling thread, everything per byte on the workers; the digest of the
// whole image, where it is wanted, on a thread of its own. Chunks become durable in batches on another; the
// index appears after the last of them.

extension PutRequest {
  /// Cuts the input, stores its chunks and writes its index. Blocks until all of it is durable.
  /// - Throws: `JobError`, `SystemError`, `StoreError`, `CompressionError`, `CancellationError`. After an
  ///   error there is no index, and the store holds only whole chunks.
  public func run(_ progress: Progress) throws -> PutSummary {
    try run(ImageInput(input, extent: extent, progress.cancellation), progress)
  }

  /// The same with an input that is open.
  func run(_ input: ImageInput, _ progress: Progress) throws -> PutSummary {
    let start = ContinuousClock.now
    try Stores.checkWriting(index: index, store: store)
    let opener = Stores(connection, progress.cancellation)
    let index = try IndexFileWriter(
      index, flags: headerFlags, chunker: chunker, mode: input.mode, opener)
    progress.begin(.working, total: input.size ?? 0)
    var tally = PutTally()
    let imageDigest = digestsImage ? ImageDigest(digest, of: input, progress.cancellation) : nil
    // casync makes no store for an image of no chunks.
    if input.size != 0 { try store(input, index, imageDigest, opener, progress, &tally) }
    try input.checkUnchanged()
    return tally.summary(
      try index.finish(), imageDigest?.finish(), chunks: index.count, start.duration(to: .now))
  }

  /// What was asked for, with the bit that says which digest names the chunks.
  private var headerFlags: FeatureFlags {
    let flags = flags ?? .blob(digest)
    return digest == .sha512_256 ? flags.union(.sha512_256) : flags.subtracting(.sha512_256)
  }

  private func store(
    _ input: ImageInput, _ index: IndexFileWriter, _ imageDigest: ImageDigest?, _ opener: Stores,
    _ progress: Progress, _ tally: inout PutTally
  ) throws {
    let writer = try opener.writer(store)
    let worker = try ChunkStorer(self, writer)
    let stream = ChunkStream(chunker: chunker, cancellation: progress.cancellation)
    let count = workers ?? WorkerPool<ChunkStorer.Context>.processorCount
    try ImageDigest.withPool { digesting in
      try WorkerPool<Void>.with(count: 1, context: {}) { committing in
        var commit: Job<Void>?
        tally.holeBytes = try WorkerPool.with(count: count, context: { worker.context() }) { pool in
          try stream.cut(input, pool: pool) { piece in
            try imageDigest?.add(piece, on: digesting)
          } work: { context, batch in
            try worker.store(batch, context)
          } inOrder: { chunks in
            for chunk in chunks {
              try index.append(length: chunk.length, id: chunk.id)
              tally.add(chunk)
              progress.advance(chunk.length)
            }
            // While one is under way the next batch grows.
            if writer.isCommitDue, commit?.isFinished ?? true {
              try commit?.wait()
              commit = committing.submit { try writer.commit() }
            }
          }
        }
        try commit?.wait()
      }
      progress.begin(.flushing, total: 0)
      try writer.close()
      try imageDigest?.wait()
    }
  }
}

/// What became of one chunk.
struct StoredChunk: Sendable {
  let id: ChunkID
  let length: Int
  let isZero: Bool
  /// Compressed length of a chunk that is new in the store.
  let storedBytes: Int?
}
