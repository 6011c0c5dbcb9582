public import CasyncIO
import Synchronization

/// Where the bytes of a target come from, in the order of their cost.
public enum Source: Int, CaseIterable, Sendable {
  /// Already right where it stands on the target.
  case inPlace
  /// Zeros, which are not stored.
  case zero
  /// The target's old content at another offset.
  case target
  /// A seed.
  case seed
  /// The same chunk earlier in the image.
  case duplicate
  /// The cache directory.
  case cache
  /// A store.
  case store
}

/// How far a job is: counters that the job raises and anybody may read at any time, from any thread.
public final class Progress: Sendable {
  /// What a job is doing.
  public enum Phase: Int, Sendable {
    case starting, planning, working, flushing, verifying
  }

  private let currentPhase = Atomic(Phase.starting.rawValue)
  private let totalBytes = Atomic(0)
  private let doneBytes = Atomic(0)
  private let sourceBytes = Mutex([Int](repeating: 0, count: Source.allCases.count))

  /// The request to stop that the job obeys.
  public let cancellation: Cancellation

  public init(cancellation: Cancellation = Cancellation()) {
    self.cancellation = cancellation
  }

  public var phase: Phase { Phase(rawValue: currentPhase.load(ordering: .relaxed)) ?? .starting }

  /// Bytes that the present phase will go through; 0 while nobody knows (a pipe).
  public var total: Int { totalBytes.load(ordering: .relaxed) }

  /// Bytes of `total` that are behind.
  public var done: Int { doneBytes.load(ordering: .relaxed) }

  /// Bytes of the image that came from `source` so far.
  public func bytes(from source: Source) -> Int {
    sourceBytes.withLock { $0[source.rawValue] }
  }

  /// A phase begins that goes through `total` bytes.
  package func begin(_ phase: Phase, total: UInt64) {
    totalBytes.store(Int(clamping: total), ordering: .relaxed)
    doneBytes.store(0, ordering: .relaxed)
    currentPhase.store(phase.rawValue, ordering: .relaxed)
  }

  /// `bytes` more are behind.
  package func advance(_ bytes: Int) {
    doneBytes.add(bytes, ordering: .relaxed)
  }

  /// `bytes` more came from `source`.
  package func count(_ bytes: Int, from source: Source) {
    sourceBytes.withLock { $0[source.rawValue] += bytes }
  }
}
