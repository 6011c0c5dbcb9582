import CasyncChunking
import CasyncFormat
import CasyncIO
import Synchronization

/// Names of chunks that hold nothing but zeros.
///
/// The image chunker makes zero chunks of whole blocks up to its maximum, casync's makes them of its maximum,
/// and a stream's last chunk may have any length: the first two are computed once and others when they are
/// asked for.
final class ZeroChunks: Sendable {
  let algorithm: DigestAlgorithm
  private let blocks: [ChunkID]
  private let others = Mutex<[Int: ChunkID]>([:])

  /// The zeros that an index may name: also a last chunk of any length.
  convenience init(of index: Index) {
    self.init(index.digest, chunker: index.chunker)
    if index.count > 0 { _ = id(length: index.length(of: index.count - 1)) }
  }

  init(_ algorithm: DigestAlgorithm, chunker: Chunker) {
    self.algorithm = algorithm
    if case .image = chunker {
      blocks = zeroChunkIDs(algorithm, upTo: chunker.maximumChunk)
    } else {
      blocks = []
      _ = id(length: chunker.maximumChunk)
    }
  }

  /// The name of `length` zeros; computed when it is new.
  func id(length: Int) -> ChunkID {
    if let known = known(length: length) { return known }
    var digest = StreamDigest(algorithm)
    digest.updateZeros(count: UInt64(length))
    let id = digest.finish()
    others.withLock { $0[length] = id }
    return id
  }

  /// Whether a chunk is all zeros, judged by its name; lengths for which no name was computed give false.
  func contains(_ id: ChunkID, length: Int) -> Bool {
    known(length: length) == id
  }

  private func known(length: Int) -> ChunkID? {
    if length % 4096 == 0, length / 4096 <= blocks.count, length > 0 { return blocks[length / 4096 - 1] }
    return others.withLock { $0[length] }
  }
}
