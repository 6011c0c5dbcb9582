import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore

/// One run of a get request: the order of its phases, and what is known so far.
struct GetJob {
  let request: GetRequest
  let index: Index
  /// What is wanted of the image.
  let extent: Range<UInt64>
  let opened: OpenedTarget
  let progress: Progress
  let seeds: [Seed]
  var summary = GetSummary()
  /// Whether the image has a partition table.
  private var hasTable = false

  private var target: Target { opened.target }

  init(
    _ request: GetRequest, _ index: Index, _ extent: Range<UInt64>, _ opened: OpenedTarget,
    _ opener: Stores, _ progress: Progress
  ) throws {
    self.request = request
    self.index = index
    self.extent = extent
    self.opened = opened
    self.progress = progress
    var warnings = opened.warnings
    seeds = try Self.openSeeds(request, opener, &warnings)
    summary.warnings = warnings
    summary.size = extent.length
    let last = extent.isEmpty ? 0 : index.position(of: extent.upperBound - 1) + 1
    summary.chunks = extent.isEmpty ? 0 : last - index.position(of: extent.lowerBound)
  }

  private static func openSeeds(
    _ request: GetRequest, _ opener: Stores, _ warnings: inout [String]
  ) throws -> [Seed] {
    var requested = request.seeds
    // A file that will be replaced is a seed like any other, the last to be asked.
    if request.useTarget, !request.inPlace, request.target != "-",
      try File.status(request.target)?.kind == .regular
    {
      requested.append(GetRequest.Seed(path: request.target))
    }
    guard requested.count <= ChunkSource.seedLimit else {
      throw JobError(.badRequest, "more than \(ChunkSource.seedLimit) seeds")
    }
    var seeds = [Seed]()
    for seed in requested {
      do {
        let index = try Self.index(of: seed, request, opener, &warnings)
        seeds.append(try Seed(seed.path, number: seeds.count, index: index))
      } catch  where request.ignoreMissingSeeds {
        warnings.append("\(error); going on without this seed")
      }
    }
    return seeds
  }

  /// The index named for a seed, else the one beside it, else the one kept in the state directory.
  private static func index(
    of seed: GetRequest.Seed, _ request: GetRequest, _ opener: Stores, _ warnings: inout [String]
  ) throws -> Index? {
    if let path = seed.index { return try IndexFile.read(path, opener) }
    if try File.status(seed.path + ".caibx") != nil {
      do {
        return try IndexFile.read(seed.path + ".caibx")
      } catch {
        // Nobody named it: it may be another program's, or half of a download.
        warnings.append("\(error); the seed is searched without it")
      }
    }
    guard let status = try File.status(seed.path), status.kind == .blockDevice else { return nil }
    return request.state?.index(of: BlockDevice(status.target).stableName)
  }

  /// The chunks that hold a byte of what is wanted.
  private var positions: Range<Int> {
    extent.isEmpty
      ? 0..<0 : index.position(of: extent.lowerBound)..<index.position(of: extent.upperBound - 1) + 1
  }

  /// Plans, writes, flushes and reads back.
  mutating func run(_ fetcher: ChunkFetcher) throws {
    let old = OldContent(target)
    let loader = SlabLoader(
      index: index, target: target, old: old, seeds: seeds, fetcher: fetcher, reflink: request.reflink)
    let count = request.workers ?? WorkerPool<SlabLoader.Context>.processorCount
    try WorkerPool.with(count: count, context: { loader.context() }) { workers in
      let zeros = ZeroChunks(of: index)
      let planner = Planner(
        request: request, opened: opened, seeds: seeds, zeros: zeros, workers: workers, progress: progress)
      let plan = try planner.plan(index, positions)
      countPlanned(plan)
      try WorkerPool<Void>.with(count: 1, context: {}) { checkers in
        let readBack = isReadBack ? ReadBack(planner.reader(of: index), extent, on: checkers) : nil
        try WorkerPool<Void>.with(count: writerCount, context: {}) { writers in
          var assembler = Assembler(
            target: target, old: old, loader: loader, workers: workers, writers: writers, progress: progress,
            plan: plan, summary: summary)
          try write(&assembler, readBack)
          summary = assembler.summary
          try fetcher.close()
          summary.verifiedBytes = try readBack?.finish(assembler.written, progress) ?? 0
        }
      }
    }
    for seed in seeds {
      if let failure = seed.firstFailure { summary.warnings.append("\(failure); the seed was used in part") }
    }
  }

  /// Several, so that the medium has its next piece while a thread still waits for a processor; a stream is
  /// written in order.
  private var writerCount: Int { target.kind == .stream ? 1 : 3 }

  /// Whether what is written is hashed from the medium.
  private var isReadBack: Bool { request.verify && target.kind == .device && opened.part == nil }

  private mutating func countPlanned(_ plan: Plan) {
    progress.begin(.working, total: extent.length)
    for position in positions {
      let bytes = index.range(of: position).intersection(extent).length
      let source: Source
      switch plan[position].kind {
      case .inPlace:
        source = .inPlace
        summary.skippedBytes += bytes
        progress.advance(Int(bytes))
      case .zero: source = .zero
      default: continue
      }
      summary.add(GetSummary.Share(chunks: 1, bytes: bytes), from: source)
      progress.count(Int(bytes), from: source)
    }
  }

  // MARK: Writing

  private mutating func write(_ assembler: inout Assembler, _ readBack: ReadBack?) throws {
    guard !extent.isEmpty else { return }
    guard opened.part == nil, target.kind != .stream else {
      try assembler.fill(extent)
      return
    }
    let layout = target.base == 0 ? try assembler.loadHead(extent) : nil
    try checkTable(layout)
    hasTable = layout?.table != nil
    guard assembler.plan.sources[positions].contains(where: { $0 != .inPlace }) else { return }
    try request.state?.forget(opened.stableName)

    let boot = BootArea(extent, layout: layout, target: target)
    let body = boot.body(of: extent)
    if assembler.changes(body) {
      try boot.clear(target, keepingIn: assembler.old)
      assembler.replaceFromMemory(boot.ranges, of: extent)
      readBack?.begin(body)
      try assembler.fill(body) { try readBack?.add($0) }
      try target.flush()
    }
    for piece in boot.piecesInOrder where assembler.changes(piece) {
      try assembler.fill(piece)
      try target.flush()
    }
    progress.begin(.flushing, total: 0)
    try target.flush()
  }

  private func checkTable(_ layout: ImageLayout?) throws {
    guard case .gpt(let gpt) = layout?.table, target.kind == .device,
      UInt64(gpt.sectorSize) != target.blockSize,
      !request.force
    else { return }
    throw JobError(
      .refused,
      "the image's partition table is for sectors of \(gpt.sectorSize) bytes, \(target.path) has \(target.blockSize)",
      hint: "--force writes it all the same; the device will not show its partitions")
  }

  // MARK: Afterwards

  /// Gives a file its name, keeps a device's index, and looks after partition tables.
  mutating func finish() throws {
    try opened.part?.finish()
    if target.kind == .file, opened.part == nil { try FileSystem.syncParent(of: target.path) }
    guard target.kind == .device else { return }
    if target.base == 0 { _ = request.state?.store(index, for: opened.stableName) }
    if opened.isWholeDisk, target.wasWritten, hasTable {
      do { try target.rereadPartitionTable() } catch { summary.warnings.append("\(error)") }
    }
    if let capacity = target.capacity, capacity > extent.length, try holdsStaleTable(capacity) {
      summary.warnings.append(
        "\(target.path) still has the backup of another partition table at its end, beyond the image")
    }
  }

  /// Whether "EFI PART" stands in the device's last block, which the image does not reach.
  private func holdsStaleTable(_ capacity: UInt64) throws -> Bool {
    guard capacity - extent.length >= target.blockSize else { return false }
    let block = Buffer(count: Int(target.blockSize))
    guard try target.read(at: target.base + capacity - target.blockSize, into: block, 0..<block.count) else {
      return false
    }
    return block.bytes.word(at: 0) == 0x5452_4150_2049_4645
  }
}
