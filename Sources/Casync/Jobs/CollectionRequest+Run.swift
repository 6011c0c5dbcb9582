import CasyncFormat
import CasyncIO
import CasyncStore

extension CollectionRequest {
  /// Removes the compressed chunks that no index names, and old temporary files. Blocks.
  ///
  /// Every index is read before anything is removed.
  /// - Throws: `JobError`, `SystemError`, `StoreError` (busy) while somebody writes to the store.
  public func run(_ progress: Progress) throws -> CollectionSummary {
    guard !indexes.isEmpty else {
      throw JobError(.badRequest, "no index was given: everything would be removed")
    }
    let opener = Stores(connection, progress.cancellation)
    let store = try opener.collectable(self.store)
    let lock = try store.lockForRemoving()
    defer { withExtendedLifetime(lock) {} }
    var used = Set<ChunkID>()
    var references = 0
    for path in indexes {
      let index = try IndexFile.read(path, opener)
      references += index.count
      for position in 0..<index.count { used.insert(index.id(of: position)) }
      try progress.cancellation.check()
    }
    // Nobody can lock what is elsewhere.
    let least = store is LocalStore ? 0 : LocalStore.grace
    var sweep = Sweep(store: store, used: used, dryRun: dryRun, grace: grace?.components.seconds ?? least)
    try store.forEachEntry {
      try progress.cancellation.check()
      try sweep.visit($0)
    } stray: {
      try sweep.visit($0)
    } directory: {
      try sweep.leave($0)
    }
    try store.finishRemoving()
    return CollectionSummary(
      references: references, usedChunks: used.count, removed: sweep.removed,
      removedBytes: sweep.removedBytes,
      removedDirectories: sweep.removedDirectories, remaining: sweep.remaining, spared: sweep.spared,
      warnings: sweep.warnings)
  }
}

/// A walk through a store that removes what is not used.
private struct Sweep {
  let store: any CollectableStore
  let used: Set<ChunkID>
  let dryRun: Bool
  /// Seconds; what is younger stays.
  let grace: Int64
  /// A temporary file that nobody has touched for a day is nobody's.
  private static let temporaryAge: Int64 = 24 * 60 * 60

  var removed = [String]()
  var removedBytes: UInt64 = 0
  var removedDirectories = 0
  var remaining = 0
  var spared = 0
  var warnings = [String]()
  private var removedHere = false

  init(store: any CollectableStore, used: Set<ChunkID>, dryRun: Bool, grace: Int64) {
    self.store = store
    self.used = used
    self.dryRun = dryRun
    self.grace = grace
  }

  mutating func visit(_ entry: LocalStore.Entry) throws {
    // Uncompressed chunks were put there by hand or by another tool; casync does not collect them either.
    guard entry.form == .compressed else { return }
    guard !used.contains(entry.id), let (size, age) = try store.sizeAndAge(of: entry.name) else {
      remaining += 1
      return
    }
    guard age >= grace else {
      spared += 1
      remaining += 1
      return
    }
    removed.append(FileSystem.name(of: entry.name))
    removedBytes += size
    try remove(entry.name)
  }

  mutating func visit(_ stray: LocalStore.Stray) throws {
    switch stray.kind {
    case .foreign:
      warnings.append("\(store.name)/\(stray.name) is no chunk; it was left alone")
    case .aside: break
    case .temporary:
      guard let (_, age) = try store.sizeAndAge(of: stray.name), age > Self.temporaryAge else { return }
      try remove(stray.name)
    }
  }

  private mutating func remove(_ name: String) throws {
    guard !dryRun else { return }
    try store.remove(name)
    removedHere = true
  }

  /// Removes a directory that became empty.
  mutating func leave(_ directory: String) throws {
    defer { removedHere = false }
    guard removedHere, try store.removeEmptyDirectory(directory) else { return }
    removedDirectories += 1
  }
}
