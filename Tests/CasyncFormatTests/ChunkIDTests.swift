import Testing

@testable import CasyncFormat

@Suite("ChunkID")
struct ChunkIDTests {
  static let hex = "00112233445566778899aabbccddeeff0123456789abcdef0f1e2d3c4b5a6978"

  static let notIDs: [String] = {
    let start = String(hex.dropLast())
    var all: [String] = ["", "0", start, String(start.dropLast()), hex + "0", hex + "00", hex.uppercased()]
    all += ["0x" + String(hex.dropLast(2)), " " + start, String(repeating: "٣", count: 64)]
    // The neighbours of the digits in ASCII, and a letter of two bytes.
    for end in ["g", "/", ":", "`", "é"] { all.append(start + end) }
    return all
  }()

  func id(_ bytes: [UInt8], at offset: Int = 0) -> ChunkID? { ChunkID(bytes.rawSpan, at: offset) }

  @Test("the digits are the bytes in their order")
  func order() throws {
    let id = try #require(ChunkID(hex: Self.hex))
    var bytes: [UInt8] = []
    bytes.append(id)
    #expect(bytes == CasyncFormatTests.bytes(hex: Self.hex))
    #expect(self.id(bytes) == id)
    #expect("\(id)" == Self.hex)
  }

  @Test("digits and bytes both give the ID back", arguments: Generator.seeds(10))
  func roundTrip(seed: UInt64) {
    var generator = Generator(seed: seed)
    let id = ChunkID.random(using: &generator)
    #expect(id.hex.utf8.count == 64)
    #expect(ChunkID(hex: id.hex) == id)
    var bytes: [UInt8] = [0xee]
    bytes.append(id)
    #expect(self.id(bytes, at: 1) == id)
  }

  @Test(
    "only 64 lower-case digits are an ID",
    arguments: notIDs)
  func rejects(text: String) {
    #expect(ChunkID(hex: text) == nil)
  }

  @Test(
    "fewer than 32 bytes are no ID", arguments: [(31, 0), (32, 1), (32, -1), (40, 9), (0, 0), (32, .max)])
  func short(count: Int, offset: Int) {
    #expect(id([UInt8](repeating: 7, count: count), at: offset) == nil)
  }

  @Test("IDs that differ in any bit differ")
  func equality() throws {
    let base = bytes(hex: Self.hex)
    let original = try #require(id(base))
    for bit in 0..<256 {
      var other = base
      other[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(id(other) != original)
    }
  }
}
