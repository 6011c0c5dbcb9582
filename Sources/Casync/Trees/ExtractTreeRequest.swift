public import CasyncArchive
import CasyncFormat
import CasyncIO
import CasyncStore
import Synchronization

/// Make a directory tree of an archive, or of the archive that an index describes.
public struct ExtractTreeRequest: Sendable {
  public var source: TreeSource
  /// The directory; it is made when it is not there, and may hold something.
  public var directory: String
  /// Path in the archive of what is wanted; it becomes a child of `directory`. `nil` is the whole tree.
  public var subtree: String?
  public var options = ExtractOptions()
  /// Directories, files and devices to take chunks from. One that is not there is reported and left out.
  public var seeds: [String] = []
  /// Whether what is in `directory` is the first seed.
  public var useTarget = true
  /// Whether files share blocks with seeds where the file system can.
  public var reflink = true
  /// Whether files that a seed has too become links to the seed's.
  public var hardlink = false
  /// Threads that load and hash, and threads that write files; `nil` is one a processor.
  public var workers: Int?

  public init(_ source: TreeSource, directory: String, subtree: String? = nil) {
    self.source = source
    self.directory = directory
    self.subtree = subtree
  }

  /// Extracts the tree. Blocks until it is durable.
  /// - Throws: `JobError`, `ArchiveError`, `SystemError`, `StoreError`, `CancellationError`. After an error
  ///   what was extracted so far is there, each file whole; the same request run again completes it.
  public func run(_ progress: Progress) throws -> ExtractTreeSummary {
    let start = ContinuousClock.now
    var summary = ExtractTreeSummary()
    let index = try source.index()
    let isNew = try FileSystem.makeDirectory(directory)
    let target = try File.open(directory, .directory)
    // What another run left is as good as a seed that was asked for.
    let usesTarget = try useTarget && !isNew && !target.nodeNames().isEmpty
    let seeds = try Seed.open(usesTarget ? [directory] + self.seeds : self.seeds, &summary.warnings)
    if let index, index.count > 0, case .index(_, let stores, let connection) = source {
      let fetcher = try ChunkFetcher(
        stores: stores, cache: nil, Stores(connection, progress.cancellation))
      try assemble(index, fetcher, seeds, into: target, &summary, progress)
    } else {
      try write(into: target, index, [], nil, &summary, progress) { body in
        try source.forEach(index, progress, body)
      }
    }
    summary.duration = start.duration(to: .now)
    return summary
  }

  // MARK: Chunks of stores and seeds

  /// Looks for chunks in the seeds, then puts the archive together and extracts it.
  private func assemble(
    _ index: Index, _ fetcher: ChunkFetcher, _ seeds: [Seed], into target: File,
    _ summary: inout ExtractTreeSummary, _ progress: Progress
  ) throws {
    try SlabLoader.Context.withWorkers(workers, index, fetcher) { workers in
      var plan = Plan(index, zeros: ZeroChunks(of: index))
      let scan = SeedScan(workers: workers, progress: progress)
      for seed in seeds { try scan.cut(seed, options.shift, &plan, &summary.warnings) }
      plan.close()
      let sources = Mutex(GetSummary())
      let (made, sharing) = (plan, reflink ? SharedBlocks(plan, seeds) : nil)
      try write(into: target, index, seeds, sharing, &summary, progress) { body in
        try ByteChannel.run { channel in
          let counted = try Assembler.stream(made, seeds, fetcher, workers, to: "the archive", progress) {
            try channel.write($0, $1)
          }
          sources.withLock { $0 = counted }
        } consume: { channel in
          try channel.forEach(body)
        }
      }
      summary.sources = sources.withLock { $0 }
      summary.sources?.clonedBytes = sharing?.bytes ?? 0
    }
    for seed in seeds {
      if let failure = seed.firstFailure { summary.warnings.append("\(failure); the seed was used in part") }
    }
  }

  // MARK: Files

  /// Extracts what `source` passes on.
  private func write(
    into target: File, _ index: Index?, _ seeds: [Seed], _ sharing: SharedBlocks?,
    _ summary: inout ExtractTreeSummary, _ progress: Progress,
    from source: (_ body: (RawSpan) throws -> Void) throws -> Void
  ) throws {
    let table = try links(seeds, index, progress, &summary.warnings)
    let extractor = try WriteBehind.with(target, progress) { behind in
      try TreeExtractor.extract(into: target, options, workers: workers) { file, offset, size in
        sharing?.share(file, offset, size)
        behind.note(size)
      } _: { extractor in
        var visitor = Extracting(extractor: extractor, links: table)
        try TreeWalk.run(self.source.path, index, subtree: subtree, &visitor, from: source)
        return extractor
      }
    }
    summary.holeBytes = extractor.holeBytes
    summary.linkedFiles = extractor.linkedFiles
  }

  /// Files that others may become links to: of the seeds that were asked for.
  private func links(
    _ seeds: [Seed], _ index: Index?, _ progress: Progress, _ warnings: inout [String]
  ) throws -> LinkTable? {
    guard hardlink else { return nil }
    guard let index else {
      warnings.append("--hardlink needs an index to know what to look for in seeds")
      return nil
    }
    var table = LinkTable(index.flags, options.shift)
    for seed in seeds where seed.tree != nil && seed.path != directory {
      do {
        try table.add(seed.path, progress)
      } catch let error as CancellationError {
        throw error
      } catch {
        warnings.append("\(error); no links are made to what is in \(seed.path)")
      }
    }
    return table
  }

  private struct Extracting: TreeVisitor {
    let extractor: TreeExtractor
    let links: LinkTable?
    private var file: FileDigest?

    init(extractor: TreeExtractor, links: LinkTable?) {
      self.extractor = extractor
      self.links = links
    }

    mutating func enter(_ item: TreeItem) throws {
      if links != nil { file = FileDigest(item.node) }
      try extractor.enter(item.name, item.node, contentOffset: item.contentOffset)
    }

    func content(_ bytes: RawSpan) throws {
      file?.update(bytes)
      try extractor.content(bytes)
    }

    mutating func leave(_ item: TreeItem) throws {
      let digest = file?.finish()
      file = nil
      try extractor.leave(twin: digest.flatMap { links?.twin($0) })
    }
  }
}

/// What `extract` of a tree did.
public struct ExtractTreeSummary: Sendable {
  /// Bytes of zeros that became holes.
  public var holeBytes: UInt64 = 0
  /// Files that became links to a seed's.
  public var linkedFiles = 0
  /// Where the chunks came from, when there was an index.
  public var sources: GetSummary?
  /// What went wrong without harm.
  public var warnings: [String] = []
  public var duration = Duration.zero
}
