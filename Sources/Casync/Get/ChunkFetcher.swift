import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore

/// Gets chunks from the cache and the stores, in that order, and puts what came from a store into the cache.
final class ChunkFetcher: Sendable {
  private let cache: LocalStore?
  private let cacheWriter: StoreWriter?
  private let stores: [LocalStore]

  /// - Throws: `StoreError` when a store is not there; a cache is made.
  init(stores: [String], cache: String?) throws {
    self.stores = try stores.map { try LocalStore($0) }
    self.cache = try cache.map { try LocalStore.create($0) }
    cacheWriter = try self.cache.map { try StoreWriter($0) }
  }

  /// A chunk that was loaded.
  struct Fetched {
    let source: Source
    let storedBytes: Int
  }

  /// Loads a chunk from the first place that has it. Its digest is not compared.
  /// - Returns: `nil` when no place has it in a readable form: `fetchVerified` tells why.
  func fetch(
    _ id: ChunkID, into buffer: Buffer, _ place: Range<Int>, using loader: ChunkLoader
  ) throws -> Fetched? {
    for (store, source) in places {
      for form in LocalStore.Form.allCases {
        // A store that fails is like one without the chunk; `fetchVerified` reports it when no other has it.
        if case .loaded(let bytes)? = try? store.load(id, form, into: buffer, place, using: loader) {
          return Fetched(source: source, storedBytes: bytes)
        }
      }
    }
    return nil
  }

  /// Loads a chunk from the first place whose bytes have its digest.
  /// - Throws: `JobError` (missingChunk) naming the places asked and what was wrong with each.
  func fetchVerified(
    _ id: ChunkID, into buffer: Buffer, _ place: Range<Int>, using loader: ChunkLoader, _ digester: Digester
  ) throws -> Fetched {
    var reasons = [String]()
    var isDamaged = false
    for (store, source) in places {
      var wasThere = false
      for form in LocalStore.Form.allCases {
        do {
          switch try store.load(id, form, into: buffer, place, using: loader) {
          case .missing: continue
          case .bad(let reason): reasons.append(reason)
          case .loaded(let bytes):
            if digester.digest(buffer.bytes.extracting(place)) == id {
              return Fetched(source: source, storedBytes: bytes)
            }
            reasons.append("\(store.path): its content does not match its name")
          }
          isDamaged = true
        } catch {
          reasons.append("\(error)")
        }
        wasThere = true
      }
      if !wasThere { reasons.append("\(store.path): not there") }
    }
    let list = reasons.isEmpty ? "no store was given" : reasons.joined(separator: "; ")
    throw JobError(
      .missingChunk, "cannot get chunk \(id): \(list)",
      hint: isDamaged ? "casync check --repair STORE moves damaged chunks aside; put the image again" : nil)
  }

  /// Puts a verified chunk that came from a store into the cache.
  func keep(_ id: ChunkID, _ bytes: RawSpan, using compressor: Compressor?) throws {
    guard let cacheWriter, let compressor, try !cacheWriter.contains(id) else { return }
    var compressed = [UInt8]()
    try compressor.compress(bytes, into: &compressed)
    _ = try cacheWriter.add(id, compressed: compressed.rawSpan)
    if cacheWriter.isCommitDue { try cacheWriter.commit() }
  }

  /// Makes the cache durable.
  func close() throws {
    try cacheWriter?.close()
  }

  var hasCache: Bool { cache != nil }

  private var places: [(store: LocalStore, source: Source)] {
    (cache.map { [($0, Source.cache)] } ?? []) + stores.map { ($0, Source.store) }
  }
}
