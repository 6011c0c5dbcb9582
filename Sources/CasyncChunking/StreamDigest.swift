package import CasyncFormat

/// The digest of a whole stream, added to as it passes.
package struct StreamDigest: ~Copyable {
  private let state: DigestState

  /// The digest of no bytes yet.
  package init(_ algorithm: DigestAlgorithm) {
    state = DigestState(algorithm)
  }

  private init(copying other: borrowing StreamDigest) {
    state = DigestState(copying: other.state)
  }

  /// A second digest that has seen the same bytes.
  package func copy() -> StreamDigest { StreamDigest(copying: self) }

  /// Adds `bytes`.
  package mutating func update(_ bytes: RawSpan) {
    // SAFETY: the buffer is used while the span lives.
    unsafe bytes.withUnsafeBytes { unsafe state.update($0) }
  }

  /// Adds `count` zero bytes.
  package mutating func updateZeros(count: UInt64) {
    let zeros = [UInt8](repeating: 0, count: Int(min(count, 64 << 10)))
    var rest = count
    while rest > 0 {
      let step = min(rest, UInt64(zeros.count))
      // SAFETY: the span is used while the array lives.
      unsafe update(zeros.span.bytes.extracting(0..<Int(step)))
      rest -= step
    }
  }

  /// The digest of everything that was added.
  package consuming func finish() -> ChunkID { state.finish() }
}

/// The IDs of chunks of `step`, `2 * step`, ... zero bytes, up to `maximum`: element k is that of `(k + 1) *
/// step`.
///
/// Hashes `maximum` bytes in all.
package func zeroChunkIDs(_ algorithm: DigestAlgorithm, upTo maximum: Int, step: Int = 4096) -> [ChunkID] {
  precondition(step > 0)
  var ids: [ChunkID] = []
  var digest = StreamDigest(algorithm)
  for _ in stride(from: step, through: maximum, by: step) {
    digest.updateZeros(count: UInt64(step))
    ids.append(digest.copy().finish())
  }
  return ids
}
