import Testing

@testable import CasyncFormat

/// A change of a good index, and what its reader must say.
struct Damage: CustomTestStringConvertible, Sendable {
  let testDescription: String
  let base: [UInt8]
  let code: IndexError.Code
  let offset: Int
  let text: String
  let change: @Sendable (inout [UInt8]) -> Void

  init(
    _ name: String, of base: [UInt8] = exampleIndex, _ code: IndexError.Code, at offset: Int, _ text: String,
    _ change: @escaping @Sendable (inout [UInt8]) -> Void
  ) {
    testDescription = name
    self.base = base
    self.code = code
    self.offset = offset
    self.text = text
    self.change = change
  }
}

extension [UInt8] {
  /// Puts a little-endian word at `offset`.
  mutating func put(_ word: UInt64, at offset: Int) {
    for index in 0..<8 { self[offset + index] = UInt8(truncatingIfNeeded: word >> UInt64(index * 8)) }
  }
}

@Suite("Index, damaged")
struct IndexDamageTests {
  static let twoChunks = IndexSample(chunks: [
    (100, ChunkID(words: [1, 2, 3, 4])), (200, ChunkID(words: [5, 6, 7, 8])),
  ]).encoded

  static let image = IndexSample(
    chunker: .imageDefault, chunks: [(131_072, ChunkID(words: [1, 2, 3, 4]))]
  ).encoded

  static let magic = "not an index file (wrong magic at byte 0)"
  static let sizes = "the chunk sizes in the index header are out of range or out of order"
  static let table = "the chunk table of the index does not start at byte 48"

  static func unknown(bit: UInt64) -> Damage {
    let flags = FeatureFlags(rawValue: 0xb000_0000_0000_0000 | 1 << bit)
    return Damage(
      "unknown feature \(bit)", .unknownFeatures(flags), at: 16,
      "the index uses features this version does not know (flags 0x\(String(flags.rawValue, radix: 16)))"
    ) { $0.put(flags.rawValue, at: 16) }
  }

  static func contradiction(_ name: String, _ raw: UInt64) -> Damage {
    Damage(
      name, .inconsistentFeatures(FeatureFlags(rawValue: raw)), at: 16,
      "the feature flags of the index contradict each other (0x\(String(raw, radix: 16)))"
    ) { $0.put(raw, at: 16) }
  }

  static func sizes(_ name: String, _ value: UInt64, at offset: Int) -> Damage {
    Damage(name, .chunkSizes, at: 24, sizes) { $0.put(value, at: offset) }
  }

  static func empty(
    _ name: String, position: Int, at offset: Int,
    _ change: @escaping @Sendable (inout [UInt8]) -> Void
  ) -> Damage {
    Damage(
      name, of: twoChunks, .emptyChunk(position: position), at: offset,
      "chunk \(position) of the index ends before it starts (byte \(offset))", change)
  }

  static let all: [Damage] = [
    Damage("nothing", .truncated, at: 0, "the index is cut short at byte 0") { $0 = [] },
    Damage("fifteen bytes", .truncated, at: 15, "the index is cut short at byte 15") { $0.removeLast(129) },
    Damage("no tail", .truncated, at: 104, "the index is cut short at byte 104") { $0.removeLast(40) },
    Damage("no last byte", .truncated, at: 143, "the index is cut short at byte 143") { $0.removeLast() },
    Damage("size of the index record", .notAnIndex, at: 0, magic) { $0[0] = 49 },
    Damage("type of the index record", .notAnIndex, at: 0, magic) { $0[15] ^= 1 },
    Damage("another file", .notAnIndex, at: 0, magic) { $0 = Array("#!/bin/sh\nexit 0\n".utf8) },
    unknown(bit: 33), unknown(bit: 40), unknown(bit: 59),
    Damage(
      "all flags", .unknownFeatures(FeatureFlags(rawValue: .max)), at: 16,
      "the index uses features this version does not know (flags 0xffffffffffffffff)"
    ) { $0.put(.max, at: 16) },
    contradiction("both widths of user IDs", 0xb000_0000_0000_0003),
    contradiction("two times", 0xb000_0000_0000_0018),
    contradiction("ACLs without users", 0xb000_0000_2000_0000),
    contradiction("nodump twice", 0xb000_0000_0010_0000),
    contradiction("a read-only subvolume that is none", 0xb000_0000_0800_0000),
    sizes("minimum 0", 0, at: 24), sizes("minimum above the average", 65537, at: 24),
    sizes("average above the maximum", 262_145, at: 32), sizes("average 0", 0, at: 32),
    sizes("maximum below the average", 65535, at: 40), sizes("maximum above 128 MiB", 128 << 20 | 1, at: 40),
    sizes("maximum of 64 bits", .max, at: 40),
    Damage("size of the table", .notATable, at: 48, table) { $0[48] = 0xfe },
    Damage("type of the table", .notATable, at: 48, table) { $0[63] ^= 0x80 },
    empty("no first byte", position: 0, at: 64) { $0.put(0, at: 64) },
    empty("equal ends", position: 1, at: 104) { $0.put(100, at: 104) },
    empty("falling ends", position: 1, at: 104) { $0.put(99, at: 104) },
    Damage(
      "a chunk longer than the maximum", .chunkTooLong(position: 0, length: 262_145, limit: 262_144), at: 64,
      "chunk 0 of the index is 262145 bytes long, its header allows 262144 (byte 64)"
    ) { $0.put(262_145, at: 64) },
    Damage(
      "a second chunk longer than the maximum", of: twoChunks,
      .chunkTooLong(position: 1, length: .max - 100, limit: 262_144), at: 104,
      "chunk 1 of the index is 18446744073709551515 bytes long, its header allows 262144 (byte 104)"
    ) { $0.put(.max, at: 104) },
    Damage(
      "a chunk longer than the image chunker's", of: image,
      .chunkTooLong(position: 0, length: 131_073, limit: 131_072), at: 64,
      "chunk 0 of the index is 131073 bytes long, its header allows 131072 (byte 64)"
    ) { $0.put(131_073, at: 64) },
    empty("second word of the tail", position: 2, at: 144) { $0[152] = 1 },
    empty("offset of the index in the tail", position: 2, at: 144) { $0[160] = 49 },
    empty("size in the tail", position: 2, at: 144) { $0[168] ^= 8 },
    empty("marker of the tail", position: 2, at: 144) { $0[176] ^= 1 },
    Damage("a byte after the tail", .trailingBytes, at: 144, "bytes follow the end of the index at byte 144")
    {
      $0.append(0)
    },
    Damage("two indexes", .trailingBytes, at: 144, "bytes follow the end of the index at byte 144") {
      $0 += $0
    },
  ]

  @Test("each check of casync's reader is made, and says what is wrong where", arguments: all)
  func checks(damage: Damage) throws {
    var bytes = damage.base
    _ = try decode(bytes)
    damage.change(&bytes)
    let error = #expect(throws: IndexError.self) { try decode(bytes) }
    #expect(error?.code == damage.code)
    #expect(error?.offset == damage.offset)
    #expect(error.map { "\($0)" } == damage.text)
  }

  @Test("every strict prefix of an index is one cut short")
  func prefixes() {
    for bytes in [emptyIndex, exampleIndex, Self.twoChunks] {
      for count in 0..<bytes.count {
        let error = #expect(throws: IndexError.self) { try decode(Array(bytes[..<count])) }
        #expect(error?.code == .truncated)
        #expect(error?.offset == count)
      }
    }
  }

  @Test("any flipped bit is refused, or is another index")
  func flips() throws {
    for base in [emptyIndex, exampleIndex, Self.twoChunks, Self.image] {
      let good = try decode(base)
      for bit in 0..<base.count * 8 {
        var bytes = base
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        guard let other = try? decode(bytes) else { continue }
        #expect(!other.isSame(as: good), "bit \(bit)")
      }
    }
  }

  @Test("random bytes behind a good header never trap", arguments: Generator.seeds(20))
  func noise(seed: UInt64) {
    var generator = Generator(seed: seed)
    for _ in 0..<200 {
      var bytes = Self.twoChunks
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        bytes[place] = Bool.random(using: &generator) ? 0xff : UInt8.random(in: 0...255, using: &generator)
      }
      guard let index = try? decode(bytes) else { continue }
      #expect(index.size == (0..<index.count).reduce(0) { $0 + UInt64(index.length(of: $1)) })
    }
  }

  @Test("a chunk may be shorter than the minimum, wherever it stands")
  func shortChunks() throws {
    #expect(try decode(Self.twoChunks).count == 2)
  }

  @Test("desync's flags are accepted", arguments: [0xa000_0000_0000_0000, 0x8000_0000_0000_0000] as [UInt64])
  func desync(flags: UInt64) throws {
    var bytes = exampleIndex
    bytes.put(flags, at: 16)
    #expect(try decode(bytes).flags.rawValue == flags)
  }
}
