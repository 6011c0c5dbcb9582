internal import CKernels
package import CasyncFormat

/// Gives chunks their IDs. One for each thread: it reuses its contexts.
package final class Digester {
  private let algorithm: DigestAlgorithm
  private let tier: CPUTier
  /// What every batch is digested by; `nil` for what is fastest.
  private let kernel: DigestKernel?
  private let state: DigestState
  /// The positions of a batch, longest chunk first.
  private var order: [Int] = []

  /// A digester of `algorithm`, with the kernels of `CPUTier.current`.
  package convenience init(_ algorithm: DigestAlgorithm) {
    self.init(algorithm, tier: .current)
  }

  /// A digester with the kernels of `tier`, which this CPU must have.
  package init(_ algorithm: DigestAlgorithm, tier: CPUTier) {
    self.algorithm = algorithm
    self.tier = tier
    kernel = nil
    state = DigestState(algorithm)
  }

  /// A digester that hashes every batch with `kernel`, which this CPU must have.
  package init(_ kernel: DigestKernel) {
    algorithm = kernel.algorithm
    tier = .current
    self.kernel = kernel
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
  /// Many at a time, a window of 32 or more, is fastest: they are hashed side by side where the CPU can.
  package func digests(of ranges: [Range<Int>], in bytes: RawSpan, into ids: inout [ChunkID]) {
    ids.reserveCapacity(ids.count + ranges.count)
    for range in ranges {
      precondition(range.lowerBound >= 0 && range.upperBound <= bytes.byteCount, "a chunk outside its buffer")
    }
    let kernel = kernel ?? fastestKernel(for: ranges)
    // SAFETY: the buffer is used while the span lives; every range was checked against it.
    unsafe bytes.withUnsafeBytes { buffer in
      if let kernel {
        unsafe digests(of: ranges, in: buffer, by: kernel, into: &ids)
      } else {
        for range in ranges {
          unsafe ids.append(digest(UnsafeRawBufferPointer(rebasing: buffer[range])))
        }
      }
    }
  }

  // MARK: Side by side

  /// The kernel that is fastest for chunks of these sizes; `nil` for libcrypto.
  private func fastestKernel(for ranges: [Range<Int>]) -> DigestKernel? {
    let longest = ranges.reduce(1) { max($0, $1.count) }
    let total = ranges.reduce(0) { $0 + $1.count }
    guard ranges.count > 1 else { return nil }
    return .fastest(algorithm, tier, messages: Double(total) / Double(longest))
  }

  private func digests(
    of ranges: [Range<Int>], in buffer: UnsafeRawBufferPointer, by kernel: DigestKernel,
    into ids: inout [ChunkID]
  ) {
    // Longest first, so that the lanes end together.
    order.removeAll(keepingCapacity: true)
    order.append(contentsOf: ranges.indices)
    order.sort { ranges[$0].count > ranges[$1].count }
    unsafe withUnsafeTemporaryAllocation(of: UInt64.self, capacity: ranges.count * 4) { words in
      unsafe words.initialize(repeating: 0)
      let start = buffer.baseAddress
      let output = words.baseAddress
      // SAFETY: the pointers are to chunks inside the buffer, and to four words each of `words`.
      unsafe withUnsafeTemporaryAllocation(of: ck_job.self, capacity: ranges.count) { jobs in
        for (position, index) in order.enumerated() {
          let job = unsafe ck_job(
            bytes: start?.advanced(by: ranges[index].lowerBound).assumingMemoryBound(to: UInt8.self),
            length: ranges[index].count,
            digest: UnsafeMutableRawPointer(output?.advanced(by: index * 4))?
              .assumingMemoryBound(to: UInt8.self))
          unsafe jobs.initializeElement(at: position, to: job)
        }
        // The kernel is one of this CPU's; it reads the chunks and writes 32 bytes for each.
        unsafe kernel.run(jobs.baseAddress, jobs.count)
      }
      for index in ranges.indices {
        let first = index * 4
        ids.append(
          unsafe ChunkID(words: [words[first], words[first + 1], words[first + 2], words[first + 3]]))
      }
    }
  }
}
