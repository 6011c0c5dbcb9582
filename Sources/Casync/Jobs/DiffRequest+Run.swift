import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore

extension DiffRequest {
  /// Compares two indexes, as a whole and by partition where the new image has a table that can be read.
  /// Blocks.
  /// - Throws: `JobError`, `SystemError`, `StoreError`.
  public func run(_ progress: Progress) throws -> DiffSummary {
    let opener = Stores(connection, progress.cancellation)
    let old = try IndexFile.read(old, opener)
    let new = try IndexFile.read(new, opener)
    guard old.digest == new.digest else {
      throw JobError(
        .badRequest,
        "the indexes name their chunks by different digests, \(old.digest.rawValue) and \(new.digest.rawValue)",
        hint: "put one of the images again with --digest=\(new.digest.rawValue)")
    }
    let comparison = try Comparison(
      old, new, stores: stores.map { try opener.open($0) }, progress.cancellation)
    var parts = [try comparison.part("image", 0..<new.size, 0..<old.size)]
    for (name, newRange, oldRange) in try partitions(old, new, opener) {
      parts.append(try comparison.part(name, newRange, oldRange))
    }
    return DiffSummary(parts: parts)
  }

  /// The partitions of the new image, and where the old image has the one of the same number.
  private func partitions(
    _ old: Index, _ new: Index, _ opener: Stores
  ) throws -> [(name: String, new: Range<UInt64>, old: Range<UInt64>)] {
    guard !stores.isEmpty, new.count > 0 else { return [] }
    // Without the first chunks of an image, as when the store has been collected, there is only the whole to
    // tell of.
    guard let fetcher = try? ChunkFetcher(stores: stores, cache: nil, opener),
      let layout = try? ImageHead.layout(of: new, fetcher), layout.table != nil
    else { return [] }
    let oldLayout = old.count > 0 ? try? ImageHead.layout(of: old, fetcher) : nil
    return layout.segments.compactMap { segment in
      guard let number = segment.partition, segment.start < new.size else { return nil }
      let before = oldLayout?.segments.first { $0.partition == number && $0.start < old.size }
      return (
        "partition \(number)", segment.start..<min(segment.end ?? new.size, new.size),
        before.map { $0.start..<min($0.end ?? old.size, old.size) } ?? 0..<0
      )
    }
  }
}

/// Two indexes side by side.
private struct Comparison {
  let old: Index
  let new: Index
  let oldTable: ChunkTable
  let newTable: ChunkTable
  /// Compressed sizes of the chunks that only the new image has, as far as a store holds them; `nil` without
  /// a store.
  let sizes: [ChunkID: UInt64]?
  let cancellation: Cancellation

  init(_ old: Index, _ new: Index, stores: [any ChunkStore], _ cancellation: Cancellation) throws {
    self.old = old
    self.new = new
    self.cancellation = cancellation
    oldTable = ChunkTable(old) { _, _ in }
    newTable = ChunkTable(new) { _, _ in }
    guard !stores.isEmpty else {
      sizes = nil
      return
    }
    let oldTable = oldTable
    var wanted = Set((0..<new.count).map(new.id).filter { oldTable.firstPosition(of: $0) == nil })
    var sizes = [ChunkID: UInt64]()
    for store in stores.filter({ !$0.isRemote }) + stores.filter(\.isRemote) {
      // A remote store gets many questions at once.
      var rest = Array(wanted)[...]
      while !rest.isEmpty {
        try cancellation.check()
        let ids = Array(rest.prefix(4096))
        rest = rest.dropFirst(4096)
        for (id, size) in zip(ids, try store.storedSizes(of: ids)) where size != nil {
          sizes[id] = size
          wanted.remove(id)
        }
      }
    }
    self.sizes = sizes
  }

  /// Compares what starts in `newRange` with all of the old image, and what starts in `oldRange` with all of
  /// the new.
  func part(_ name: String, _ newRange: Range<UInt64>, _ oldRange: Range<UInt64>) throws -> DiffSummary.Part {
    var kept = GetSummary.Share()
    var added = GetSummary.Share()
    var dropped = GetSummary.Share()
    var download: UInt64 = 0
    var missing = 0
    for position in positions(of: newRange, new) {
      try cancellation.check()
      let id = new.id(of: position)
      if oldTable.firstPosition(of: id) != nil {
        kept.add(new.length(of: position))
        continue
      }
      added.add(new.length(of: position))
      // A chunk that the image holds twice is fetched once.
      guard newTable.firstPosition(of: id) == position, let sizes else { continue }
      if let size = sizes[id] { download += size } else { missing += 1 }
    }
    for position in positions(of: oldRange, old) where newTable.firstPosition(of: old.id(of: position)) == nil
    {
      dropped.add(old.length(of: position))
    }
    return DiffSummary.Part(
      name: name, kept: kept, added: added, dropped: dropped, download: sizes == nil ? nil : download,
      missing: missing)
  }

  private func positions(of range: Range<UInt64>, _ index: Index) -> Range<Int> {
    guard !range.isEmpty else { return 0..<0 }
    let first = index.position(of: range.lowerBound)
    return first..<max(first, index.position(of: range.upperBound - 1) + 1)
  }
}
