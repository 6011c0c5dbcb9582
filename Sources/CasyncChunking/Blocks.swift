internal import CKernels

/// The 4 KiB blocks of the image chunker (docs/formats/image-chunker.md).
enum Block {
  /// Bytes of a block.
  static let size = 4096
  /// The hash of a block of zeros.
  static let hashOfZeros = mix(adler: 0x1000_0001)
  /// The hash of a last block that is shorter than `size`.
  static let hashOfShort: UInt32 = 0xffff_ffff

  /// The number of blocks, the last perhaps short, in `length` bytes.
  static func count(of length: Int) -> Int { length / size + (length % size == 0 ? 0 : 1) }

  /// Spreads an Adler-32, whose high bits differ little between blocks, over the word; one-to-one.
  @inline(__always)
  static func mix(adler: UInt32) -> UInt32 {
    var word = adler &* 0x9e37_79b1
    word ^= word >> 15
    word = word &* 0x85eb_ca77
    return word ^ word >> 13
  }
}

/// Which blocks of a piece are all zero; block 0 is the piece's first.
struct ZeroBlocks: Sendable, Equatable {
  private var bits: [UInt64]
  /// The number of blocks.
  let count: Int

  /// No block, or every one, is zero.
  init(count: Int, all value: Bool = false) {
    self.count = count
    bits = [UInt64](repeating: value ? UInt64.max : 0, count: (count + 63) / 64)
  }

  subscript(_ block: Int) -> Bool {
    get {
      precondition(0..<count ~= block)
      return bits[block / 64] >> UInt64(block % 64) & 1 != 0
    }
    set {
      precondition(0..<count ~= block)
      let bit = UInt64(1) << UInt64(block % 64)
      if newValue { bits[block / 64] |= bit } else { bits[block / 64] &= ~bit }
    }
  }

  /// The end of the run of blocks like `block` that starts there.
  func endOfRun(from block: Int) -> Int {
    let value = self[block]
    var end = block + 1
    while end < count, self[end] == value { end += 1 }
    return end
  }

  /// The bits, block 0 the lowest of the first word; those past `count` stay clear.
  mutating func withUnsafeMutableWords(_ body: (UnsafeMutableBufferPointer<UInt64>) -> Void) {
    unsafe bits.withUnsafeMutableBufferPointer { unsafe body($0) }
  }

  /// Tests every block of `piece`.
  init(of piece: UnsafeRawBufferPointer, tier: CPUTier) {
    self.init(count: Block.count(of: piece.count))
    for block in 0..<count {
      let start = block * Block.size
      // SAFETY: the range ends at or before the piece's end.
      let bytes = unsafe UnsafeRawBufferPointer(rebasing: piece[start..<min(start + Block.size, piece.count)])
      if unsafe isZero(bytes, tier: tier) { self[block] = true }
    }
  }
}

/// Hashes the blocks of `piece` and tells those of zeros; a short last block has the hash that stands
/// for it.
func hashBlocks(
  of piece: UnsafeRawBufferPointer, tier: CPUTier
) -> (hashes: [UInt32], zeros: ZeroBlocks) {
  let count = Block.count(of: piece.count)
  let whole = piece.count / Block.size
  var hashes = [UInt32](repeating: Block.hashOfShort, count: count)
  var zeros = ZeroBlocks(count: count)
  unsafe hashes.withUnsafeMutableBufferPointer { hashes in
    unsafe zeros.withUnsafeMutableWords { words in
      switch tier {
      case .portable:
        unsafe hashPortable(piece, whole, hashes, words)
      // SAFETY: the kernels read `whole` blocks, and write as many hashes and bits; the tier is this CPU's.
      case .avx2:
        unsafe ck_hash_blocks_avx2(piece.baseAddress, whole, hashes.baseAddress, words.baseAddress)
      case .avx512:
        unsafe ck_hash_blocks_avx512(piece.baseAddress, whole, hashes.baseAddress, words.baseAddress)
      }
    }
  }
  if whole < count {
    // SAFETY: the rest after the whole blocks is inside the piece.
    let rest = unsafe UnsafeRawBufferPointer(rebasing: piece[(whole * Block.size)...])
    zeros[whole] = unsafe isZero(rest, tier: tier)
  }
  return (hashes, zeros)
}

/// The kernels' work in Swift, for the first `count` blocks of `piece`.
private func hashPortable(
  _ piece: UnsafeRawBufferPointer, _ count: Int, _ hashes: UnsafeMutableBufferPointer<UInt32>,
  _ zeros: UnsafeMutableBufferPointer<UInt64>
) {
  for block in 0..<count {
    let start = block * Block.size
    // SAFETY: the block lies inside the piece, and there is a hash and a bit for it.
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: piece[start..<start + Block.size])
    let hash = unsafe hashPortable(bytes)
    unsafe hashes[block] = hash
    // Other blocks have this hash too, if their Adler-32 is that of zeros.
    if hash == Block.hashOfZeros, unsafe isZero(bytes, tier: .portable) {
      unsafe zeros[block / 64] |= 1 << UInt64(block % 64)
    }
  }
}

/// The hash of one whole block, in Swift.
private func hashPortable(_ block: UnsafeRawBufferPointer) -> UInt32 {
  // 4096 * 255 and its weighted sum, at most 255 * 4096 * 4097 / 2, fit 32 bits: one reduction at the end.
  var a: UInt32 = 1
  var b: UInt32 = 0
  for index in 0..<block.count {
    // SAFETY: index is below the count.
    a &+= UInt32(unsafe block[index])
    b &+= a
  }
  return Block.mix(adler: (b % 65521) << 16 | a % 65521)
}
