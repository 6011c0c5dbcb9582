import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore
import Synchronization

/// Gets chunks from the cache and the stores, local ones first, and puts what came from a store into the
/// cache.
final class ChunkFetcher: Sendable {
  private let cache: CacheDirectory?
  /// Where chunks are looked for, in order.
  private let places: [(store: any ChunkStore, source: Source)]
  /// Tries of a remote store whose answer is not the chunk: what is between it and us may have spoilt it.
  private static let remoteTries = 6

  /// - Throws: `StoreError` when a local store is not there; a cache is made.
  /// - Parameter seeds: asked before the stores.
  /// - Parameter cacheLimit: bytes that the cache may have; `nil` is no bound.
  init(
    stores: [String], cache path: String?, cacheLimit: UInt64? = nil, seeds: SeedStore? = nil,
    _ opener: Stores
  ) throws {
    let stores = try stores.map { try opener.open($0) }
    cache = try path.map { try CacheDirectory($0, limit: cacheLimit) }
    places =
      (cache.map { [($0.store, Source.cache)] } ?? []) + (seeds.map { [($0, Source.seed)] } ?? [])
      + (stores.filter { !$0.isRemote } + stores.filter(\.isRemote)).map { ($0, Source.store) }
  }

  /// A chunk that was loaded.
  struct Fetched {
    let source: Source
    let storedBytes: Int
  }

  /// Asks remote stores for chunks before their turn. Does not block for an answer.
  /// - Returns: what `fetch` takes; when nobody has it any more the requests are given up.
  func request(_ chunks: [(id: ChunkID, length: Int)]) -> RequestedChunks {
    let remote = places.map(\.store).filter(\.isRemote)
    guard !remote.isEmpty else { return RequestedChunks([:]) }
    let local = places.map(\.store).filter { !$0.isRemote }
    var requested = [ChunkID: RequestedChunk]()
    for chunk in chunks where requested[chunk.id] == nil {
      // A place that fails is asked again when it is the chunk's turn.
      guard !local.contains(where: { (try? $0.storedSizes(of: [chunk.id]).first ?? nil) != nil }) else {
        continue
      }
      requested[chunk.id] = RequestedChunk(chunk.id, length: chunk.length, from: remote)
    }
    return RequestedChunks(requested)
  }

  /// Loads a chunk from the first place that has it. Its digest is not compared.
  /// - Returns: `nil` when no place has it in a readable form: `fetchVerified` tells why.
  func fetch(
    _ id: ChunkID, into buffer: Buffer, _ place: Range<Int>, using loader: ChunkLoader,
    _ requested: RequestedChunks
  ) throws -> Fetched? {
    let requested = requested.take(id)
    for (store, source) in places {
      for form in store.forms {
        do {
          let request = requested?.take(from: store)
          if case .loaded(let bytes) = try store.load(id, form, into: buffer, place, using: loader, request) {
            if source == .cache { cache?.use(id) }
            return Fetched(source: source, storedBytes: bytes)
          }
        } catch let error as CancellationError {
          throw error
        } catch {
          // A store that fails is like one without the chunk; `fetchVerified` reports it when no other has
          // it.
        }
      }
    }
    return nil
  }

  /// Loads a chunk from the first place whose bytes have its digest.
  /// - Throws: `JobError` (missingChunk, or unreachable when a place could not be asked) naming the places
  ///   and what was wrong with each.
  func fetchVerified(
    _ id: ChunkID, into buffer: Buffer, _ place: Range<Int>, using loader: ChunkLoader, _ digester: Digester
  ) throws -> Fetched {
    var reasons = [String]()
    var isDamaged = false
    var isUnreachable = false
    for (store, source) in places {
      var failure: String?
      tries: for _ in 0..<(store.isRemote ? Self.remoteTries : 1) {
        for form in store.forms {
          do {
            switch try store.load(id, form, into: buffer, place, using: loader, nil) {
            case .missing: continue
            case .bad(let reason): failure = reason
            case .loaded(let bytes):
              if digester.digest(buffer.bytes.extracting(place)) == id {
                return Fetched(source: source, storedBytes: bytes)
              }
              failure = "\(store.name): its content does not match its name"
            }
            isDamaged = isDamaged || !store.isRemote
          } catch let error as CancellationError {
            throw error
          } catch {
            failure = "\(error)"
            isUnreachable = isUnreachable || (error as? StoreError)?.code != .denied
            break tries
          }
        }
        if failure == nil { break }
      }
      reasons.append(failure ?? "\(store.name): not there")
    }
    let list = reasons.isEmpty ? "no store was given" : reasons.joined(separator: "; ")
    throw JobError(
      isUnreachable ? .unreachable : .missingChunk, "cannot get chunk \(id): \(list)",
      hint: isDamaged ? "casync check --repair STORE moves damaged chunks aside; put the image again" : nil)
  }

  /// Puts a verified chunk that came from a store into the cache.
  func keep(_ id: ChunkID, _ bytes: RawSpan, using compressor: Compressor?) throws {
    guard let cache, let compressor, try !cache.contains(id) else { return }
    var compressed = [UInt8]()
    try compressor.compress(bytes, into: &compressed)
    try cache.add(id, compressed: compressed.rawSpan)
  }

  /// Makes the cache durable.
  func close() throws {
    try cache?.close()
  }

  var hasCache: Bool { cache != nil }
}

/// Chunks that remote stores were asked for before their turn.
final class RequestedChunks: Sendable {
  static let none = RequestedChunks([:])
  private let chunks: Mutex<[ChunkID: RequestedChunk]>

  init(_ chunks: [ChunkID: RequestedChunk]) { self.chunks = Mutex(chunks) }

  /// The chunk, which is not asked for again.
  func take(_ id: ChunkID) -> RequestedChunk? {
    chunks.withLock { $0.removeValue(forKey: id) }
  }
}

/// A chunk that remote stores are asked for, the next when one does not have it.
final class RequestedChunk: Sendable {
  private let id: ChunkID
  private let length: Int
  private let stores: [any ChunkStore]
  private let requests = Mutex<[ObjectIdentifier: ChunkRequest]>([:])

  init(_ id: ChunkID, length: Int, from stores: [any ChunkStore]) {
    self.id = id
    self.length = length
    self.stores = stores
    ask(0)
  }

  private func ask(_ number: Int) {
    guard number < stores.count else { return }
    // Weak: when nobody wants the chunk any more no further store is asked.
    let request = stores[number].request(id, length: length) { [weak self] in self?.ask(number + 1) }
    requests.withLock { $0[ObjectIdentifier(stores[number])] = request }
  }

  /// The request to a store; `nil` when it was not asked.
  func take(from store: any ChunkStore) -> ChunkRequest? {
    requests.withLock { $0.removeValue(forKey: ObjectIdentifier(store)) }
  }
}
