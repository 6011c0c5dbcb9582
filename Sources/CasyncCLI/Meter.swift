internal import Casync

/// How far a job is at one moment.
struct Snapshot: Equatable, Sendable {
  var phase = Progress.Phase.starting
  /// Bytes behind, and bytes in all; 0 when nobody knows.
  var done: UInt64 = 0
  var total: UInt64 = 0
  /// Time since the job began.
  var elapsed: Duration = .zero
  /// Bytes a second over the last seconds of this phase.
  var rate: UInt64 = 0
  /// Bytes of the image by where they came from, those of nothing left out.
  var shares: [Share] = []

  struct Share: Equatable, Sendable {
    let source: Source
    let bytes: UInt64
  }

  /// Time to the end of the phase at the present rate.
  var left: Duration? {
    guard rate > 0, total > done else { return nil }
    return .seconds(Double(total - done) / Double(rate))
  }

  var percent: Double { total == 0 ? 0 : min(100, 100 * Double(done) / Double(total)) }
}

/// Reads the counters of a `Progress` again and again, and makes rates of them.
struct Meter {
  /// How long back the rate looks.
  static let window = Duration.seconds(5)

  private var phase = Progress.Phase.starting
  private var samples: [(time: Duration, done: UInt64)] = []

  /// - Parameter elapsed: time since the job began.
  mutating func read(_ progress: Progress, at elapsed: Duration) -> Snapshot {
    let done = UInt64(clamping: progress.done)
    if progress.phase != phase || done < samples.last?.done ?? 0 {
      phase = progress.phase
      samples = []
    }
    samples.append((elapsed, done))
    while samples.count > 2, samples[1].time <= elapsed - Self.window { samples.removeFirst() }

    var snapshot = Snapshot(
      phase: phase, done: done, total: UInt64(clamping: progress.total), elapsed: elapsed)
    if let first = samples.first, elapsed > first.time {
      snapshot.rate = UInt64(Double(done - first.done) / ((elapsed - first.time) / .seconds(1)))
    }
    snapshot.shares = Source.allCases.compactMap { source in
      let bytes = progress.bytes(from: source)
      return bytes > 0 ? Snapshot.Share(source: source, bytes: UInt64(clamping: bytes)) : nil
    }
    return snapshot
  }
}
