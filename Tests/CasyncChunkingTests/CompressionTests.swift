import Testing

@testable import CasyncChunking

/// Decompresses into a buffer of `size` bytes.
func decompress(_ bytes: [UInt8], size: Int) throws(CompressionError) -> [UInt8] {
  var output = [UInt8](repeating: 0xee, count: size)
  // SAFETY: the spans are used while their arrays live.
  var elements = output.mutableSpan
  var span = unsafe elements.mutableBytes
  unsafe try Decompressor().decompress(bytes.span.bytes, into: &span)
  return output
}

func decompress(_ bytes: [UInt8], limit: Int) throws(CompressionError) -> [UInt8] {
  // SAFETY: the span is used while the array lives.
  unsafe try Decompressor().decompress(bytes.span.bytes, limit: limit)
}

func compress(_ bytes: [UInt8], _ compression: Compression, level: Int? = nil) throws(CompressionError)
  -> [UInt8]
{
  var output: [UInt8] = []
  // SAFETY: the span is used while the array lives.
  unsafe try Compressor(compression, level: level).compress(bytes.span.bytes, into: &output)
  return output
}

/// The code of the error that `body` throws; `nil` for none.
func code<T>(_ body: () throws -> T) -> CompressionError.Code? {
  do {
    _ = try body()
    return nil
  } catch {
    return (error as? CompressionError)?.code
  }
}

func unhex(_ hex: String) -> [UInt8] {
  let digits = Array(hex)
  return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
}

@Suite("Compression of chunks")
struct CompressionTests {
  /// Chunk files as other programs write them: casync 2 of 200 times "casync ", then `xz -9 -C crc32`,
  /// `gzip -9n` and `zstd --check -19` of it once.
  static let foreign: [(repeats: Int, hex: String)] = [
    (200, "28b52ffd005875000038636173796e632001006ee92f46"),
    (
      200,
      "fd377a585a000004e6d6b4460200210116000000742fe5a3e0057700165d0031984ace854f5433f4a822f83a10"
        + "83c48d2871156800000000dd88c070571547ef000132f80a00000083891e9db1c467fb020000000004595a"
    ),
    (200, "1f8b08000000000000034b4e2caecc4b56481ea546a9516a941aa5e84301003d482b0e78050000"),
    (
      1,
      "fd377a585a0000016922de36020021011c00000010cf58cc010006636173796e6320000076de287b00011b0712"
        + "ebd4179042990d010000000001595a"
    ),
    (1, "1f8b08000000000002034b4e2caecc4b56000076de287b07000000"),
    (1, "28b52ffd0468390000636173796e63205b93389f"),
  ]

  static func content(repeats: Int) -> [UInt8] {
    Array(String(repeating: "casync ", count: repeats).utf8)
  }

  @Test("what other programs compressed is read", arguments: foreign)
  func readsForeign(repeats: Int, hex: String) throws {
    let content = Self.content(repeats: repeats)
    #expect(try decompress(unhex(hex), size: content.count) == content)
    #expect(try decompress(unhex(hex), limit: content.count) == content)
    #expect(try decompress(unhex(hex), limit: 1 << 20) == content)
  }

  @Test("every prefix is an error, and so is a byte more", arguments: foreign)
  func truncation(repeats: Int, hex: String) {
    let bytes = unhex(hex)
    let size = Self.content(repeats: repeats).count
    for count in 0..<bytes.count {
      let prefix = Array(bytes[..<count])
      let known = code { try decompress(prefix, size: size) }
      let unknown = code { try decompress(prefix, limit: 1 << 20) }
      #expect(known == .truncated, "\(count) bytes")
      #expect(unknown == .truncated, "\(count) bytes")
    }
    for tail in [[0], [0, 0, 0, 0], bytes] {
      #expect(code { try decompress(bytes + tail, size: size) } == .trailingBytes)
    }
  }

  @Test("a chunk must have the size that the index says", arguments: foreign)
  func sizes(repeats: Int, hex: String) {
    let bytes = unhex(hex)
    let size = Self.content(repeats: repeats).count
    #expect(code { try decompress(bytes, size: size - 1) } == .tooLong)
    #expect(code { try decompress(bytes, size: 1) } == .tooLong)
    #expect(code { try decompress(bytes, size: size + 1) } == .tooShort)
    #expect(code { try decompress(bytes, limit: size - 1) } == .tooLarge)
  }

  @Test("a flipped bit is an error or other bytes, and never traps", arguments: foreign)
  func flips(repeats: Int, hex: String) {
    let bytes = unhex(hex)
    let content = Self.content(repeats: repeats)
    for bit in 0..<bytes.count * 8 {
      var damaged = bytes
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      // Headers hold bits without consequence (gzip's time and system): the bytes are then right.
      let result = code { try decompress(damaged, size: content.count) }
      _ = code { try decompress(damaged, limit: 1 << 16) }
      #expect(result != .badLevel)
    }
  }

  @Test("what is no chunk is told apart")
  func refusals() {
    #expect(code { try decompress(Array("hello, world".utf8), size: 5) } == .unknownFormat)
    #expect(code { try decompress([], size: 5) } == .truncated)
    #expect(code { try decompress([1, 2, 3, 4, 5], size: 5) } == .truncated)
    // `zstd`, `xz` and `gzip` of nothing.
    for empty in [
      "28b52ffd2400010000" + "99e9d851", "fd377a585a000004e6d6b446000000001cdf44211fb6f37d010000000004595a",
      "1f8b080000000000000303000000000000000000",
    ] {
      #expect(code { try decompress(unhex(empty), limit: 100) } == .empty)
      #expect(code { try decompress(unhex(empty), size: 100) } == .empty)
    }
  }

  @Test("a bomb costs no more than the chunk may have", arguments: Compression.allCases)
  func bombs(compression: Compression) throws {
    let bomb = try compress([UInt8](repeating: 0, count: 24 << 20), compression, level: 1)
    #expect(bomb.count < 200_000)
    #expect(code { try decompress(bomb, size: 65536) } == .tooLong)
    #expect(code { try decompress(bomb, limit: 1 << 20) } == .tooLarge)
    #expect(try decompress(bomb, limit: 24 << 20).count == 24 << 20)
  }

  @Test("an xz dictionary of gigabytes is refused")
  func dictionary() throws {
    // The filter's dictionary size, at its greatest, with the CRC of the block header set right.
    var bytes = unhex(Self.foreign[3].hex)
    #expect(bytes[16] == 0x1c)
    bytes[16] = 0x28
    var crc = CRC32()
    for byte in bytes[12..<20] { crc.update(byte) }
    for index in 0..<4 { bytes[20 + index] = UInt8(truncatingIfNeeded: crc.value >> UInt32(8 * index)) }
    #expect(code { try decompress(bytes, size: 7) } == .needsMemory)
  }

  @Test("round trips at every level", arguments: Compression.allCases)
  func roundTrips(compression: Compression) throws {
    let text = Self.content(repeats: 3000)
    let mixed = splitmix64(seed: 3, length: 20_000) + text
    for level in compression.levels where level < 20 {
      let packed = try compress(text, compression, level: level)
      #expect(packed.count < text.count / 8)
      #expect(try decompress(packed, size: text.count) == text)
    }
    let compressor = try Compressor(compression)
    let decompressor = Decompressor()
    var packed: [UInt8] = []
    for count in [1, 2, 5, 100, 4096, 40_999, 70_000, 3] {
      for bytes in [Array(mixed.prefix(count)), [UInt8](repeating: 0, count: count)] {
        // SAFETY: the spans are used while their arrays live.
        unsafe try compressor.compress(bytes.span.bytes, into: &packed)
        var output = [UInt8](repeating: 1, count: bytes.count)
        var elements = output.mutableSpan
        var span = unsafe elements.mutableBytes
        unsafe try decompressor.decompress(packed.span.bytes, into: &span)
        #expect(output == bytes)
        #expect(unsafe try decompressor.decompress(packed.span.bytes, limit: 1 << 20) == bytes)
      }
    }
  }

  @Test("levels that do not exist, and chunks that may not be", arguments: Compression.allCases)
  func limits(compression: Compression) {
    for level in [compression.levels.lowerBound - 1, compression.levels.upperBound + 1, .max, .min] {
      #expect(code { try Compressor(compression, level: level) } == .badLevel)
    }
    #expect(code { try compress([], compression) } == .empty)
  }
}
