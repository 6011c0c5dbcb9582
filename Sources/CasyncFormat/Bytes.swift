/// The load helpers of the module: the one place where its bytes become integers.
extension RawSpan {
  /// The little-endian 64-bit word at `offset`; `nil` when it does not lie inside the span.
  package func word(at offset: Int) -> UInt64? {
    guard offset >= 0, offset <= byteCount - 8 else { return nil }
    // SAFETY: eight bytes from `offset` lie inside the span (checked above), and any bits are a UInt64.
    return unsafe UInt64(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// The little-endian 32-bit word at `offset`; `nil` when it does not lie inside the span.
  package func word32(at offset: Int) -> UInt32? {
    guard offset >= 0, offset <= byteCount - 4 else { return nil }
    // SAFETY: four bytes from `offset` lie inside the span (checked above), and any bits are a UInt32.
    return unsafe UInt32(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// The byte at `offset`; `nil` when it does not lie inside the span.
  package func byte(at offset: Int) -> UInt8? {
    guard offset >= 0, offset < byteCount else { return nil }
    // SAFETY: the byte lies inside the span (checked above).
    return unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
  }
}

extension [UInt8] {
  /// Appends `word` as eight little-endian bytes.
  package mutating func append(word: UInt64) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) {
      append(UInt8(truncatingIfNeeded: word >> shift))
    }
  }

  /// Appends the 32 bytes of `id`.
  package mutating func append(_ id: ChunkID) {
    for index in 0..<4 { append(word: id.words[index]) }
  }
}

extension RawSpan {
  /// The bytes in an array of their own.
  package func copy() -> [UInt8] {
    // SAFETY: the array copies the bytes before the pointer goes out of scope.
    unsafe withUnsafeBytes { unsafe [UInt8]($0) }
  }
}

extension [UInt8] {
  /// The array's bytes, borrowed.
  package var rawSpan: RawSpan {
    @_lifetime(borrow self) get {
      // SAFETY: a UInt8 has no padding, so every byte of the span is initialised.
      unsafe span.bytes
    }
  }
}
