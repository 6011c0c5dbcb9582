internal import CCrypto
package import CasyncFormat

/// Gives chunks their IDs. One for each thread: it reuses its contexts.
package final class Digester {
  private let algorithm: DigestAlgorithm
  private let tier: CPUTier
  private let state: DigestState

  /// A digester of `algorithm`, with the kernels of `CPUTier.current`.
  package convenience init(_ algorithm: DigestAlgorithm) {
    self.init(algorithm, tier: .current)
  }

  init(_ algorithm: DigestAlgorithm, tier: CPUTier) {
    self.algorithm = algorithm
    self.tier = tier
    state = DigestState(algorithm)
  }

  /// The ID of the chunk `bytes`.
  package func digest(_ bytes: RawSpan) -> ChunkID {
    // SAFETY: the buffer is used while the span lives.
    unsafe bytes.withUnsafeBytes { unsafe digest($0) }
  }

  private func digest(_ bytes: UnsafeRawBufferPointer) -> ChunkID {
    state.reset()
    // SAFETY: the caller's buffer outlives the call.
    unsafe state.update(bytes)
    return state.finish()
  }

  /// Appends the IDs of the chunks that lie at `ranges` of `bytes`, in the order of `ranges`.
  ///
  /// Many at a time is fastest: they are hashed side by side where the CPU can.
  package func digests(of ranges: [Range<Int>], in bytes: RawSpan, into ids: inout [ChunkID]) {
    ids.reserveCapacity(ids.count + ranges.count)
    // SAFETY: the buffer is used while the span lives; every range is checked against it.
    unsafe bytes.withUnsafeBytes { buffer in
      for range in ranges {
        precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count, "a chunk outside its buffer")
        unsafe ids.append(digest(UnsafeRawBufferPointer(rebasing: buffer[range])))
      }
    }
  }
}
