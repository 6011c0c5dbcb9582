internal import CKernels

/// casync's rolling hash over the last 48 bytes (docs/formats/buzhash.md).
enum Buzhash {
  /// The bytes that a hash covers (casync cachunker.h, window size).
  static let window = 48
  /// The hash of 48 zero bytes.
  static let ofZeros: UInt32 = 0x9e48_9e48

  // SAFETY: the table is a constant of 256 words in static storage.
  private static nonisolated(unsafe) let table = unsafe ck_buzhash_table()!

  /// Appends the positions p of `bytes`, from `window` to its count, where the hash of the 48 bytes
  /// before p is a cut; each as `p + shift`.
  static func search(
    _ bytes: UnsafeRawBufferPointer, _ discriminator: Discriminator, shift: Int, tier: CPUTier,
    into candidates: inout Candidates
  ) {
    guard bytes.count >= window else { return }
    guard tier != .portable else {
      return unsafe searchPortable(bytes, discriminator, shift: shift, into: &candidates)
    }
    var start = 0
    while bytes.count - start >= window {
      // The pieces' windows overlap, their positions do not.
      let end = min(bytes.count, start + stretch)
      // SAFETY: start < end, and end is at most the count.
      let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<end])
      unsafe searchKernel(part, discriminator, shift: shift + start, tier: tier, into: &candidates)
      start = end - window + 1
    }
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

  /// The bytes that go to a kernel at once, and the hits there is room for.
  private static let stretch = 1 << 20
  private static let room = 1 << 14

  private static func searchKernel(
    _ bytes: UnsafeRawBufferPointer, _ discriminator: Discriminator, shift: Int, tier: CPUTier,
    into candidates: inout Candidates
  ) {
    var divisor = ck_divisor(
      divisor: discriminator.divisor, inverse: discriminator.inverse,
      rotation: discriminator.rotation, limit: discriminator.limit)
    unsafe withUnsafeTemporaryAllocation(of: UInt32.self, capacity: room) { positions in
      // SAFETY: the kernel reads the bytes and writes at most `room` positions; the tier is this CPU's.
      let (start, output) = (bytes.baseAddress, positions.baseAddress)
      let count =
        unsafe tier == .avx512
        ? ck_buzhash_avx512(start, bytes.count, &divisor, output, room)
        : ck_buzhash_avx2(start, bytes.count, &divisor, output, room)
      guard count >= 0 else {
        // Too many hits for the kernel: bytes that match nearly everywhere.
        return unsafe searchPortable(bytes, discriminator, shift: shift, into: &candidates)
      }
      for index in 0..<count { candidates.append(unsafe Int(positions[index]) + shift) }
    }
  }
}
