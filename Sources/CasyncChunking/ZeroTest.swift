internal import CKernels

/// Whether every byte of `bytes` is zero; true of no bytes. Stops early where they are not.
package func isZero(_ bytes: RawSpan) -> Bool { isZero(bytes, tier: .current) }

/// The same by the kernel of `tier`, which this CPU must have.
package func isZero(_ bytes: RawSpan, tier: CPUTier) -> Bool {
  // SAFETY: the pointer is used while the span lives.
  unsafe bytes.withUnsafeBytes { unsafe isZero($0, tier: tier) }
}

func isZero(_ bytes: UnsafeRawBufferPointer, tier: CPUTier) -> Bool {
  guard tier != .portable else { return unsafe isZeroPortable(bytes) }
  guard let start = bytes.baseAddress else { return true }
  // SAFETY: the kernel reads the bytes; the tier is this CPU's.
  return unsafe ck_is_zero_avx2(start, bytes.count) != 0
}

/// The test in Swift, 64 bytes a step.
private func isZeroPortable(_ bytes: UnsafeRawBufferPointer) -> Bool {
  var offset = 0
  while offset <= bytes.count - 64 {
    var any: UInt64 = 0
    for index in 0..<8 {
      // SAFETY: 64 bytes from offset are inside, and any bits are a UInt64.
      any |= unsafe bytes.loadUnaligned(fromByteOffset: offset + index * 8, as: UInt64.self)
    }
    if any != 0 { return false }
    offset += 64
  }
  // SAFETY: offset is at most the count.
  return unsafe bytes[offset...].allSatisfy { $0 == 0 }
}
