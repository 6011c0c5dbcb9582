import CasyncChunking
package import CasyncFormat
import CasyncIO
import CasyncStore

/// Chunks of local stores in the form in which they are sent: compressed, and compared with their names.
final class ChunkGiver {
  private let stores: [LocalStore]
  private let check = ChunkCheck()

  /// - Throws: `StoreError` when one is not there.
  init(_ stores: [String]) throws {
    self.stores = try stores.map { try LocalStore($0) }
  }

  /// The answer to a request.
  /// - Parameter warn: called with what is wrong with a file that has the chunk's name.
  func message(for id: ChunkID, _ warn: (String) -> Void) throws -> RemoteMessage {
    for store in stores {
      for form in ChunkForm.allCases {
        guard let stored = try store.stored(id, form, using: check.loader) else { continue }
        let isCompressed = form == .compressed
        guard check.isChunk(id, stored, isCompressed: isCompressed) else {
          warn("\(store.name): chunk \(id) is damaged")
          continue
        }
        let bytes = try isCompressed ? stored : check.compressed(stored)
        guard bytes.count <= RemoteMessage.chunkLimit else {
          warn("\(store.name): chunk \(id) is longer than the protocol can carry")
          continue
        }
        return .chunk(id, isCompressed: true, bytes)
      }
    }
    return .missing(id)
  }
}

/// Compares chunks with their names, whichever digest that is. Not shared between threads.
package final class ChunkCheck {
  let loader = ChunkLoader()
  private let digesters = [Digester(.sha256), Digester(.sha512_256)]
  /// The digest that matched last: most likely the next too.
  private var likely = 0
  private var compressor: Compressor?

  package init() {}

  /// Whether `bytes` are the chunk.
  package func isChunk(_ id: ChunkID, _ bytes: [UInt8], isCompressed: Bool) -> Bool {
    guard isCompressed else { return matches(id, bytes.rawSpan) }
    guard let content = loader.decompressed(bytes.rawSpan) else { return false }
    return matches(id, content.rawSpan)
  }

  private func matches(_ id: ChunkID, _ bytes: RawSpan) -> Bool {
    for number in [likely, 1 - likely] where digesters[number].digest(bytes) == id {
      likely = number
      return true
    }
    return false
  }

  func compressed(_ bytes: [UInt8]) throws -> [UInt8] {
    let compressor = try self.compressor ?? Compressor(.zstd, level: nil)
    self.compressor = compressor
    var result = [UInt8]()
    try compressor.compress(bytes.rawSpan, into: &result)
    return result
  }
}
