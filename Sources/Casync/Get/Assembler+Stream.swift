import CasyncFormat
import CasyncIO

extension Assembler {
  /// Assembles the whole stream of an index out of stores and hands it on, front to back. Blocks.
  /// - Parameters:
  ///   - name: what messages call the place it goes to.
  ///   - sink: takes the bytes in order, those of a part of a window's buffer, on a thread of its own.
  static func stream(
    _ index: Index, _ fetcher: ChunkFetcher, to name: String, _ progress: Progress,
    _ sink: @escaping Target.Sink
  ) throws {
    let plan = Plan(index, zeros: ZeroChunks(of: index))
    try SlabLoader.Context.withWorkers(nil, index, fetcher) { workers in
      _ = try stream(plan, [], fetcher, workers, to: name, progress, sink)
    }
  }

  /// The same by a plan that may take chunks from seeds.
  /// - Returns: where the chunks came from.
  static func stream(
    _ plan: Plan, _ seeds: [Seed], _ fetcher: ChunkFetcher, _ workers: WorkerPool<SlabLoader.Context>,
    to name: String, _ progress: Progress, _ sink: @escaping Target.Sink
  ) throws -> GetSummary {
    let index = plan.index
    progress.begin(.working, total: index.size)
    let target = Target(streamTo: name, base: 0, sink)
    let old = OldContent(target)
    let loader = SlabLoader(index: index, target: target, old: old, seeds: seeds, fetcher: fetcher)
    return try WorkerPool<Void>.with(count: 1, context: {}) { writers in
      var summary = GetSummary()
      summary.size = index.size
      summary.chunks = index.count
      var assembler = Assembler(
        target: target, old: old, loader: loader, workers: workers, writers: writers, progress: progress,
        plan: plan, summary: summary)
      try assembler.fill(0..<index.size)
      return assembler.summary
    }
  }
}

extension SlabLoader.Context {
  /// Runs `body` with threads that load and hash chunks of an index.
  /// - Parameter count: of threads; `nil` is one a processor.
  static func withWorkers<Result>(
    _ count: Int?, _ index: Index, _ fetcher: ChunkFetcher,
    _ body: (WorkerPool<SlabLoader.Context>) throws -> Result
  ) throws -> Result {
    let caches = fetcher.hasCache
    let digest = index.digest
    return try WorkerPool.with(
      count: count ?? WorkerPool<SlabLoader.Context>.processorCount,
      context: { SlabLoader.Context(digest, caches: caches) }, body)
  }
}
