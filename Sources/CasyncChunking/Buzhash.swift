internal import CKernels

/// casync's rolling hash over the last 48 bytes (docs/formats/buzhash.md).
enum Buzhash {
  /// The bytes that a hash covers (casync cachunker.h, window size).
  static let window = 48
  /// The hash of 48 zero bytes.
  static let ofZeros: UInt32 = 0x9e48_9e48

  // SAFETY: the table is a constant of 256 words in static storage.
  private static nonisolated(unsafe) let table = unsafe ck_buzhash_table()!

  /// Appends the positions p of `bytes`, from `window` to its count, where the hash of the 48 bytes before p is
  /// a cut; each as `p + shift`.
  static func search(
    _ bytes: UnsafeRawBufferPointer, _ discriminator: Discriminator, shift: Int, tier: CPUTier,
    into candidates: inout Candidates
  ) {
    guard bytes.count >= window else { return }
    // SAFETY: bytes outlives the call.
    unsafe searchPortable(bytes, discriminator, shift: shift, into: &candidates)
  }

  /// The search in Swift, one byte after the other.
  private static func searchPortable(
    _ bytes: UnsafeRawBufferPointer, _ discriminator: Discriminator, shift: Int,
    into candidates: inout Candidates
  ) {
    let table = unsafe self.table
    var hash: UInt32 = 0
    for index in 0..<window {
      // SAFETY: there are at least `window` bytes, and a byte is an index below 256.
      hash = unsafe (hash << 1 | hash >> 31) ^ table[Int(bytes[index])]
    }
    if discriminator.matches(hash) { candidates.append(window + shift) }
    for index in window..<bytes.count {
      // SAFETY: window <= index < count, so index - window is in range as well; a byte is below 256.
      let old = unsafe table[Int(bytes[index - window])]
      hash = unsafe (hash << 1 | hash >> 31) ^ (old << 16 | old >> 16) ^ table[Int(bytes[index])]
      if discriminator.matches(hash) { candidates.append(index + 1 + shift) }
    }
  }
}
