internal import CasyncFormat

/// Which of a store's directories were there before this run, and roughly which chunks this run added: tells
/// without a system call that a chunk is not in the store.
///
/// Another program that adds the same chunk at the same time is not seen; then both write it, and either file
/// is right.
struct StoreDirectories {
  /// A bit for each name of four hexadecimal digits that was there.
  private var present = [UInt64](repeating: 0, count: (1 << 16) / 64)
  /// A bit for the 24 bits of an ID that follow those of its directory: set for each chunk that was added.
  private var added: [UInt64] = []

  /// - Parameter names: what is in the store's directory.
  init(names: [String]) {
    for name in names {
      guard name.utf8.count == 4, let number = UInt16(name, radix: 16) else { continue }
      // The first two bytes of an ID, the lowest of its first word.
      present.set(Int(number.byteSwapped))
    }
  }

  /// Whether the chunk can be in the store.
  func mayHold(_ id: ChunkID) -> Bool {
    present.isSet(Self.directory(id)) || !added.isEmpty && added.isSet(Self.fingerprint(id))
  }

  /// The chunk is being added.
  mutating func insert(_ id: ChunkID) {
    if added.isEmpty { added = [UInt64](repeating: 0, count: (1 << 24) / 64) }
    added.set(Self.fingerprint(id))
  }

  private static func directory(_ id: ChunkID) -> Int { Int(id.words[0] & 0xffff) }
  private static func fingerprint(_ id: ChunkID) -> Int { Int(id.words[0] >> 16 & 0xff_ffff) }
}

extension [UInt64] {
  fileprivate func isSet(_ bit: Int) -> Bool { self[bit / 64] >> UInt64(bit % 64) & 1 == 1 }
  fileprivate mutating func set(_ bit: Int) { self[bit / 64] |= 1 << UInt64(bit % 64) }
}
