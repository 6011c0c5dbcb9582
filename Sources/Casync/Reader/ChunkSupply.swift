import CasyncChunking
import CasyncFormat
import CasyncStore
import CasyncIO
import Synchronization

// The random-access reader: a range of an image → its chunks → in memory? → else one load a chunk, however
// many ask → digest compared → memory, and everybody who waits.
//
// `ImageReader` knows one image and what lies where in it. `ChunkSupply` has the memory and the threads, for
// all images that a process serves: `--memory=` bounds what is kept beyond what readers hold at the moment.
// What a reader asked for is loaded before what is only expected to be asked for. Zeros are known by their
// names and never loaded. A chunk that cannot be had fails those who wait for it and nobody else; who asks
// again causes another attempt.

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
  }

  enum Origin {
    case stores(ChunkFetcher, DigestAlgorithm)
    case file(File, offset: UInt64)
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
    var isClosed = false
  }

  /// Longest part of a file that is read at one time.
  private static let passingLength: UInt64 = 1 << 20
  /// Most chunks that are expected at one time; more are not worth the wait.
  private static let expectedLimit = 512

  private let state: Mutex<State>
  private let queue = Monitor(Queue())
  private let report: @Sendable (String) -> Void
  private let passing = Atomic<UInt64>(0)
  /// Bytes of memory for chunks.
  let memory: Int

  private init(memory: Int, report: @escaping @Sendable (String) -> Void) {
    self.memory = memory
    self.report = report
    state = Mutex(State(cache: ChunkCache(limit: memory)))
  }

  /// Runs `body` with a supply whose threads are gone when it returns. What nobody has begun to load by then
  /// is dropped.
  /// - Parameters:
  ///   - memory: most bytes of chunks that are kept.
  ///   - loads: most chunks that are loaded at one time.
  ///   - report: told, at most once a second, why a chunk cannot be had. Called on any thread.
  package static func with<Result>(
    memory: Int, loads: Int, report: @escaping @Sendable (String) -> Void,
    _ body: (ChunkSupply) throws -> Result
  ) throws -> Result {
    let supply = ChunkSupply(memory: memory, report: report)
    let threads = Threads(count: loads) { supply.work() }
    defer {
      supply.queue.withLock { $0.isClosed = true }
      threads.join()
    }
    return try body(supply)
  }

  /// Bytes of chunks in memory.
  package var keptBytes: Int { state.withLock { $0.cache.bytes } }

  // MARK: Asking

  /// What a read needs of one chunk.
  struct Need {
    let load: Load
    let place: Int
    let piece: (@Sendable (Buffer) -> ImagePiece)?
  }

  /// Fills in the pieces of chunks that are in memory, and has the others loaded.
  /// - Parameter pieces: one for each place; those of chunks that are not in memory stay `nil`.
  /// - Returns: the read that waits for them; `nil` when nothing is missing. The caller starts it.
  func provide(
    _ needs: [Need], into pieces: inout [ImagePiece?], _ completion: @escaping PendingRead.Completion
  ) -> PendingRead? {
    var read: PendingRead?
    var loads = [Load]()
    state.withLock { state in
      for need in needs {
        if let buffer = state.cache.take(need.load.key) {
          pieces[need.place] = need.piece?(buffer)
          continue
        }
        let waiting = read ?? PendingRead(completion)
        read = waiting
        waiting.expect()
        let waiter = Waiter(read: waiting, place: need.place, piece: need.piece)
        // One that is only expected so far is queued again among those that are wanted; whoever begins first
        // loads it.
        if state.flights[need.load.key]?.isStarted != true { loads.append(need.load) }
        state.flights[need.load.key, default: Flight(waiters: [])].waiters.append(waiter)
      }
    }
    for load in loads { queue.withLockWakingOne { $0.wanted.append(load) } }
    return read
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
    let new = state.withLock { state in
      loads.prefix(max(0, room)).filter { load in
        guard state.flights[load.key] == nil, !state.cache.contains(load.key) else { return false }
        state.flights[load.key] = Flight(waiters: [])
        return true
      }
    }
    for load in new { queue.withLockWakingOne { $0.expected.append(load) } }
  }

  // MARK: Loading

  private func work() {
    let context = LoadContext()
    while let load = next() {
      let isMine = state.withLock { state in
        guard state.flights[load.key]?.isStarted == false else { return false }
        state.flights[load.key]?.isStarted = true
        state.loadingBytes += ChunkCache.cost(load.length)
        state.cache.makeRoom(for: state.loadingBytes)
        return true
      }
      if isMine { finish(load, Result { try context.load(load) }) }
    }
  }

  private func next() -> Load? {
    queue.waitWakingNobody { queue -> Load?? in
      if queue.isClosed { return .some(nil) }
      return (queue.wanted.popFirst() ?? queue.expected.popFirst()).map { .some($0) }
    }
  }

  private func finish(_ load: Load, _ result: Result<Buffer, any Error>) {
    let (waiters, isReported) = state.withLock { state -> ([Waiter], Bool) in
      state.loadingBytes -= ChunkCache.cost(load.length)
      let waiters = state.flights.removeValue(forKey: load.key)?.waiters ?? []
      switch result {
      case .success(let buffer):
        state.cache.insert(buffer, for: load.key)
        return (waiters, false)
      case .failure:
        // What was only expected may never be wanted.
        let isDue = state.lastReport.map { $0.duration(to: .now) >= .seconds(1) } ?? true
        if isDue, !waiters.isEmpty { state.lastReport = .now }
        return (waiters, isDue && !waiters.isEmpty)
      }
    }
    if isReported, case .failure(let error) = result { report("\(error)") }
    for waiter in waiters {
      waiter.read.deliver(result.map { buffer in waiter.piece.map { [$0(buffer)] } ?? [] }, at: waiter.place)
    }
  }
}

/// What each loading thread reuses. Not shared.
private final class LoadContext {
  private let loader = ChunkLoader()
  private lazy var sha256 = Digester(.sha256)
  private lazy var sha512 = Digester(.sha512_256)
  // Without a compressor nothing is put into the cache directory; its default level is always there.
  private lazy var compressor = try? Compressor(.zstd)

  /// The bytes of a chunk, compared with its name.
  func load(_ load: ChunkSupply.Load) throws -> Buffer {
    let buffer = Buffer(count: load.length)
    let all = 0..<load.length
    switch load.origin {
    case .file(let file, let offset):
      guard try file.read(at: offset, into: buffer, all) == load.length else {
        throw JobError(.io, "\(file.path) ends before byte \(offset + UInt64(load.length))")
      }
    case .stores(let fetcher, let algorithm):
      guard case .chunk(let id, _) = load.key else { break }
      let digester = algorithm == .sha256 ? sha256 : sha512
      let fetched = try fetcher.fetchVerified(id, into: buffer, all, using: loader, digester)
      if fetched.source == .store, fetcher.hasCache {
        // A cache that cannot be written makes no read fail.
        try? fetcher.keep(id, buffer.bytes, using: compressor)
      }
    }
    return buffer
  }
}
