import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore
import Synchronization

/// Fills slabs: gets each chunk from where the plan says, hashes it, and gets what does not match from a
/// store.
final class SlabLoader: Sendable {
  /// What each worker reuses. Not shared.
  final class Context {
    let digester: Digester
    let loader = ChunkLoader()
    let compressor: Compressor?
    var ids: [ChunkID] = []

    init(_ algorithm: DigestAlgorithm, caches: Bool) {
      digester = Digester(algorithm)
      // Without a compressor nothing is cached; its default level is always there.
      compressor = caches ? try? Compressor(.zstd) : nil
    }
  }

  /// Where one chunk of a slab comes from, decided when the slab's turn comes; a duplicate is one within the
  /// slab.
  struct Need: Sendable {
    let position: Int
    let source: ChunkSource
    /// The source is where the same chunk was written before.
    var isDuplicate = false
    /// The same chunk in an earlier slab; when that has left memory, `source` has it.
    var twin: Twin?
  }

  /// A chunk that stands at an earlier position, in a slab that is loaded or written right now.
  struct Twin: Sendable {
    let position: Int
    let slab: ResidentSlab
  }

  /// A slab that was handed to the workers, until it is written.
  final class ResidentSlab: Sendable {
    let slab: Slab
    private let job: Mutex<Job<Loaded>?>

    init(_ slab: Slab, _ job: Job<Loaded>) {
      self.slab = slab
      self.job = Mutex(job)
    }

    /// It was written: its memory is free as soon as nobody copies from it.
    func release() { job.withLock { $0 = nil } }

    /// What was loaded; `nil` when it was released. Blocks until it is there: workers take slabs in order, so
    /// another one is at it.
    func loaded() throws -> Loaded? { try job.withLock { $0 }?.wait() }
  }

  /// A slab in memory.
  struct Loaded: Sendable {
    let slab: Slab
    let window: Window
    var shares = [GetSummary.Share](repeating: GetSummary.Share(), count: Source.allCases.count)
    var fetchedBytes: UInt64 = 0
    /// Where each chunk came from that was not just zeros or in place.
    var sources: [(position: Int, source: Source)] = []
  }

  /// A chunk that stands in memory and is not hashed yet.
  private struct Pending {
    let position: Int
    let buffer: Buffer
    let place: Range<Int>
    let source: Source
    let storedBytes: Int
  }

  let index: Index
  let target: Target
  private let old: OldContent
  let seeds: [Seed]
  let fetcher: ChunkFetcher
  let buffers: BufferPool
  /// Numbers of the seeds whose blocks the target can share.
  let cloneable: Set<Int>

  /// - Parameter reflink: whether blocks may be shared with seeds.
  init(
    index: Index, target: Target, old: OldContent, seeds: [Seed], fetcher: ChunkFetcher, reflink: Bool = false
  ) {
    self.index = index
    self.target = target
    self.old = old
    self.seeds = seeds
    self.fetcher = fetcher
    cloneable =
      reflink
      ? Set(seeds.filter { $0.file.map(target.canShareBlocks) ?? false }.map(\.number)) : []
    // A slab, or a longer chunk, and up to two blocks at either end.
    buffers = BufferPool(
      bufferLength: max(Steps.slabLength, index.chunker.maximumChunk)
        + 4 * max(Int(target.blockSize), Buffer.alignment),
      capacity: .max)
  }

  /// Bytes of memory that a slab takes.
  var slabCapacity: Int { buffers.bufferLength }

  func context() -> Context { Context(index.digest, caches: fetcher.hasCache) }

  /// Asks remote stores for what a slab needs of them, before its turn. Does not block for an answer.
  func request(_ needs: [Need]) -> RequestedChunks {
    fetcher.request(
      needs.compactMap { need in
        guard need.source == .fetch, need.twin == nil, !old.hasChunk(need.position) else { return nil }
        return (index.id(of: need.position), index.length(of: need.position))
      })
  }

  /// Fills a slab.
  /// - Parameters:
  ///   - needs: one for each of its positions.
  ///   - requested: what `request` returned for them.
  /// - Throws: `JobError` (missingChunk) when a chunk is nowhere to be had.
  func load(_ slab: Slab, _ needs: [Need], _ requested: RequestedChunks, _ context: Context) throws -> Loaded
  {
    let window = Window(buffers.waitForOne(), start: target.windowStart(slab.range.lowerBound))
    var loaded = Loaded(slab: slab, window: window)
    var pending = [Pending]()
    var repeats = [(first: Int, position: Int)]()
    var twins = [(need: Need, twin: Twin)]()
    var next = 0
    while next < needs.count {
      let need = needs[next]
      if let twin = need.twin {
        twins.append((need, twin))
        next += 1
        continue
      }
      let chunk = index.range(of: need.position)
      let part = chunk.intersection(slab.range)
      switch need.source.kind {
      case .zero:
        window.buffer.zero(window.place(part))
        next += 1
      case .inPlace:
        try readOld(part, into: window)
        next += 1
      case .duplicate(let first):
        repeats.append((first, need.position))
        next += 1
      case .seed(let number, let offset) where part == chunk:
        next += try readSeed(seeds[number], offset, needs[next...], slab, window, &pending, context)
      default:
        pending.append(try get(need, chunk == part ? window : nil, requested, context))
        next += 1
      }
    }
    if slab.range.upperBound > index.size { try readOld(index.size..<slab.range.upperBound, into: window) }
    // Last: by now the earlier slabs are there, most likely.
    for (need, twin) in twins {
      if let earlier = try twin.slab.loaded() {
        copy(twin.position, of: earlier.window, to: need.position, &loaded)
      } else {
        pending.append(try get(need, window, requested, context))
      }
    }
    try verify(pending, &loaded, context)
    for (first, position) in repeats { copy(first, of: window, to: position, &loaded) }
    return loaded
  }

  /// Bytes that stay as they are, but share a block with bytes that do not.
  private func readOld(_ range: Range<UInt64>, into window: Window) throws {
    guard try old.read(at: range.lowerBound, into: window.buffer, window.place(range)) else {
      throw JobError(.io, "\(target.path) ends before byte \(range.upperBound)")
    }
  }

  /// Reads as many chunks as lie behind one another in the seed as in the image with one call.
  /// - Returns: how many needs that serves.
  private func readSeed(
    _ seed: Seed, _ offset: UInt64, _ needs: ArraySlice<Need>, _ slab: Slab, _ window: Window,
    _ pending: inout [Pending], _ context: Context
  ) throws -> Int {
    let start = index.start(of: needs[needs.startIndex].position)
    var count = 0
    for need in needs {
      let chunk = index.range(of: need.position)
      guard chunk.upperBound <= slab.range.upperBound,
        need.source == .seed(seed.number, offset: offset + (chunk.lowerBound - start))
      else { break }
      count += 1
    }
    let run = needs.prefix(count)
    guard let last = run.last,
      seed.read(at: offset, into: window.buffer, window.place(start..<index.end(of: last.position)))
    else {
      pending.append(
        try get(
          Need(position: needs[needs.startIndex].position, source: .fetch), window, .none, context))
      return 1
    }
    for need in run {
      pending.append(
        Pending(
          position: need.position, buffer: window.buffer, place: window.place(index.range(of: need.position)),
          source: need.isDuplicate ? .duplicate : .seed, storedBytes: 0))
    }
    return count
  }

  /// Loads one chunk to its place in the window, or, when only a part of it is wanted, to memory of its own.
  private func get(
    _ need: Need, _ window: Window?, _ requested: RequestedChunks, _ context: Context
  ) throws -> Pending {
    let chunk = index.range(of: need.position)
    let buffer = window?.buffer ?? Buffer(count: Int(chunk.length))
    let place = window?.place(chunk) ?? 0..<Int(chunk.length)
    func pending(_ source: Source, _ storedBytes: Int = 0) -> Pending {
      Pending(position: need.position, buffer: buffer, place: place, source: source, storedBytes: storedBytes)
    }
    if let kept = old.takeChunk(need.position) {
      buffer.copy(0..<place.count, of: kept.buffer, to: place.lowerBound)
      return pending(kept.source)
    }
    switch need.source.kind {
    case .target(let offset):
      if try old.read(at: offset, into: buffer, place) {
        return pending(need.isDuplicate ? .duplicate : .target)
      }
    case .seed(let number, let offset):
      if seeds[number].read(at: offset, into: buffer, place) { return pending(.seed) }
    default: break
    }
    let id = index.id(of: need.position)
    if let fetched = try fetcher.fetch(id, into: buffer, place, using: context.loader, requested) {
      return pending(fetched.source, fetched.storedBytes)
    }
    let fetched = try fetcher.fetchVerified(
      id, into: buffer, place, using: context.loader, context.digester)
    return pending(fetched.source, fetched.storedBytes)
  }

  /// Hashes everything that was loaded, replaces what does not match, and puts parts of chunks into the
  /// window.
  private func verify(_ pending: [Pending], _ loaded: inout Loaded, _ context: Context) throws {
    let window = loaded.window
    let whole = pending.filter { $0.buffer === window.buffer }
    context.ids.removeAll(keepingCapacity: true)
    context.digester.digests(of: whole.map(\.place), in: window.buffer.bytes, into: &context.ids)
    for (item, id) in zip(whole, context.ids) { try settle(item, id, &loaded, context) }
    for item in pending where item.buffer !== window.buffer {
      let buffer = item.buffer
      try settle(item, context.digester.digest(buffer.bytes.extracting(item.place)), &loaded, context)
      let chunk = index.range(of: item.position)
      let part = chunk.intersection(loaded.slab.range)
      let start = Int(part.lowerBound - chunk.lowerBound)
      window.buffer.copy(start..<start + Int(part.length), of: buffer, to: window.place(part).lowerBound)
    }
  }

  /// A chunk that stands in memory twice, verified where it stands first.
  private func copy(_ first: Int, of source: Window, to position: Int, _ loaded: inout Loaded) {
    let window = loaded.window
    let chunk = index.range(of: position)
    window.buffer.copy(
      source.place(index.range(of: first)), of: source.buffer, to: window.place(chunk).lowerBound)
    loaded.shares[Source.duplicate.rawValue].chunks += 1
    loaded.shares[Source.duplicate.rawValue].bytes += chunk.length
  }

  private func settle(_ item: Pending, _ found: ChunkID, _ loaded: inout Loaded, _ context: Context) throws {
    let id = index.id(of: item.position)
    var source = item.source
    var storedBytes = item.storedBytes
    if found != id {
      let fetched = try fetcher.fetchVerified(
        id, into: item.buffer, item.place, using: context.loader, context.digester)
      source = fetched.source
      storedBytes = fetched.storedBytes
    }
    if source == .store {
      let buffer = item.buffer
      try fetcher.keep(id, buffer.bytes.extracting(item.place), using: context.compressor)
      loaded.fetchedBytes += UInt64(storedBytes)
    }
    loaded.sources.append((item.position, source))
    // A chunk of which two slabs hold a part is counted with the first.
    guard loaded.slab.range.contains(index.start(of: item.position)) else { return }
    loaded.shares[source.rawValue].chunks += 1
    loaded.shares[source.rawValue].bytes += UInt64(item.place.count)
  }
}
