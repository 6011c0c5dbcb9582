import CasyncChunking
import CasyncFormat
import CasyncIO
import TestSupport
import Testing

@testable import Casync

@Suite("BootArea")
struct BootAreaTests {
  static func layout(_ path: String) throws -> ImageLayout {
    let buffer = Buffer(count: ImageLayout.headLength)
    let count = try File.open(path).read(at: 0, into: buffer, 0..<buffer.count)
    return ImageLayout(head: buffer.bytes.extracting(0..<count))
  }

  static func target(_ blockSize: Int = 512, base: UInt64 = 0) -> Target {
    Target(kind: .file, path: "target", base: base, blockSize: blockSize)
  }

  static func disk(_ scratch: Scratch) throws -> String {
    let path = try scratch.sparse("disk", size: 8 << 20)
    try Tool.run("sgdisk", "--new=1:2048:+1M", path)
    return path
  }

  @Test("of a GPT it is the first 1 MiB and the backup table", .needs("sgdisk"))
  func gpt() throws {
    let scratch = try Scratch()
    let layout = try Self.layout(Self.disk(scratch))
    let size: UInt64 = 8 << 20
    let boot = BootArea(0..<size, layout: layout, target: Self.target())
    // 32 sectors of entries and one of header.
    #expect(boot.ranges == [0..<1 << 20, size - 33 * 512..<size])
    #expect(boot.body(of: 0..<size) == 1 << 20..<size - 33 * 512)
    let coarse = BootArea(0..<size, layout: layout, target: Self.target(4096))
    #expect(coarse.ranges == [0..<1 << 20, size - 5 * 4096..<size])
  }

  @Test(
    "a backup table beyond the image, or far from its end, is none", .needs("sgdisk"),
    arguments: [4 << 20, 40 << 20] as [UInt64])
  func otherSize(size: UInt64) throws {
    let scratch = try Scratch()
    let layout = try Self.layout(Self.disk(scratch))
    let boot = BootArea(0..<size, layout: layout, target: Self.target())
    #expect(boot.ranges == [0..<1 << 20])
    #expect(boot.body(of: 0..<size) == 1 << 20..<size)
  }

  @Test(
    "without a GPT it is the first 1 MiB, or all of a shorter image",
    arguments: [1, 1 << 20, (1 << 20) + 1] as [UInt64])
  func plain(size: UInt64) {
    let boot = BootArea(0..<size, layout: nil, target: Self.target())
    #expect(boot.ranges == [0..<min(size, 1 << 20)])
    #expect(boot.body(of: 0..<size) == min(size, 1 << 20)..<size)
  }

  @Test("of a partition it is the partition's first 1 MiB")
  func partition() {
    let base: UInt64 = 3 << 20
    let boot = BootArea(base..<base + (5 << 20), layout: nil, target: Self.target(base: base))
    #expect(boot.ranges == [base..<base + (1 << 20)])
  }

  @Test("clearing zeroes the area, keeps what it held, and leaves what is behind the image", .needs("sgdisk"))
  func clear() throws {
    let scratch = try Scratch()
    var generator = Generator(seed: 4)
    let old = generator.bytes(9 << 20)
    let file = try File.open(scratch.write(old, to: "target"), .readWrite)
    let target = Target(
      kind: .file, path: file.path, base: 0, blockSize: 4096, hasOldContent: true, file: file, cached: file)
    let size: UInt64 = (8 << 20) - 100
    let content = OldContent(target)
    let boot = BootArea(0..<size, layout: try Self.layout(Self.disk(scratch)), target: target)
    try boot.clear(target, keepingIn: content)
    var expected = old
    for range in boot.ranges {
      for offset in range { expected[Int(offset)] = 0 }
    }
    #expect(try scratch.bytes("target") == expected)
    let buffer = Buffer(count: old.count)
    #expect(try content.read(at: 0, into: buffer, 0..<old.count))
    let kept = buffer.bytes.copy()
    #expect(kept == old)
    #expect(content.holds(0..<1 << 20))
    #expect(!content.holds(0..<(1 << 20) + 1))
  }
}

@Suite("StateDirectory")
struct StateDirectoryTests {
  static func index() throws -> Index {
    try makeIndex([(100, digest([1])), (200, digest([2]))], chunker: .imageDefault)
  }

  @Test("an index that was stored is found again, until it is forgotten")
  func roundTrip() throws {
    let scratch = try Scratch()
    let state = StateDirectory(path: scratch("state"))
    #expect(state.index(of: "disk") == nil)
    try state.forget("disk")
    #expect(state.store(try Self.index(), for: "disk"))
    let found = try #require(state.index(of: "disk"))
    #expect(found.count == 2)
    #expect(found.size == 300)
    #expect(found.chunker == .imageDefault)
    #expect(found.id(of: 1) == digest([2]))
    #expect(state.index(of: "other") == nil)
    try state.forget("disk")
    #expect(state.index(of: "disk") == nil)
  }

  @Test("a device without a stable name is not kept")
  func noName() throws {
    let scratch = try Scratch()
    let state = StateDirectory(path: scratch("state"))
    #expect(!state.store(try Self.index(), for: nil))
    #expect(state.index(of: nil) == nil)
    try state.forget(nil)
  }

  @Test("a damaged index is as good as none, and can be forgotten")
  func damaged() throws {
    let scratch = try Scratch()
    let state = StateDirectory(path: scratch.path)
    try scratch.write([1, 2, 3], to: "disk.caibx")
    #expect(state.index(of: "disk") == nil)
    try state.forget("disk")
    #expect(!scratch.exists("disk.caibx"))
  }

  @Test("a directory that cannot be made or written is no error")
  func unwritable() throws {
    let scratch = try Scratch()
    let file = try scratch.write([1], to: "file")
    #expect(!StateDirectory(path: file).store(try Self.index(), for: "disk"))
    #expect(!StateDirectory(path: scratch("none/state")).store(try Self.index(), for: "disk"))
    #expect(StateDirectory(path: file).index(of: "disk") == nil)
  }
}
