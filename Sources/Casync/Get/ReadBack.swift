import CasyncFormat
import CasyncIO

/// Hashes from the medium what a get wrote to a device, each chunk once, behind the writing: while one
/// stretch is written, the one before it is flushed and read.
///
///     written ranges → stretch → flush → chunks compared with their names
///
/// Owned by the thread that keeps the order of writing; a thread of its own flushes and waits for the medium.
final class ReadBack {
  private let index: Index
  /// What was wanted of the image.
  private let extent: Range<UInt64>
  private let target: Target
  private let reader: MediumReader
  private let thread: WorkerPool<Void>
  private let stretchLength: UInt64
  /// The stretch that is being read; gives the bytes that were right.
  private var reading: Job<UInt64>?
  private var verified: UInt64 = 0

  /// Positions that are read or being read, as far as anything was written there.
  private var covered = 0..<0
  /// What was written since then.
  private var unread: [Range<UInt64>] = []
  private var unreadBytes: UInt64 = 0

  /// - Parameter stretchLength: bytes that are written before they are read: enough that flushes are few, and
  ///   so little that not much is left to read at the end.
  init(
    _ reader: MediumReader, _ extent: Range<UInt64>, on thread: WorkerPool<Void>,
    stretchLength: UInt64 = 128 << 20
  ) {
    self.stretchLength = stretchLength
    index = reader.index
    target = reader.target
    self.reader = reader
    self.extent = extent
    self.thread = thread
  }

  /// From here on `region` is written in ascending order; a chunk that reaches out of it is left for the end.
  func begin(_ region: Range<UInt64>) {
    guard !region.isEmpty else { return }
    let position = index.position(of: region.lowerBound)
    let first = index.start(of: position) < region.lowerBound ? position + 1 : position
    covered = first..<first
  }

  /// `range` of the region is written.
  /// - Throws: what is wrong with an earlier stretch.
  func add(_ range: Range<UInt64>) throws {
    guard !range.isEmpty else { return }
    unread.append(range)
    unreadBytes += range.length
    guard unreadBytes >= stretchLength else { return }
    let last = index.position(of: range.upperBound - 1)
    let limit = max(covered.upperBound, index.end(of: last) <= range.upperBound ? last + 1 : last)
    let runs = unread.compactMap { run(of: $0, within: covered.upperBound..<limit) }
    try wait()
    reading = thread.submit { [reader, target, extent] _ in
      try target.flush()
      return try Self.read(Self.joined(runs), reader, extent)
    }
    covered = covered.lowerBound..<limit
    // The last chunk may not be whole yet.
    unread = [max(range.lowerBound, index.start(of: last))..<range.upperBound]
    unreadBytes = 0
  }

  /// Reads what is left of all that was written and is flushed.
  /// - Parameter written: in any order.
  /// - Returns: bytes that were compared in all.
  /// - Throws: `JobError` (notVerified), `SystemError`, `CancellationError`.
  func finish(_ written: [Range<UInt64>], _ progress: Progress) throws -> UInt64 {
    try wait()
    guard !written.isEmpty else { return verified }
    let sorted = written.sorted { $0.lowerBound < $1.lowerBound }
    let runs = [0..<covered.lowerBound, covered.upperBound..<index.count].flatMap { part in
      sorted.compactMap { run(of: $0, within: part) }
    }
    let rest = Self.joined(runs)
    let length = rest.reduce(0) { $0 + index.end(of: $1.upperBound - 1) - index.start(of: $1.lowerBound) }
    progress.begin(.verifying, total: length)
    verified += try Self.read(rest, reader, extent) { progress.advance($0) }
    return verified
  }

  private func wait() throws {
    verified += try reading?.wait() ?? 0
    reading = nil
  }

  /// The chunks of `positions` that hold a byte of a written range.
  private func run(of range: Range<UInt64>, within positions: Range<Int>) -> Range<Int>? {
    let wanted = range.intersection(extent)
    guard !wanted.isEmpty else { return nil }
    let all = index.position(of: wanted.lowerBound)..<index.position(of: wanted.upperBound - 1) + 1
    let run = all.clamped(to: positions)
    return run.isEmpty ? nil : run
  }

  /// Ascending runs without what two of them share.
  private static func joined(_ runs: [Range<Int>]) -> [Range<Int>] {
    var joined = [Range<Int>]()
    for run in runs {
      if let last = joined.last, run.lowerBound <= last.upperBound {
        joined[joined.count - 1] = last.lowerBound..<max(last.upperBound, run.upperBound)
      } else {
        joined.append(run)
      }
    }
    return joined
  }

  /// - Returns: bytes that were compared.
  private static func read(
    _ runs: [Range<Int>], _ reader: MediumReader, _ extent: Range<UInt64>, advance: (Int) -> Void = { _ in }
  ) throws -> UInt64 {
    let (index, target) = (reader.index, reader.target)
    var verified: UInt64 = 0
    try target.dropCaches()
    for run in runs {
      try reader.compare(run) { position, matches in
        let chunk = index.range(of: position)
        // Of a partition the first and the last chunk may be there in part: they have no name.
        let isWhole = extent.lowerBound <= chunk.lowerBound && chunk.upperBound <= extent.upperBound
        guard matches || !isWhole else {
          throw JobError(
            .notVerified,
            "\(target.path) does not hold what was written to it at bytes \(chunk.lowerBound - target.base) to "
              + "\(chunk.upperBound - target.base)",
            hint: "the device or its connection is failing; do not boot from it")
        }
        verified += chunk.length
        advance(Int(chunk.length))
      }
    }
    return verified
  }
}
