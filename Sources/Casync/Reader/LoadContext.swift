import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore

/// A chunk that was loaded.
struct LoadedChunk {
  let buffer: Buffer
  /// Bytes that a store gave for it; `nil` when it came from a cache or a file.
  var fetchedBytes: Int?
}

/// What each loading thread reuses. Not shared.
final class LoadContext {
  /// Most bytes of chunks that are loaded together.
  static let batchBytes = 1 << 20

  private let outage: Outage
  private let loader = ChunkLoader()
  private lazy var sha256 = Digester(.sha256)
  private lazy var sha512 = Digester(.sha512_256)
  // Without a compressor nothing is put into the cache directory; its default level is always there.
  private lazy var compressor = try? Compressor(.zstd)
  private lazy var scratch = Buffer(count: Self.batchBytes)

  init(_ outage: Outage) { self.outage = outage }

  /// Loads chunks, and hands on each as soon as it is known what became of it. Several of one image's are
  /// hashed side by side.
  func load(
    _ loads: [ChunkSupply.Load], _ finish: (ChunkSupply.Load, Result<LoadedChunk, any Error>) -> Void
  ) {
    let rest = loads.count > 1 ? loadTogether(loads, finish) : loads
    for load in rest { finish(load, Result { try self.load(load) }) }
  }

  private func digester(_ algorithm: DigestAlgorithm) -> Digester { algorithm == .sha256 ? sha256 : sha512 }

  /// - Returns: those that need another, slower look.
  private func loadTogether(
    _ loads: [ChunkSupply.Load], _ finish: (ChunkSupply.Load, Result<LoadedChunk, any Error>) -> Void
  ) -> [ChunkSupply.Load] {
    guard case .stores(let fetcher, let algorithm, _) = loads[0].origin else { return loads }
    var rest = [ChunkSupply.Load]()
    var together = [(load: ChunkSupply.Load, id: ChunkID, range: Range<Int>, fetched: ChunkFetcher.Fetched)]()
    var end = 0
    let wanted = loads.compactMap { load in load.id.map { (id: $0, length: load.length) } }
    let requested = fetcher.request(wanted)
    for load in loads {
      guard case .stores(let other, _, _) = load.origin, other === fetcher, let id = load.id,
        end + load.length <= scratch.count
      else {
        rest.append(load)
        continue
      }
      let range = end..<end + load.length
      // What fails here is loaded again alone, and reported then.
      if let fetched = try? fetcher.fetch(id, into: scratch, range, using: loader, requested) {
        together.append((load, id, range, fetched))
        end = range.upperBound
      } else {
        rest.append(load)
      }
    }
    var ids = [ChunkID]()
    digester(algorithm).digests(of: together.map(\.range), in: scratch.bytes, into: &ids)
    for (chunk, id) in zip(together, ids) {
      guard id == chunk.id else {
        rest.append(chunk.load)
        continue
      }
      let buffer = Buffer(count: chunk.load.length)
      buffer.copy(chunk.range, of: scratch, to: 0)
      finish(chunk.load, .success(loaded(buffer, chunk.fetched, chunk.id, fetcher)))
    }
    return rest
  }

  /// The bytes of a chunk, compared with its name. Stores that cannot be reached are asked again for a while.
  private func load(_ load: ChunkSupply.Load) throws -> LoadedChunk {
    let buffer = Buffer(count: load.length)
    let all = 0..<load.length
    switch load.origin {
    case .file(let file, let offset):
      guard try file.read(at: offset, into: buffer, all) == load.length else {
        throw JobError(.io, "\(file.path) ends before byte \(offset + UInt64(load.length))")
      }
      return LoadedChunk(buffer: buffer)
    case .stores(let fetcher, let algorithm, _):
      guard let id = load.id else { preconditionFailure("only chunks come from stores") }
      let start = ContinuousClock.now
      while true {
        do {
          let fetched = try fetcher.fetchVerified(id, into: buffer, all, using: loader, digester(algorithm))
          return loaded(buffer, fetched, id, fetcher)
        } catch let error as JobError where error.code == .unreachable {
          guard outage.shallRetry(start) else { throw error }
        }
      }
    }
  }

  private func loaded(
    _ buffer: Buffer, _ fetched: ChunkFetcher.Fetched, _ id: ChunkID, _ fetcher: ChunkFetcher
  ) -> LoadedChunk {
    guard fetched.source == .store else { return LoadedChunk(buffer: buffer) }
    outage.end()
    // A cache that cannot be written makes no read fail.
    if fetcher.hasCache { try? fetcher.keep(id, buffer.bytes, using: compressor) }
    return LoadedChunk(buffer: buffer, fetchedBytes: fetched.storedBytes)
  }
}

extension ChunkSupply.Load {
  /// The name of the chunk; `nil` for what is none.
  fileprivate var id: ChunkID? {
    if case .chunk(let id, _) = key { id } else { nil }
  }
}
