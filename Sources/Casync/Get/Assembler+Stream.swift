import CasyncFormat
import CasyncIO

extension Assembler {
  /// Assembles the whole stream of an index out of stores and hands it on, front to back. Blocks.
  /// - Parameters:
  ///   - name: what messages call the place it goes to.
  ///   - sink: takes the bytes in order, on a thread of its own.
  static func stream(
    _ index: Index, _ fetcher: ChunkFetcher, to name: String, _ progress: Progress,
    _ sink: @escaping @Sendable (RawSpan) throws -> Void
  ) throws {
    progress.begin(.working, total: index.size)
    let target = Target(streamTo: name, base: 0, sink)
    let plan = Plan(index, zeros: ZeroChunks(of: index))
    let old = OldContent(target)
    let loader = SlabLoader(index: index, target: target, old: old, seeds: [], fetcher: fetcher)
    let count = WorkerPool<SlabLoader.Context>.processorCount
    try WorkerPool.with(count: count, context: { loader.context() }) { workers in
      try WorkerPool<Void>.with(count: 1, context: {}) { writers in
        var assembler = Assembler(
          target: target, old: old, loader: loader, workers: workers, writers: writers, progress: progress,
          plan: plan, summary: GetSummary())
        try assembler.fill(0..<index.size)
      }
    }
  }
}
