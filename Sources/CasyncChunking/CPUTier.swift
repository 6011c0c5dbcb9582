internal import CKernels

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#endif

/// Which set of kernels runs: all give the same results, at different speeds.
package enum CPUTier: String, CaseIterable, Comparable, Sendable {
  /// Swift for any CPU: the oracle of the tests.
  case portable
  /// x86-64 with AVX2.
  case avx2
  /// x86-64 with AVX-512 F, BW, DQ, VL, VBMI and VNNI.
  case avx512

  /// The best tier of this CPU.
  package static let detected: CPUTier =
    switch ck_cpu_tier() {
    case 2...: .avx512
    case 1: .avx2
    default: .portable
    }

  /// The tier in use: what the environment variable `CASYNC_CPU` says, read once, else the best one. A value
  /// that `init(environment:)` refuses counts as none; whoever starts the program reports it.
  package static let current: CPUTier = {
    // SAFETY: getenv gives null or a NUL-terminated string, copied here, before anything changes it.
    let value = unsafe getenv("CASYNC_CPU").map { unsafe String(cString: $0) }
    do throws(CPUTierError) {
      return try CPUTier(environment: value)
    } catch {
      return detected
    }
  }()

  /// The tiers that run on this CPU, slowest first.
  package static var available: [CPUTier] { allCases.filter { $0 <= detected } }

  /// The tier that a value of `CASYNC_CPU` names; `nil` or an empty value is the best one of this CPU.
  /// - Throws: when `value` names no tier, or one that this CPU lacks.
  package init(environment value: String?) throws(CPUTierError) {
    guard let value, !value.isEmpty else {
      self = Self.detected
      return
    }
    guard let tier = CPUTier(rawValue: value) else { throw CPUTierError(value: value, isKnown: false) }
    guard tier <= Self.detected else { throw CPUTierError(value: value, isKnown: true) }
    self = tier
  }

  private var rank: Int {
    switch self {
    case .portable: 0
    case .avx2: 1
    case .avx512: 2
    }
  }

  package static func < (a: CPUTier, b: CPUTier) -> Bool { a.rank < b.rank }

  /// Whether SHA-256 may run on the SHA extensions.
  static let hasSHA = ck_cpu_has_sha() != 0
}

/// A value of `CASYNC_CPU` that cannot be used.
package struct CPUTierError: Error, Equatable, CustomStringConvertible {
  /// The value as given.
  package let value: String
  /// Whether it names a tier at all, one that this CPU lacks.
  package let isKnown: Bool

  package var description: String {
    isKnown
      ? "CASYNC_CPU=\(value): this CPU does not have it"
      : "CASYNC_CPU=\(value): not one of portable, avx2, avx512"
  }
}
