import CasyncFormat

/// Finds the first position of a chunk in an index by its ID: 4 bytes a slot, three quarters of them used.
///
/// The slot of an ID depends on a random number, so that no index can be made whose chunks all collide.
struct ChunkTable {
  private let index: Index
  private var slots: [UInt32]
  private let salt = UInt64.random(in: .min ... .max) | 1

  /// - Parameter duplicate: gets each position whose chunk stands earlier in the index too, and where.
  init(_ index: Index, duplicate: (_ position: Int, _ first: Int) -> Void) {
    self.index = index
    slots = [UInt32](repeating: .max, count: index.count / 3 * 4 + 16)
    for position in 0..<index.count {
      let id = index.id(of: position)
      let slot = slot(of: id)
      if slots[slot] == .max {
        slots[slot] = UInt32(position)
      } else {
        duplicate(position, Int(slots[slot]))
      }
    }
  }

  /// The first position of the chunk; `nil` when the index does not name it.
  func firstPosition(of id: ChunkID) -> Int? {
    let position = slots[slot(of: id)]
    return position == .max ? nil : Int(position)
  }

  /// The slot that holds the chunk, or the free one where it would stand.
  private func slot(of id: ChunkID) -> Int {
    // The upper half of the product is below the number of slots.
    var slot = Int((id.words[0] &* salt).multipliedFullWidth(by: UInt64(slots.count)).high)
    while slots[slot] != .max, index.id(of: Int(slots[slot])) != id {
      slot = slot + 1 == slots.count ? 0 : slot + 1
    }
    return slot
  }
}
