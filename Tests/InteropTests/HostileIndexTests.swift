import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// Every check of the index format, by the message that a user gets.
  @Suite("given an index that is none,")
  struct HostileIndexTests {
    let scratch: Scratch
    /// An index of five chunks: 48 bytes of header, 16 of the table's, five items of 40, the tail.
    let index: [UInt8]

    init() throws {
      scratch = try Scratch(.memory)
      try scratch.slice(Published.current.squashfs, count: 200_000, to: "image")
      try ours(
        "put", "--store=\(scratch("castr"))", "--chunker=buzhash", scratch("i.caibx"), scratch("image")
      )
      .succeeds()
      index = try scratch.bytes("i.caibx")
    }

    /// A valid index with words of 64 bits replaced.
    struct Change: CustomTestStringConvertible {
      let name: String
      let words: [Int: UInt64]
      let message: String
      var testDescription: String { name }

      init(_ name: String, _ words: [Int: UInt64], _ message: String) {
        self.name = name
        self.words = words
        self.message = message
      }
    }

    private static let sizes = "the chunk sizes in the index header are out of range or out of order"

    static let changes = [
      Change("the size of the first record", [0: 47], "not an index file (wrong magic at byte 0)"),
      Change("the type of the first record", [8: 1], "not an index file (wrong magic at byte 0)"),
      Change(
        "flags of all ones", [16: .max],
        "the index uses features this version does not know (flags 0xffffffffffffffff)"),
      Change(
        "flag 33", [16: 0x9000_0002_0000_0000],
        "the index uses features this version does not know (flags 0x9000000200000000)"),
      Change(
        "flag 59", [16: 0x9800_0000_0000_0000],
        "the index uses features this version does not know (flags 0x9800000000000000)"),
      Change(
        "user IDs of 16 and of 32 bits", [16: 0x9000_0000_0000_0003],
        "the feature flags of the index contradict each other (0x9000000000000003)"),
      Change(
        "times in seconds and in nanoseconds", [16: 0x9000_0000_0000_0028],
        "the feature flags of the index contradict each other (0x9000000000000028)"),
      Change(
        "ACLs without users", [16: 0x9000_0000_2000_0000],
        "the feature flags of the index contradict each other (0x9000000020000000)"),
      Change(
        "permissions and read-only", [16: 0x9000_0000_0000_0180],
        "the feature flags of the index contradict each other (0x9000000000000180)"),
      Change(
        "nodump kept and left out", [16: 0x9000_0000_0010_0000],
        "the feature flags of the index contradict each other (0x9000000000100000)"),
      Change(
        "a read-only subvolume that is none", [16: 0x9000_0000_0800_0000],
        "the feature flags of the index contradict each other (0x9000000008000000)"),
      Change("no smallest size", [24: 0], sizes),
      Change("a smallest size above the average", [24: 65537], sizes),
      Change("an average above the largest size", [32: 262_145], sizes),
      Change("a largest size above the limit", [40: (128 << 20) + 1], sizes),
      Change("sizes of all ones", [24: .max, 32: .max, 40: .max], sizes),
      Change("the size of the table", [48: 56], "the chunk table of the index does not start at byte 48"),
      Change("the type of the table", [56: 0], "the chunk table of the index does not start at byte 48"),
      Change("a first chunk of no bytes", [64: 0], "chunk 0 of the index ends before it starts (byte 64)"),
      Change(
        "a chunk that is too long", [64: 262_145],
        "chunk 0 of the index is 262145 bytes long, its header allows 262144 (byte 64)"),
      Change(
        "a chunk of all ones", [64: .max],
        "chunk 0 of the index is 18446744073709551615 bytes long, its header allows 262144 (byte 64)"),
      Change(
        "a chunk that ends before it starts", [104: 1],
        "chunk 1 of the index ends before it starts (byte 104)"),
    ]

    @Test("says what is wrong with it, and touches nothing", arguments: changes)
    func change(_ change: Change) throws {
      var bytes = index
      for (offset, word) in change.words {
        bytes.replaceSubrange(
          offset..<offset + 8, with: (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) })
      }
      try isRefused(bytes, change.message)
    }

    @Test("finds a chunk at fault wherever it stands")
    func ends() throws {
      let tail = index.count - 40
      var equal = index
      equal.replaceSubrange(tail - 40..<tail - 32, with: index[tail - 80..<tail - 72])
      let position = (tail - 64) / 40 - 1
      try isRefused(equal, "chunk \(position) of the index ends before it starts (byte \(tail - 40))")
    }

    @Test("sees each word of its tail", arguments: [0, 8, 16, 24, 32])
    func tail(offset: Int) throws {
      var bytes = index
      bytes[bytes.count - 40 + offset] ^= 1
      // What is no tail is an item that ends at 0, or (where the first word is 1) before it starts.
      try isRefused(
        bytes,
        "chunk \((index.count - 104) / 40) of the index ends before it starts (byte \(index.count - 40))")
    }

    @Test("sees bytes after its end")
    func trailing() throws {
      try isRefused(index + [0], "bytes follow the end of the index at byte \(index.count)")
      try isRefused(index + index, "bytes follow the end of the index at byte \(index.count)")
    }

    @Test("sees that it is cut short, at every byte")
    func truncated() throws {
      try scratch.slice(scratch("image"), count: 100, to: "short")
      try ours("put", "--store=\(scratch("castr"))", scratch("short.caibx"), scratch("short")).succeeds()
      let short = try scratch.bytes("short.caibx")
      try #require(short.count == 144)
      for length in 0..<short.count {
        try isRefused(Array(short[..<length]), "the index is cut short at byte \(length)")
      }
    }

    @Test("takes an index of no chunks for an image of no bytes")
    func noChunks() throws {
      var bytes = index
      bytes.removeSubrange(64..<bytes.count - 40)
      bytes[bytes.count - 16] = 56
      bytes[bytes.count - 15] = 0
      try scratch.write(bytes, to: "empty.caibx")
      try ours("get", scratch("empty.caibx"), scratch("empty")).succeeds()
      #expect(try scratch.bytes("empty") == [])
      try theirs("extract", scratch("empty.caibx"), scratch("theirs")).succeeds()
      #expect(try scratch.bytes("theirs") == [])
    }

    @Test("says so in every verb that reads it")
    func verbs() throws {
      try scratch.write(Array(index.dropLast()), to: "bad.caibx")
      let message = "\(scratch("bad.caibx")): the index is cut short at byte \(index.count - 1)"
      let bad = scratch("bad.caibx")
      for words in [
        ["extract", bad, scratch("copy")], ["digest", bad], ["verify", bad, scratch("image")], ["info", bad],
        ["diff", bad, scratch("i.caibx")], ["diff", scratch("i.caibx"), bad], ["list-chunks", bad],
        ["gc", "--store=\(scratch("castr"))", scratch("i.caibx"), bad],
      ] {
        try Command.casync(words).fails(message)
      }
      try ours("check", scratch("castr")).succeeds()
      try ours("verify", scratch("i.caibx"), scratch("image")).succeeds()
    }

    @Test("lets no chunk be of another length than it says")
    func lengths() throws {
      var bytes = index
      bytes[64] ^= 1
      try scratch.write(bytes, to: "bad.caibx")
      let run = try ours("get", "--store=\(scratch("castr"))", scratch("bad.caibx"), scratch("copy"))
      run.fails("cannot get chunk ")
      #expect(!scratch.exists("copy"))
    }

    /// Expects that a get fails with this message for the index and leaves its target alone.
    private func isRefused(_ bytes: [UInt8], _ message: String, _ location: SourceLocation = #_sourceLocation)
      throws
    {
      let target: [UInt8] = Array("what stood here".utf8)
      try scratch.write(target, to: "target")
      let names = try scratch.names().count
      try scratch.write(bytes, to: "bad.caibx")
      try ours(
        "get", "--in-place", "--store=\(scratch("castr"))", scratch("bad.caibx"), scratch("target")
      ).fails("\(scratch("bad.caibx")): \(message)", location)
      #expect(try scratch.bytes("target") == target, sourceLocation: location)
      try scratch.remove("bad.caibx")
      #expect(try scratch.names().count == names, sourceLocation: location)
    }
  }
}
