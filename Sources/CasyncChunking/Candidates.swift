/// The positions of one piece, ascending, where the rolling hash would cut.
///
/// A list while they are few; a bitmap from where the list would be longer than that. Bytes chosen to match
/// everywhere so cost an eighth of the piece, not a multiple of it.
struct Candidates: Sendable, Equatable {
  private var list: [UInt32] = []
  private var bitmap: [UInt64] = []
  private let pieceLength: Int

  /// An empty set for positions 0 to `pieceLength`.
  init(pieceLength: Int) {
    precondition(0...Int(UInt32.max) ~= pieceLength, "a piece is a buffer in memory")
    self.pieceLength = pieceLength
  }

  /// Adds `position`, which is above all before it.
  mutating func append(_ position: Int) {
    if bitmap.isEmpty {
      guard list.count >= Swift.max(64, pieceLength / 32) else {
        list.append(UInt32(position))
        return
      }
      bitmap = [UInt64](repeating: 0, count: pieceLength / 64 + 1)
      for known in list { bitmap[Int(known) / 64] |= 1 << UInt64(known % 64) }
      list = []
    }
    bitmap[position / 64] |= 1 << UInt64(position % 64)
  }

  /// The lowest position that is at least `lowest`.
  func first(atLeast lowest: Int) -> Int? {
    bitmap.isEmpty ? firstListed(atLeast: lowest) : firstMapped(atLeast: Swift.max(lowest, 0))
  }

  private func firstListed(atLeast lowest: Int) -> Int? {
    var low = 0
    var high = list.count
    while low < high {
      let middle = (low + high) / 2
      if Int(list[middle]) < lowest { low = middle + 1 } else { high = middle }
    }
    return low < list.count ? Int(list[low]) : nil
  }

  private func firstMapped(atLeast lowest: Int) -> Int? {
    var index = lowest / 64
    guard index < bitmap.count else { return nil }
    var word = bitmap[index] & (UInt64.max << UInt64(lowest % 64))
    while word == 0 {
      index += 1
      guard index < bitmap.count else { return nil }
      word = bitmap[index]
    }
    return index * 64 + word.trailingZeroBitCount
  }
}
