/// The table at the end of each directory, in which its children are found by the hashes of their names.
///
///     u64 size, u64 type; for each child u64 distance back to its FILENAME, u64 length, u64 hash;
///     u64 distance back to the directory's ENTRY, u64 size, u64 marker
enum CatarGoodbye {
  struct Child: Sendable {
    /// Where its FILENAME starts in the archive.
    let start: UInt64
    let hash: UInt64
  }

  /// Appends the GOODBYE that starts at `offset` in the archive.
  /// - Parameter children: ascending by start.
  static func append(_ children: [Child], entryOffset: UInt64, at offset: UInt64, to bytes: inout [UInt8]) {
    let item = CatarRecord.goodbyeItemLength
    let size = UInt64(CatarRecord.headerLength + item * children.count + item)
    bytes.append(word: size)
    bytes.append(word: CatarRecord.goodbye.rawValue)
    let sorted = children.indices.sorted { a, b in
      (children[a].hash, children[a].start) < (children[b].hash, children[b].start)
    }
    for index in arranged(sorted) {
      let child = children[index]
      let end = index + 1 < children.count ? children[index + 1].start : offset
      bytes.append(word: offset - child.start)
      bytes.append(word: end - child.start)
      bytes.append(word: child.hash)
    }
    bytes.append(word: offset - entryOffset)
    bytes.append(word: size)
    bytes.append(word: CatarRecord.goodbyeMarker)
  }

  /// A sorted array as a complete binary search tree: the children of i stand at 2i + 1 and 2i + 2.
  static func arranged(_ sorted: [Int]) -> [Int] {
    guard sorted.count > 1 else { return sorted }
    var result = [Int](repeating: 0, count: sorted.count)
    place(sorted[...], 0, sorted.count.bitWidth - sorted.count.leadingZeroBitCount, &result)
    return result
  }

  /// - Parameter levels: of the tree that holds `items`, the incomplete last one included.
  private static func place(_ items: ArraySlice<Int>, _ index: Int, _ levels: Int, _ result: inout [Int]) {
    guard !items.isEmpty else { return }
    let half = 1 << (levels - 1)
    // Nodes before the root in order: a full left tree, or what the last level lacks less.
    let full = half - 1 + half / 2
    let missing = items.count >= full ? 0 : full - items.count
    let root = items.startIndex + (2 * half - 2) / 2 - missing
    result[index] = items[root]
    place(items[items.startIndex..<root], 2 * index + 1, levels - 1, &result)
    place(items[(root + 1)...], 2 * index + 2, levels - 1, &result)
  }
}
