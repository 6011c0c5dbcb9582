internal import CKernels
package import CasyncFormat

/// A way to digest several messages side by side, faster than one after the other by libcrypto.
package enum DigestKernel: CaseIterable, Sendable {
  /// SHA-256, three interleaved on the SHA extensions.
  case sha256Interleaved
  /// SHA-256, eight in the lanes of AVX2.
  case sha256Narrow
  /// SHA-256, sixteen in the lanes of AVX-512.
  case sha256Wide
  /// SHA-512/256, four in the lanes of AVX2.
  case sha512_256Narrow
  /// SHA-512/256, eight in the lanes of AVX-512.
  case sha512_256Wide

  /// What it gives.
  package var algorithm: DigestAlgorithm {
    switch self {
    case .sha256Interleaved, .sha256Narrow, .sha256Wide: .sha256
    case .sha512_256Narrow, .sha512_256Wide: .sha512_256
    }
  }

  /// Whether a CPU of `tier`, which this one is, has it.
  package func isPart(of tier: CPUTier) -> Bool {
    switch self {
    case .sha256Interleaved: tier != .portable && CPUTier.hasSHA
    case .sha256Narrow, .sha512_256Narrow: tier >= .avx2
    case .sha256Wide, .sha512_256Wide: tier == .avx512
    }
  }

  /// Digests `count` messages; each job names 32 bytes for the result.
  func run(_ jobs: UnsafePointer<ck_job>?, _ count: Int) {
    switch self {
    case .sha256Interleaved: unsafe ck_sha256_sha(jobs, count)
    case .sha256Narrow: unsafe ck_sha256_avx2(jobs, count)
    case .sha256Wide: unsafe ck_sha256_avx512(jobs, count)
    case .sha512_256Narrow: unsafe ck_sha512_256_avx2(jobs, count)
    case .sha512_256Wide: unsafe ck_sha512_256_avx512(jobs, count)
    }
  }

  /// The fastest for a batch; `nil` when libcrypto is, one message after the other.
  /// - Parameter messages: how many messages of the longest one's length the batch amounts to.
  static func fastest(_ algorithm: DigestAlgorithm, _ tier: CPUTier, messages: Double) -> DigestKernel? {
    guard tier != .portable else { return nil }
    let interleaved = algorithm == .sha256 && CPUTier.hasSHA ? sha256Interleaved : nil
    guard messages >= leastBusyLanes else { return interleaved }
    let isWide = tier == .avx512
    switch algorithm {
    case .sha256:
      let lanes = isWide ? sha256Wide : sha256Narrow
      guard let interleaved else { return lanes }
      let busy = min(messages, isWide ? 16 : 8)
      return busy >= (isWide ? leastBusyWideLanes : leastBusyNarrowLanes) ? lanes : interleaved
    case .sha512_256:
      return isWide ? .sha512_256Wide : .sha512_256Narrow
    }
  }

  // A lane alone is slower than libcrypto: below so many that are busy nothing is won.
  private static let leastBusyLanes = 2.5

  // From how many busy lanes on SHA-256 is faster there than on the SHA extensions. CPUs differ: three messages
  // on the extensions are no faster than one on Ice Lake, where six lanes of AVX-512 are, and twice as fast on
  // later ones. So both are timed, once.
  private static let leastBusyWideLanes = 16 * sha256Wide.time(besides: .sha256Interleaved)
  private static let leastBusyNarrowLanes = 8 * sha256Narrow.time(besides: .sha256Interleaved)

  /// The time this takes for sixteen messages, as a multiple of what `other` takes.
  ///
  /// Both in turn for a millisecond, the best of each: a core that has not used AVX-512 for a while runs it at a
  /// quarter of its speed for up to half a millisecond.
  private func time(besides other: DigestKernel) -> Double {
    let clock = ContinuousClock()
    var (mine, its) = (Duration.seconds(1), Duration.seconds(1))
    let end = clock.now + .milliseconds(1)
    let message = [UInt8](repeating: 0, count: 2048)
    var digest = [UInt8](repeating: 0, count: 32)
    // SAFETY: the jobs name the two arrays, whose buffers live as long; all write the same digest.
    unsafe message.withUnsafeBufferPointer { bytes in
      unsafe digest.withUnsafeMutableBufferPointer { output in
        let job = unsafe ck_job(bytes: bytes.baseAddress, length: bytes.count, digest: output.baseAddress)
        let jobs = unsafe [ck_job](repeating: job, count: 16)
        unsafe jobs.withUnsafeBufferPointer { jobs in
          repeat {
            mine = min(mine, clock.measure { unsafe run(jobs.baseAddress, jobs.count) })
            its = min(its, clock.measure { unsafe other.run(jobs.baseAddress, jobs.count) })
          } while clock.now < end
        }
      }
    }
    return mine / its
  }
}
