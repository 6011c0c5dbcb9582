import CasyncChunking
import CasyncFormat
import CasyncIO
import Synchronization

/// Carries out a plan on a region of the target, in ascending order: slabs are loaded by the workers, several
/// at a time, and written by threads of their own.
///
///     steps → load (workers) → join blocks that two slabs share → write
///
/// The calling thread keeps the order; the number of slabs in memory bounds how far loading runs ahead of
/// writing, which is less than 64 MiB: a later run can rely on it when it looks for what is done.
struct Assembler {
  /// Slabs that may be in memory, fewer where they are long, or go to somebody who has memory of its own.
  private var depth: Int { max(2, (target.kind == .stream ? 12 << 20 : 24 << 20) / loader.slabCapacity) }
  /// How many of them may be handed to the writers: when the medium is slow the others are still loaded, when it
  /// is fast it has its next piece at once.
  private var writingDepth: Int { max(1, depth / 3) }

  let target: Target
  let old: OldContent
  let loader: SlabLoader
  let workers: WorkerPool<SlabLoader.Context>
  let writers: WorkerPool<Void>
  let progress: Progress

  var plan: Plan
  var summary: GetSummary
  /// What was written, ascending and merged, for reading it back.
  private(set) var written: [Range<UInt64>] = []

  /// Regions that are done, and of the present one what is.
  private var doneRegions: [Range<UInt64>] = []
  /// Chunks wanted elsewhere whose place will be overwritten before their turn, by that place.
  private var endangered: ArraySlice<Int> = []
  /// Everything before it has been handed to the workers.
  private var loadFrontier: UInt64 = 0
  /// Slabs that were handed to the workers and are not written, ascending.
  private var residents: [SlabLoader.ResidentSlab] = []

  init(
    target: Target, old: OldContent, loader: SlabLoader, workers: WorkerPool<SlabLoader.Context>,
    writers: WorkerPool<Void>, progress: Progress, plan: Plan, summary: GetSummary
  ) {
    self.target = target
    self.old = old
    self.loader = loader
    self.workers = workers
    self.writers = writers
    self.progress = progress
    self.plan = plan
    self.summary = summary
  }

  private enum Loading {
    case zero(Range<UInt64>)
    case clone(CloneRun)
    case slab(Job<SlabLoader.Loaded>)
  }

  private struct Writing {
    let range: Range<UInt64>
    let job: Job<Void>
  }

  /// Fills `region`. Returns when every write has come back; flushing is the caller's.
  /// - Parameter isWritten: told of each range that is written, in ascending order, on the calling thread.
  mutating func fill(
    _ region: Range<UInt64>, tell isWritten: (Range<UInt64>) throws -> Void = { _ in }
  ) throws {
    var steps = Steps(plan, target: target, region: region, cloneable: loader.cloneable)
    findEndangered(region)
    doneRegions.append(region.lowerBound..<region.lowerBound)
    loadFrontier = region.lowerBound
    var loading = Fifo<Loading>()
    var writing = Fifo<Writing>()
    var previous: SlabLoader.Loaded?
    var inMemory = 0
    var waiting = steps.next()

    while true {
      try progress.cancellation.check()
      while let first = writing.first,
        first.job.isFinished || writing.count >= writingDepth
          || loading.isEmpty && (waiting == nil || inMemory >= depth)
      {
        _ = writing.popFirst()
        inMemory -= 1
        try finish(first)
        try isWritten(first.range)
      }
      if let step = waiting, inMemory < depth {
        inMemory += 1
        loading.append(try start(step, region))
        waiting = steps.next()
        if inMemory < depth, waiting != nil { continue }
      }
      guard let next = loading.popFirst() else { break }
      writing.append(try write(next, &previous))
    }
    doneRegions[doneRegions.count - 1] = region
  }

  private mutating func start(_ step: Step, _ region: Range<UInt64>) throws -> Loading {
    switch step {
    case .zero(let range):
      loadFrontier = range.upperBound
      return .zero(range)
    case .clone(let run):
      loadFrontier = run.range.upperBound
      return .clone(run)
    case .fill(let slab):
      let needs = try needs(of: slab, region)
      loadFrontier = slab.range.upperBound
      let loader = loader
      // Asked for here, chunks of all slabs in memory are on their way at once, however few threads there
      // are.
      let requested = loader.request(needs)
      let job = workers.submit { context in try loader.load(slab, needs, requested, context) }
      residents.append(SlabLoader.ResidentSlab(slab, job))
      return .slab(job)
    }
  }

  private mutating func write(_ loading: Loading, _ previous: inout SlabLoader.Loaded?) throws -> Writing {
    let target = target
    switch loading {
    case .zero(let range):
      try protect(upTo: range.upperBound)
      previous = nil
      summary.zeroedBytes += range.length
      return Writing(range: range, job: writers.submit { _ in try target.zero(range) })
    case .clone(let run):
      try protect(upTo: run.range.upperBound)
      previous = nil
      let loader = loader
      summary.clonedBytes += run.range.length
      summary.add(GetSummary.Share(chunks: run.positions.count, bytes: run.range.length), from: .seed)
      progress.count(Int(run.range.length), from: .seed)
      return Writing(range: run.range, job: workers.submit { context in try loader.clone(run, context) })
    case .slab(let job):
      let loaded = try job.wait()
      let range = join(loaded, previous)
      try protect(upTo: range.upperBound)
      count(loaded)
      summary.writtenBytes += range.length
      // The end of a continued slab is still needed by the one that follows.
      previous = loaded.slab.isContinued ? loaded : nil
      let window = loaded.window
      return Writing(range: range, job: writers.submit { _ in try target.write(range, from: window) })
    }
  }

  /// Puts the end of the slab before into the first block of this one.
  /// - Returns: the whole blocks that can be written now.
  private func join(_ loaded: SlabLoader.Loaded, _ previous: SlabLoader.Loaded?) -> Range<UInt64> {
    let slab = loaded.slab
    let start = target.alignDown(slab.range.lowerBound)
    let end = slab.isContinued ? target.alignDown(slab.range.upperBound) : slab.range.upperBound
    if slab.continues, let previous {
      let shared = start..<slab.range.lowerBound
      loaded.window.buffer.copy(
        previous.window.place(shared), of: previous.window.buffer, to: loaded.window.place(shared).lowerBound)
    }
    return start..<max(start, end)
  }

  private mutating func finish(_ writing: Writing) throws {
    try writing.job.wait()
    let region = doneRegions[doneRegions.count - 1]
    doneRegions[doneRegions.count - 1] = region.lowerBound..<writing.range.upperBound
    // The end of a continued slab is written with the one that follows.
    while let first = residents.first, first.slab.range.upperBound <= writing.range.upperBound {
      first.release()
      residents.removeFirst()
    }
    progress.advance(Int(writing.range.length))
    if let last = written.last, last.upperBound == writing.range.lowerBound {
      written[written.count - 1] = last.lowerBound..<writing.range.upperBound
    } else if !writing.range.isEmpty {
      written.append(writing.range)
    }
  }

  private mutating func count(_ loaded: SlabLoader.Loaded) {
    summary.fetchedBytes += loaded.fetchedBytes
    for source in Source.allCases {
      let share = loaded.shares[source.rawValue]
      guard share.chunks > 0 else { continue }
      summary.add(share, from: source)
      progress.count(Int(share.bytes), from: source)
    }
  }
}

// MARK: - The boot area

extension Assembler {
  /// Loads the image's first bytes, which are kept for their turn.
  /// - Returns: the layout that they describe.
  mutating func loadHead(_ extent: Range<UInt64>) throws -> ImageLayout {
    let end = min(extent.upperBound, UInt64(ImageLayout.headLength))
    let slab = Slab(
      range: 0..<end, positions: 0..<plan.index.position(of: end - 1) + 1, continues: false,
      isContinued: false)
    var needs = [SlabLoader.Need]()
    for position in slab.positions {
      var source = plan[position]
      if case .duplicate(let first) = source.kind,
        !slab.holds(plan.index.range(of: first)) || !slab.holds(plan.index.range(of: position))
      {
        source = plan[first]
      }
      needs.append(SlabLoader.Need(position: position, source: source))
    }
    let wanted = needs
    let loader = loader
    let requested = loader.request(wanted)
    let loaded = try workers.submit { context in try loader.load(slab, wanted, requested, context) }.wait()
    summary.fetchedBytes += loaded.fetchedBytes
    let buffer = loaded.window.buffer
    for (position, source) in loaded.sources {
      let chunk = plan.index.range(of: position)
      guard chunk.upperBound <= end else { continue }
      let kept = Buffer(count: Int(chunk.length))
      kept.copy(loaded.window.place(chunk), of: buffer, to: 0)
      old.keepChunk(position, kept, from: source)
    }
    return ImageLayout(head: buffer.bytes.extracting(loaded.window.place(slab.range)))
  }

  /// Whether a chunk that has a byte in `region` is not in place.
  func changes(_ region: Range<UInt64>) -> Bool {
    var position = region.isEmpty ? plan.index.count : plan.index.position(of: region.lowerBound)
    while position < plan.index.count, plan.index.start(of: position) < region.upperBound {
      if plan[position] != .inPlace { return true }
      position += 1
    }
    return false
  }

  /// Chunks that stood in place in `ranges`, which were zeroed, are written again from memory.
  mutating func replaceFromMemory(_ ranges: [Range<UInt64>], of extent: Range<UInt64>) {
    for range in ranges {
      var position = plan.index.position(of: range.lowerBound)
      while position < plan.index.count, plan.index.start(of: position) < range.upperBound {
        if plan[position] == .inPlace {
          plan[position] = .target(offset: plan.index.start(of: position))
          summary.retract(plan.index.range(of: position).intersection(extent).length, from: .inPlace)
        }
        position += 1
      }
    }
  }
}

// MARK: - Sources on the target itself

extension Assembler {
  private mutating func needs(of slab: Slab, _ region: Range<UInt64>) throws -> [SlabLoader.Need] {
    var needs = [SlabLoader.Need]()
    needs.reserveCapacity(slab.positions.count)
    for position in slab.positions { needs.append(try need(position, in: slab, region)) }
    return needs
  }

  /// What a chunk of a slab comes from, as things stand now.
  private mutating func need(_ position: Int, in slab: Slab, _ region: Range<UInt64>) throws
    -> SlabLoader.Need
  {
    let source = plan[position]
    switch source.kind {
    case .duplicate(let first):
      let chunk = plan.index.range(of: first)
      let isWhole = slab.holds(plan.index.range(of: position))
      if isWhole, slab.holds(chunk) {
        return SlabLoader.Need(position: position, source: source, isDuplicate: true)
      }
      let resident = isWhole ? residents.last { $0.slab.holds(chunk) } : nil
      let twin = resident.map { SlabLoader.Twin(position: first, slab: $0) }
      if target.isReadable, twin != nil || isWritten(chunk) || plan[first] == .inPlace {
        return SlabLoader.Need(
          position: position, source: .target(offset: chunk.lowerBound), isDuplicate: true, twin: twin)
      }
      return SlabLoader.Need(position: position, source: plan[first], twin: twin)
    case .target(let offset) where isEndangered(offset, position, region):
      // Writes that are under way may reach it before the worker does.
      try keep(position, at: offset)
      return SlabLoader.Need(position: position, source: plan[position])
    default:
      return SlabLoader.Need(position: position, source: source)
    }
  }

  private func isWritten(_ range: Range<UInt64>) -> Bool {
    doneRegions.contains { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }
  }

  /// Whether what stands at `offset` and is wanted at `position` is overwritten in this region before its
  /// turn.
  private func isEndangered(_ offset: UInt64, _ position: Int, _ region: Range<UInt64>) -> Bool {
    let index = plan.index
    let range = offset..<offset + UInt64(index.length(of: position))
    let start = index.start(of: position)
    let isLater = !region.contains(start) || offset < start
    guard isLater, !range.intersection(region).isEmpty, !old.holds(range) else { return false }
    var covering = index.position(of: offset)
    while covering < index.count, index.start(of: covering) < range.upperBound {
      if plan[covering] != .inPlace { return true }
      covering += 1
    }
    return false
  }

  private mutating func findEndangered(_ region: Range<UInt64>) {
    var found = [(offset: UInt64, position: Int)]()
    for position in 0..<plan.index.count {
      if case .target(let offset) = plan[position].kind, !isWritten(plan.index.range(of: position)),
        isEndangered(offset, position, region)
      {
        found.append((offset, position))
      }
    }
    endangered = found.sorted { $0.offset < $1.offset }.map(\.position)[...]
  }

  /// Reads chunks ahead whose place is before `offset`, which will now be overwritten.
  private mutating func protect(upTo offset: UInt64) throws {
    while let position = endangered.first {
      // One that has been handed out is kept already, or is fetched.
      let isHandedOut = isInPresentRegion(position) && plan.index.start(of: position) < loadFrontier
      if case .target(let place) = plan[position].kind, !isHandedOut {
        guard place < offset else { return }
        try keep(position, at: place)
      }
      endangered.removeFirst()
    }
  }

  /// Reads a chunk ahead, or gives up the source for it.
  private mutating func keep(_ position: Int, at offset: UInt64) throws {
    guard !old.hasChunk(position) else { return }
    if try !old.keepChunk(position, at: offset, length: plan.index.length(of: position)) {
      plan[position] = .fetch
    }
  }

  private func isInPresentRegion(_ position: Int) -> Bool {
    doneRegions.last.map { plan.index.start(of: position) >= $0.lowerBound } ?? false
  }
}
