package import CasyncFormat
internal import CasyncIO
internal import Synchronization

/// A store in which chunks are kept that were fetched, within a bound: what was used longest ago makes room.
///
/// A chunk that was used has a fresh time of change. When the chunks together exceed the bound, the oldest
/// are removed until a tenth of it is free. Several processes may use one directory: a chunk that one
/// removes under another is a miss there and is fetched again; only one removes at a time.
package final class CacheDirectory: Sendable {
  package let store: LocalStore
  private let writer: LocalStoreWriter
  /// Bytes that its files may have; `nil` is no bound.
  private let limit: UInt64?
  /// Bytes of its files as far as this process knows.
  private let bytes: Atomic<UInt64>
  /// Seconds that a chunk's time of use may lag behind: not each use costs a write.
  private static let freshness: Int64 = 60
  private static let lockName = ".casync-cache"

  /// Opens the directory, made when it is not there. Goes through it when there is a bound. Blocks.
  package init(_ path: String, limit: UInt64?) throws {
    store = try LocalStore.create(path)
    writer = try LocalStoreWriter(store)
    self.limit = limit
    bytes = Atomic(0)
    if limit != nil { try trim() }
  }

  /// Notes that a chunk was used.
  package func use(_ id: ChunkID) {
    // Without the note it goes a little earlier.
    if limit != nil { try? store.touch(id, olderThan: Self.freshness) }
  }

  package func contains(_ id: ChunkID) throws -> Bool { try writer.contains(id) }

  /// Keeps a compressed chunk. Blocks, now and then for the disk.
  package func add(_ id: ChunkID, compressed: RawSpan) throws {
    guard try writer.add(id, compressed: compressed) else { return }
    let sum = bytes.add(UInt64(compressed.byteCount), ordering: .relaxed).newValue
    if let limit, sum > limit {
      try trim()
    } else if writer.isCommitDue {
      try writer.commit()
    }
  }

  /// Makes what was kept durable.
  package func close() throws {
    try writer.close()
    if let limit, bytes.load(ordering: .relaxed) > limit { try trim() }
  }

  /// Removes what was used longest ago, if the chunks are too many.
  private func trim() throws {
    guard let limit else { return }
    let lock = try File.open("\(store.path)/\(Self.lockName)", [.readWrite, .create])
    // Somebody else is making room already.
    guard try lock.tryLock(.exclusive) else { return }
    let counted = bytes.load(ordering: .relaxed)
    try writer.commit()
    var files = [(name: String, size: UInt64, age: Int64)]()
    var sum: UInt64 = 0
    try store.forEachEntry(
      { entry in
        guard let (size, age) = try store.sizeAndAge(of: entry.name) else { return }
        files.append((entry.name, size, age))
        sum += size
      }, stray: { _ in }, directory: { _ in })
    if sum > limit {
      files.sort { $0.age > $1.age }
      for file in files where sum > limit / 10 * 9 {
        try store.remove(file.name)
        sum -= file.size
      }
    }
    // What came in the meantime is added to what was found.
    bytes.wrappingAdd(sum &- counted, ordering: .relaxed)
    withExtendedLifetime(lock) {}
  }
}
