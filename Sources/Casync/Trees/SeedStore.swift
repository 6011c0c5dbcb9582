import CasyncArchive
import CasyncFormat
import CasyncIO
import CasyncStore

/// What seeds hold of an image, as a store of chunks.
final class SeedStore: ChunkStore {
  let name = "the seeds"
  let isRemote = false
  let forms: [ChunkForm] = [.plain]
  private let seeds: [Seed]
  private let places: [ChunkID: (seed: Int, offset: UInt64, length: Int)]

  /// Cuts the seeds and keeps where the chunks of `index` stand in them. Blocks.
  /// - Parameters:
  ///   - paths: directories, files and devices.
  ///   - shift: of the owners in directories.
  ///   - warn: told of seeds that cannot be used, or only in part.
  init(
    _ paths: [String], of index: Index, _ shift: UIDShift, _ cancellation: Cancellation,
    warn: (String) -> Void
  ) throws {
    var warnings = [String]()
    let seeds = try Seed.open(paths, &warnings)
    var plan = Plan(index, zeros: ZeroChunks(of: index))
    let count = WorkerPool<SlabLoader.Context>.processorCount
    try WorkerPool.with(count: count, context: { SlabLoader.Context(index.digest, caches: false) }) {
      workers in
      let scan = SeedScan(workers: workers, progress: Progress(cancellation: cancellation))
      for seed in seeds { try scan.cut(seed, shift, &plan, &warnings) }
    }
    var places = [ChunkID: (seed: Int, offset: UInt64, length: Int)]()
    for position in 0..<index.count {
      guard case .seed(let number, let offset) = plan[position].kind else { continue }
      places[index.id(of: position)] = (number, offset, index.length(of: position))
    }
    self.seeds = seeds
    self.places = places
    warnings.forEach(warn)
  }

  func load(
    _ id: ChunkID, _ form: ChunkForm, into buffer: Buffer, _ range: Range<Int>, using loader: ChunkLoader,
    _ request: ChunkRequest?
  ) throws -> ChunkLoad {
    guard let (seed, offset, _) = places[id], seeds[seed].read(at: offset, into: buffer, range) else {
      return .missing
    }
    return .loaded(storedBytes: range.count)
  }

  func storedSizes(of ids: [ChunkID]) throws -> [UInt64?] {
    ids.map { places[$0].map { UInt64($0.length) } }
  }

  func request(_ id: ChunkID, length: Int, onMiss: (@Sendable () -> Void)?) -> ChunkRequest? { nil }
}
