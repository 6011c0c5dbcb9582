import CasyncFormat
import CasyncIO
import Synchronization

// The random-access reader: a range of an image → its chunks → in memory? → else one load a chunk, however
// many ask → digest compared → memory, and everybody who waits.
//
// `ImageReader` knows one image and what lies where in it. `ChunkSupply` has the memory and the threads, for
// all images that a process serves: `--memory=` bounds what is kept beyond what readers hold at the moment.
// What a reader asked for is loaded before what is only expected to be asked for, that before what a prefetch
// wants; local files are read by threads of their own, so that they do not wait for stores. Zeros are known
// by their names and never loaded. A chunk that cannot be had fails those who wait for it and nobody else;
// who asks again causes another attempt.

/// Chunks for several images: those in memory at once, others when a thread has loaded them.
package final class ChunkSupply: Sendable {
  /// Who waits for a chunk.
  struct Waiter {
    let read: PendingRead
    let place: Int
    /// Makes its piece of the chunk; `nil` when the chunk shall only be in memory.
    let piece: (@Sendable (Buffer) -> ImagePiece)?
  }

  /// How to load a chunk.
  struct Load {
    let key: ChunkCache.Key
    let length: Int
    let origin: Origin
    /// Whether it stays in memory.
    var isKept = true

    var isFromStore: Bool {
      if case .stores = origin { true } else { false }
    }
  }

  enum Origin {
    case stores(ChunkFetcher, DigestAlgorithm, CachePlace?)
    case file(File, offset: UInt64)
  }

  /// Where a chunk is kept when it was fetched.
  struct CachePlace {
    let file: CacheFile
    let position: Int
  }

  /// Asked now and then for loads of a prefetch.
  /// - Parameter room: most loads.
  typealias Feeder = @Sendable (_ room: Int) -> Feed

  struct Feed {
    var loads: [Load] = []
    /// Whether more will come soon.
    var hasMore = false
  }

  private struct Flight {
    var waiters: [Waiter]
    var isStarted = false
  }

  private struct State {
    var cache: ChunkCache
    var flights: [ChunkCache.Key: Flight] = [:]
    /// Bytes of the chunks that are being loaded.
    var loadingBytes = 0
    var lastReport: ContinuousClock.Instant?
  }

  private struct Queue {
    var wanted = Fifo<Load>()
    var expected = Fifo<Load>()
    var prefetched = Fifo<Load>()
    /// Threads that load for a prefetch.
    var prefetching = 0
    var isClosed = false
  }

  /// Longest part of a file that is read at one time.
  private static let passingLength: UInt64 = 1 << 20
  /// Most chunks that are expected at one time; more are not worth the wait.
  private static let expectedLimit = 512
  /// Most chunks that wait to be prefetched.
  private static let prefetchLimit = 128
  /// Threads that read local files.
  private static let localThreads = 4
  /// Most chunks that a thread loads at one time.
  private static let batchLimit = 8

  private let state: Mutex<State>
  private let queue = Monitor(Queue())
  private let local = Monitor(Queue())
  private let feeders = Monitor<(list: [Feeder], isClosed: Bool)>((list: [], isClosed: false))
  private let outage: Outage
  private let loads: Int
  let tally = ReadTally()
  private let report: @Sendable (String) -> Void
  private let passing = Atomic<UInt64>(0)
  /// Bytes of memory for chunks.
  let memory: Int

  private init(memory: Int, loads: Int, retry: Duration, report: @escaping @Sendable (String) -> Void) {
    self.memory = memory
    self.loads = loads
    self.report = report
    outage = Outage(limit: retry)
    state = Mutex(State(cache: ChunkCache(limit: memory)))
  }

  /// Runs `body` with a supply whose threads are gone when it returns. What nobody has begun to load by then
  /// is dropped.
  /// - Parameters:
  ///   - memory: most bytes of chunks that are kept.
  ///   - loads: threads that load chunks.
  ///   - retry: how long stores that cannot be reached are asked again.
  ///   - report: told, at most once a second, why a chunk cannot be had. Called on any thread.
  package static func with<Result>(
    memory: Int, loads: Int, retry: Duration = .zero, report: @escaping @Sendable (String) -> Void,
    _ body: (ChunkSupply) throws -> Result
  ) throws -> Result {
    let supply = ChunkSupply(memory: memory, loads: loads, retry: retry, report: report)
    let threads = [
      Threads(count: loads) { supply.work(supply.queue) },
      Threads(count: localThreads) { supply.work(supply.local) },
      Threads(count: 1) { supply.feed() },
    ]
    defer {
      supply.outage.close()
      supply.queue.withLock { $0.isClosed = true }
      supply.local.withLock { $0.isClosed = true }
      supply.feeders.withLock { $0 = ([], true) }
      for thread in threads { thread.join() }
    }
    return try body(supply)
  }

  /// Bytes of chunks in memory.
  package var keptBytes: Int { state.withLock { $0.cache.bytes } }

  /// What was done so far.
  package var summary: ReadSummary { tally.summary }

  /// Counts what only who talks to clients knows. May be called by any thread.
  package func count(_ change: (inout ReadSummary) -> Void) { tally.count(change) }

  func tell(_ message: String) { report(message) }

  // MARK: Asking

  /// What a read needs of one chunk.
  struct Need {
    let load: Load
    let place: Int
    let piece: (@Sendable (Buffer) -> ImagePiece)?
  }

  /// Fills in the pieces of chunks that are in memory, and has the others loaded.
  /// - Parameters:
  ///   - pieces: one for each place; those of chunks that are not in memory stay `nil`.
  ///   - isAwaited: whether somebody waits for it, whose time counts.
  /// - Returns: the read that waits for them; `nil` when nothing is missing. The caller starts it.
  func provide(
    _ needs: [Need], into pieces: inout [ImagePiece?], isAwaited: Bool = true,
    _ completion: @escaping PendingRead.Completion
  ) -> PendingRead? {
    var read: PendingRead?
    var loads = [Load]()
    state.withLock { state in
      for need in needs {
        if let buffer = state.cache.take(need.load.key) {
          pieces[need.place] = need.piece?(buffer)
          continue
        }
        let waiting = read ?? PendingRead(tally: isAwaited ? tally : nil, completion)
        read = waiting
        waiting.expect(fromStore: need.load.isFromStore)
        let waiter = Waiter(read: waiting, place: need.place, piece: need.piece)
        // One that is only expected so far is queued again among those that are wanted; whoever begins first
        // loads it.
        if state.flights[need.load.key]?.isStarted != true { loads.append(need.load) }
        state.flights[need.load.key, default: Flight(waiters: [])].waiters.append(waiter)
      }
    }
    add(loads, to: \.wanted)
    return read
  }

  /// Wakes one thread; each that finds more than it takes wakes the next.
  private func add(_ loads: [Load], to part: WritableKeyPath<Queue, Fifo<Load>>) {
    for (queue, isForStores) in [(queue, true), (local, false)] {
      let loads = loads.filter { $0.isFromStore == isForStores }
      guard !loads.isEmpty else { continue }
      queue.withLockWakingOne { queue in loads.forEach { queue[keyPath: part].append($0) } }
    }
  }

  /// Reads `range` of a file whose bytes may change: they are not kept.
  /// - Parameter completion: called once, on a thread that loads.
  func read(_ file: File, _ range: Range<UInt64>, _ completion: @escaping PendingRead.Completion) {
    var needs = [Need]()
    var start = range.lowerBound
    while start < range.upperBound {
      let (offset, length) = (start, Int(min(range.upperBound - start, Self.passingLength)))
      let number = passing.add(1, ordering: .relaxed).newValue
      let load = Load(key: .passing(number), length: length, origin: .file(file, offset: offset))
      needs.append(
        Need(load: load, place: needs.count) {
          ImagePiece(offset: offset, length: length, buffer: $0, start: 0)
        })
      start += UInt64(length)
    }
    var pieces = [ImagePiece?](repeating: nil, count: needs.count)
    provide(needs, into: &pieces, completion)?.start(pieces)
  }

  /// Has chunks loaded that will probably be asked for.
  func expect(_ loads: [Load]) {
    let room = queue.withLockWakingOne { Self.expectedLimit - $0.expected.count }
    add(begin(loads.prefix(max(0, room))), to: \.expected)
  }

  /// Those that are neither in memory nor under way.
  private func begin(_ loads: some Sequence<Load>) -> [Load] {
    state.withLock { state in
      loads.filter { load in
        guard state.flights[load.key] == nil, !state.cache.contains(load.key) else { return false }
        state.flights[load.key] = Flight(waiters: [])
        return true
      }
    }
  }

  // MARK: Prefetching

  /// Asks `feeder` from now on, on a thread that is its own.
  func add(_ feeder: @escaping Feeder) {
    feeders.withLock { $0.list.append(feeder) }
  }

  private func feed() {
    var hasMore = false
    while true {
      let feeders: [Feeder]? =
        self.feeders.wait(atMost: hasMore ? .milliseconds(20) : .milliseconds(500)) {
          $0.isClosed ? .some([]) : nil
        } == nil ? self.feeders.withLock { $0.list } : nil
      guard let feeders else { return }
      hasMore = false
      for feeder in feeders {
        let room = queue.withLockWakingOne { Self.prefetchLimit - $0.prefetched.count }
        guard room > 0 else {
          hasMore = true
          continue
        }
        let feed = feeder(room)
        hasMore = hasMore || feed.hasMore
        add(begin(feed.loads), to: \.prefetched)
      }
    }
  }

  // MARK: Loading

  private func work(_ queue: Monitor<Queue>) {
    let context = LoadContext(outage)
    while let batch = next(queue) {
      if batch.leavesMore { queue.withLockWakingOne { _ in } }
      let loads = start(batch.loads)
      if !loads.isEmpty { context.load(loads, finish) }
      if batch.isPrefetch { queue.withLockWakingOne { $0.prefetching -= 1 } }
    }
  }

  /// Of `loads` those that nobody has begun, which are begun.
  private func start(_ loads: [Load]) -> [Load] {
    let (started, evicted) = state.withLock { state in
      var started = [Load]()
      for load in loads where state.flights[load.key]?.isStarted == false {
        state.flights[load.key]?.isStarted = true
        state.loadingBytes += ChunkCache.cost(load.length)
        started.append(load)
      }
      return (started, state.cache.makeRoom(for: state.loadingBytes))
    }
    withExtendedLifetime(evicted) {}
    return started
  }

  private struct Batch {
    var loads: [Load]
    var isPrefetch = false
    /// Whether others could take more.
    var leavesMore = false
  }

  /// What a thread loads next; several of one kind where there are more than threads.
  private func next(_ queue: Monitor<Queue>) -> Batch? {
    queue.waitWakingNobody { [loads] queue -> Batch?? in
      if queue.isClosed { return .some(nil) }
      guard var batch = Self.batch(from: &queue, loads) else { return nil }
      batch.leavesMore = !queue.wanted.isEmpty || !queue.expected.isEmpty || !queue.prefetched.isEmpty
      return batch
    }
  }

  private static func batch(from queue: inout Queue, _ threads: Int) -> Batch? {
    if !queue.wanted.isEmpty { return Batch(loads: take(from: &queue.wanted, threads)) }
    if !queue.expected.isEmpty { return Batch(loads: take(from: &queue.expected, threads)) }
    // Half of the threads are left for what somebody may want in the meantime.
    guard queue.prefetching < max(1, threads / 2), !queue.prefetched.isEmpty else { return nil }
    queue.prefetching += 1
    return Batch(loads: take(from: &queue.prefetched, threads), isPrefetch: true)
  }

  private static func take(from queue: inout Fifo<Load>, _ threads: Int) -> [Load] {
    let limit = max(1, min(batchLimit, queue.count / max(1, threads / 4)))
    var loads = [Load]()
    var bytes = 0
    while loads.count < limit, let load = queue.first,
      loads.isEmpty || bytes + load.length <= LoadContext.batchBytes
    {
      _ = queue.popFirst()
      bytes += load.length
      loads.append(load)
    }
    return loads
  }

  private func finish(_ load: Load, _ result: Result<LoadedChunk, any Error>) {
    let (waiters, evicted, isReported) = state.withLock { state -> ([Waiter], [Buffer], Bool) in
      state.loadingBytes -= ChunkCache.cost(load.length)
      let waiters = state.flights.removeValue(forKey: load.key)?.waiters ?? []
      switch result {
      case .success(let chunk):
        return (waiters, load.isKept ? state.cache.insert(chunk.buffer, for: load.key) : [], false)
      case .failure:
        // What was only expected may never be wanted.
        let isDue = state.lastReport.map { $0.duration(to: .now) >= .seconds(1) } ?? true
        if isDue, !waiters.isEmpty { state.lastReport = .now }
        return (waiters, [], isDue && !waiters.isEmpty)
      }
    }
    withExtendedLifetime(evicted) {}
    if isReported, case .failure(let error) = result { report("\(error)") }
    for waiter in waiters {
      waiter.read.deliver(
        result.map { chunk in waiter.piece.map { [$0(chunk.buffer)] } ?? [] }, at: waiter.place)
    }
    if case .success(let chunk) = result { keep(chunk, load) }
  }

  private func keep(_ chunk: LoadedChunk, _ load: Load) {
    guard case .stores(_, _, let place) = load.origin else { return }
    if let bytes = chunk.fetchedBytes {
      tally.count { summary in
        summary.fetchedChunks += 1
        summary.loadedBytes += UInt64(load.length)
        summary.fetchedBytes += UInt64(bytes)
      }
    }
    if let place { place.file.keep(chunk.buffer, at: place.position) }
  }
}
