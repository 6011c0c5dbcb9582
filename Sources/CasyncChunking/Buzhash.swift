internal import CKernels

/// casync's rolling hash over the last 48 bytes (docs/formats/buzhash.md).
enum Buzhash {
  /// The bytes that a hash covers (casync cachunker.h, window size).
  static let window = 48
  /// The hash of 48 zero bytes.
  static let ofZeros: UInt32 = 0x9e48_9e48

  // SAFETY: the table is a constant of 256 words in static storage.
  private static nonisolated(unsafe) let table: UnsafePointer<UInt32> = {
    guard let table = unsafe ck_buzhash_table() else { preconditionFailure("the table is a constant") }
    return unsafe table
  }()

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

  // MARK: In Swift

  /// The search in Swift: four lanes side by side, for one alone waits for its own hash.
  private static func searchPortable(
    _ bytes: UnsafeRawBufferPointer, _ discriminator: Discriminator, shift: Int,
    into candidates: inout Candidates
  ) {
    /// The positions of a lane in one round.
    let lane = 4096
    let rounds = (bytes.count - window) / (4 * lane)
    guard rounds > 0 else {
      return unsafe searchPlain(bytes, discriminator, shift: shift, into: &candidates)
    }
    // A lane rolls into its first position, so the very first position is tested by itself.
    // SAFETY: each part lies inside the bytes: a round ends at or before `window + 4 * lane * rounds`.
    unsafe searchPlain(
      UnsafeRawBufferPointer(rebasing: bytes[..<window]), discriminator, shift: shift, into: &candidates)
    for round in 0..<rounds {
      let start = round * 4 * lane
      let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<start + window + 4 * lane])
      unsafe searchRound(part, lane: lane, discriminator, shift: shift + start, into: &candidates)
    }
    let rest = rounds * 4 * lane + 1
    unsafe searchPlain(
      UnsafeRawBufferPointer(rebasing: bytes[rest...]), discriminator, shift: shift + rest,
      into: &candidates)
  }

  /// Searches the positions `window + 1` to `window + 4 * lane` of `bytes`, which end there.
  private static func searchRound(
    _ bytes: UnsafeRawBufferPointer, lane: Int, _ discriminator: Discriminator, shift: Int,
    into candidates: inout Candidates
  ) {
    let table = unsafe self.table
    var hits: [Int] = []
    var hash0 = unsafe hash(bytes, from: 0, table)
    var hash1 = unsafe hash(bytes, from: lane, table)
    var hash2 = unsafe hash(bytes, from: 2 * lane, table)
    var hash3 = unsafe hash(bytes, from: 3 * lane, table)
    for index in 0..<lane {
      // SAFETY: index + 3 * lane + window is below the count.
      hash0 = unsafe roll(hash0, bytes, index, table)
      hash1 = unsafe roll(hash1, bytes, index + lane, table)
      hash2 = unsafe roll(hash2, bytes, index + 2 * lane, table)
      hash3 = unsafe roll(hash3, bytes, index + 3 * lane, table)
      if discriminator.matches(hash0) { hits.append(index) }
      if discriminator.matches(hash1) { hits.append(index + lane) }
      if discriminator.matches(hash2) { hits.append(index + 2 * lane) }
      if discriminator.matches(hash3) { hits.append(index + 3 * lane) }
    }
    if hits.count > 1 { hits.sort() }
    for hit in hits { candidates.append(hit + window + 1 + shift) }
  }

  /// The hash of the window that starts at `start`, which must lie in the bytes.
  @inline(__always)
  private static func hash(
    _ bytes: UnsafeRawBufferPointer, from start: Int, _ table: UnsafePointer<UInt32>
  ) -> UInt32 {
    var hash: UInt32 = 0
    for index in start..<start + window {
      // SAFETY: the window lies in the bytes, and a byte is an index below 256.
      hash = unsafe (hash << 1 | hash >> 31) ^ table[Int(bytes[index])]
    }
    return hash
  }

  /// The hash of the window one byte after the one that starts at `start` and has the hash `hash`.
  @inline(__always)
  private static func roll(
    _ hash: UInt32, _ bytes: UnsafeRawBufferPointer, _ start: Int, _ table: UnsafePointer<UInt32>
  ) -> UInt32 {
    // SAFETY: the caller has the window and a byte after it in the bytes; a byte is an index below 256.
    let old = unsafe table[Int(bytes[start])]
    let new = unsafe table[Int(bytes[start &+ window])]
    return (hash << 1 | hash >> 31) ^ (old << 16 | old >> 16) ^ new
  }

  /// The search one byte after the other: the oracle of the tests.
  static func searchPlain(
    _ bytes: UnsafeRawBufferPointer, _ discriminator: Discriminator, shift: Int,
    into candidates: inout Candidates
  ) {
    guard bytes.count >= window else { return }
    let table = unsafe self.table
    // SAFETY: the window lies in the bytes.
    var hash = unsafe hash(bytes, from: 0, table)
    if discriminator.matches(hash) { candidates.append(window + shift) }
    for start in 0..<bytes.count - window {
      // SAFETY: start + window is below the count.
      hash = unsafe roll(hash, bytes, start, table)
      if discriminator.matches(hash) { candidates.append(start + window + 1 + shift) }
    }
  }

  // MARK: By kernels

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
