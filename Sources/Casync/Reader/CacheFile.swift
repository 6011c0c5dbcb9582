import CasyncFormat
import CasyncIO
import Synchronization

/// Chunks of an image in a local file, each at its own place, so that it becomes the image: what was fetched
/// once is read from there, as any file is.
///
/// A thread of its own makes them durable, in batches. Until then they are served, and lost by a power cut.
final class CacheFile: Sendable {
  /// When so many bytes are not durable, or that long after the first of them, they are made so.
  private static let batchBytes = 64 << 20
  private static let batchTime = Duration.seconds(2)

  private struct Pending {
    var bytes = 0
    var isClosed = false
  }

  private let partial: PartialImage
  private let index: Index
  /// Where else a chunk stands that the index names more than once.
  private let repeated: [ChunkID: [Int]]
  private let missing: Atomic<Int>
  private let isBroken = Atomic(false)
  private let pending = Monitor(Pending())
  private let committed = Monitor<(any Error)?>(nil)
  private let threads = Mutex<Threads?>(nil)
  private let report: @Sendable (String) -> Void

  /// Opens the cache file at `path`. Blocks.
  /// - Parameter report: told once when nothing more can be kept.
  /// - Throws: `JobError` (refused), `SystemError`.
  init(
    _ path: String, of index: Index, size: UInt64, _ zeros: ZeroChunks,
    report: @escaping @Sendable (String) -> Void
  ) throws {
    let partial = try PartialImage.open(
      path,
      PartialImage.Shape(use: .cache, size: size, unitCount: index.count, digest: index.tableDigest))
    var missing = 0
    partial.map.withLock { map in
      for position in 0..<index.count where map[position] == .absent {
        if zeros.contains(index.id(of: position), length: index.length(of: position)) {
          map.set(position..<position + 1, to: .zero)
        } else {
          missing += 1
        }
      }
    }
    self.partial = partial
    self.index = index
    self.report = report
    self.missing = Atomic(missing)
    repeated = missing == 0 ? [:] : Self.repeated(index)
    threads.withLock {
      $0 = Threads(count: 1) { [pending, committed] in Self.run(partial, pending, committed) }
    }
  }

  deinit { end() }

  private static func repeated(_ index: Index) -> [ChunkID: [Int]] {
    let order = (0..<index.count).map { (key: index.id(of: $0).words[0], position: $0) }.sorted {
      $0.key < $1.key
    }
    var repeated = [ChunkID: [Int]]()
    for (a, b) in zip(order, order.dropFirst()) where a.key == b.key {
      let id = index.id(of: a.position)
      guard id == index.id(of: b.position) else { continue }
      repeated[id, default: [a.position]].append(b.position)
    }
    return repeated
  }

  // MARK: Keeping

  /// Writes a chunk where it stands, if it is not there yet. What cannot be written is not kept.
  func keep(_ buffer: Buffer, at position: Int) {
    guard !isBroken.load(ordering: .relaxed) else { return }
    if let error = committed.withLock({ $0 }) { return giveUp(error) }
    do {
      for place in repeated[index.id(of: position)] ?? [position] where !holds(place..<place + 1) {
        try partial.file.write(buffer, 0..<buffer.count, at: index.start(of: place))
        let isNew = partial.map.withLock { map in
          defer { map.set(place..<place + 1, to: .data) }
          return map[place] == .absent
        }
        if isNew { missing.subtract(1, ordering: .relaxed) }
        pending.withLock { $0.bytes += buffer.count }
      }
    } catch {
      giveUp(error)
    }
  }

  private func giveUp(_ error: any Error) {
    guard !isBroken.exchange(true, ordering: .relaxed) else { return }
    report("nothing more is kept in the cache file: \(error)")
  }

  private static func run(
    _ partial: PartialImage, _ pending: Monitor<Pending>, _ committed: Monitor<(any Error)?>
  ) {
    while true {
      let isFirst: Bool = pending.waitWakingNobody { $0.bytes > 0 || $0.isClosed ? !$0.isClosed : nil }
      if isFirst {
        _ = pending.wait(atMost: batchTime) { $0.bytes >= batchBytes || $0.isClosed ? true : nil }
      }
      let isLast = pending.withLock { pending in
        pending.bytes = 0
        return pending.isClosed
      }
      do {
        try partial.commit()
      } catch {
        committed.withLock { $0 = $0 ?? error }
      }
      if isLast { return }
    }
  }

  private func end() {
    pending.withLock { $0.isClosed = true }
    threads.withLock { threads in
      threads?.join()
      threads = nil
    }
  }

  /// Makes durable what is kept. When nobody keeps anything more. Blocks.
  func close() throws {
    end()
    if let error = committed.withLock({ $0 }) { throw error }
  }

  // MARK: Reading

  /// The file, in which chunks lie at their offsets in the image.
  var file: File { partial.file }

  /// Whether all chunks are there: then nothing else is needed.
  var isComplete: Bool { missing.load(ordering: .relaxed) == 0 }

  func holds(_ positions: Range<Int>) -> Bool {
    isComplete
      || partial.map.withLock { map in positions.allSatisfy { map[$0] != .absent } }
  }

  /// Where the bytes of the chunks at `positions` lie, `range` of them.
  /// - Returns: `nil` when not all are there.
  func places(of range: Range<UInt64>, _ positions: Range<Int>) -> [Disk.Place]? {
    partial.map.withLock { map in
      var places = [Disk.Place]()
      var position = positions.lowerBound
      while position < positions.upperBound {
        let end = map.endOfRun(from: position, limit: positions.upperBound)
        guard map[position] != .absent else { return nil }
        let part =
          max(range.lowerBound, index.start(of: position))..<min(range.upperBound, index.end(of: end - 1))
        places.append(Disk.Place(range: part, file: map[position] == .data ? file : nil))
        position = end
      }
      return places
    }
  }
}
