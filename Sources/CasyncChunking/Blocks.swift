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

/// Hashes the blocks of `piece` and tells those of zeros; a short last block has the hash that stands for it.
func hashBlocks(of piece: UnsafeRawBufferPointer, tier: CPUTier) -> (hashes: [UInt32], zeros: ZeroBlocks) {
  let count = Block.count(of: piece.count)
  var hashes = [UInt32]()
  hashes.reserveCapacity(count)
  var zeros = ZeroBlocks(count: count)
  for block in 0..<piece.count / Block.size {
    let start = block * Block.size
    // SAFETY: block is one of those that lie wholly inside the piece.
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: piece[start..<start + Block.size])
    let hash = unsafe hashPortable(bytes)
    hashes.append(hash)
    // The sum of the bytes is in the Adler-32, and the mixing one-to-one: no other block hashes like zeros
    // unless its Adler-32 collides.
    if hash == Block.hashOfZeros, unsafe isZero(bytes, tier: tier) { zeros[block] = true }
  }
  if hashes.count < count {
    hashes.append(Block.hashOfShort)
    let start = (count - 1) * Block.size
    // SAFETY: start is inside the piece, which has a short last block.
    zeros[count - 1] = unsafe isZero(UnsafeRawBufferPointer(rebasing: piece[start...]), tier: tier)
  }
  return (hashes, zeros)
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
