import CasyncFormat
import CasyncIO
import Foundation
import TestSupport
import Testing

@testable import Casync

@Suite("ImageInput")
struct ImageInputTests {
  static func open(_ path: String, _ extent: PutRequest.Extent = .whole) throws -> ImageInput {
    try ImageInput(path, extent: extent, Cancellation())
  }

  @Test("a file is as long as it is, or as was asked for")
  func extents() throws {
    let scratch = try Scratch()
    let path = try scratch.write([UInt8](repeating: 1, count: 5000), to: "file")
    #expect(try Self.open(path).size == 5000)
    #expect(try Self.open(path, .bytes(5000)).size == 5000)
    #expect(try Self.open(path, .bytes(0)).size == 0)
    #expect(try Self.open(path, .fileSystem).size == 5000)
    let input = try Self.open(path, .bytes(100))
    let buffer = Buffer(count: 200)
    #expect(try input.read(at: 0, into: buffer, 0..<200) == 100)
    #expect(try input.read(at: 90, into: buffer, 0..<200) == 10)
    #expect(try input.read(at: 100, into: buffer, 0..<200) == 0)
    #expect(try input.read(at: 4000, into: buffer, 0..<200) == 0)
    let error = #expect(throws: JobError.self) { try Self.open(path, .bytes(5001)) }
    #expect(error?.code == .badRequest)
    #expect(error?.message == "\(path) holds 5000 bytes, fewer than the 5001 asked for")
  }

  @Test("the index gets the mode of what was cut", arguments: [0o600, 0o644, 0o755] as [UInt32])
  func mode(mode: UInt32) throws {
    let scratch = try Scratch()
    let path = try scratch.write([1], to: "file")
    try FileManager.default.setAttributes([.posixPermissions: Int(mode)], ofItemAtPath: path)
    #expect(try Self.open(path).mode == mode)
  }

  @Test("a directory is no image")
  func directory() throws {
    let scratch = try Scratch()
    let error = #expect(throws: JobError.self) { try Self.open(scratch.path) }
    #expect(error?.message == "\(scratch.path) is no file or block device")
    #expect(error?.hint == "an image is one file; directory trees are for make and .caidx")
  }

  @Test("what is not there is an error that names it")
  func missing() throws {
    let scratch = try Scratch()
    let error = #expect(throws: SystemError.self) { try Self.open(scratch("none")) }
    #expect(error?.isNotFound == true)
  }

  @Test("a pipe has no size, cannot be limited, and gives its first bytes twice")
  func pipe() throws {
    let pipe = Pipe()
    let path = "/proc/self/fd/\(pipe.fileHandleForReading.fileDescriptor)"
    let error = #expect(throws: JobError.self) { try Self.open(path, .bytes(1)) }
    #expect(error?.message == "\(path): the size of a pipe cannot be limited")
    let input = try Self.open(path)
    #expect(input.size == nil)
    #expect(!input.isSeekable)
    try pipe.fileHandleForWriting.write(contentsOf: Data(Array(1...20)))
    try pipe.fileHandleForWriting.close()
    let head = Buffer(count: 8)
    #expect(try input.peek(into: head) == 8)
    let buffer = Buffer(count: 30)
    #expect(try input.read(at: 0, into: buffer, 0..<5) == 5)
    #expect(try input.read(at: 5, into: buffer, 5..<15) == 10)
    #expect(try input.read(at: 15, into: buffer, 15..<30) == 5)
    let bytes = buffer.bytes.extracting(0..<20).copy()
    #expect(bytes == Array(1...20))
    let peeked = head.bytes.copy()
    #expect(peeked == Array(1...8))
  }

  @Test("a file that became shorter while it is read is an error")
  func shrinks() throws {
    let scratch = try Scratch()
    let path = try scratch.write([UInt8](repeating: 1, count: 5000), to: "file")
    let input = try Self.open(path)
    try File.open(path, .readWrite).setSize(4000)
    let error = #expect(throws: JobError.self) { try input.read(at: 0, into: Buffer(count: 5000), 0..<5000) }
    #expect(error?.message == "\(path) became shorter while it was read")
  }

  @Test("a file that was written to since it was opened is an error; one that was read is none")
  func changes() throws {
    let scratch = try Scratch()
    let path = try scratch.write([UInt8](repeating: 1, count: 5000), to: "file")
    // Long ago: the clock of a file system may not tell two moments from one another.
    let longAgo = Date(timeIntervalSince1970: 1)
    try FileManager.default.setAttributes([.modificationDate: longAgo], ofItemAtPath: path)
    let input = try Self.open(path)
    #expect(input.showsChanges)
    _ = try input.read(at: 0, into: Buffer(count: 5000), 0..<5000)
    try input.checkUnchanged()
    try File.open(path, .readWrite).write(Buffer(count: 1), 0..<1, at: 7)
    let error = #expect(throws: JobError.self) { try input.checkUnchanged() }
    #expect(error?.message == "\(path) changed while it was read")
  }
}

@Suite("FileSystemSize")
struct FileSystemSizeTests {
  static func find(_ path: String) throws -> UInt64? {
    let buffer = Buffer(count: 4096)
    let count = try File.open(path).read(at: 0, into: buffer, 0..<4096)
    return FileSystemSize.find(in: buffer.bytes.extracting(0..<count))
  }

  @Test("an ext4 says how far it goes", .needs("mke2fs"), arguments: [1024, 4096])
  func ext4(blockSize: Int) throws {
    let scratch = try Scratch()
    let path = try scratch.sparse("image", size: 16 << 20)
    try Tool.run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "\(blockSize)", path, "8M")
    #expect(try Self.find(path) == 8 << 20)
    #expect(try ImageInput(path, extent: .fileSystem, Cancellation()).size == 8 << 20)
  }

  @Test("a squashfs says how far it goes, in whole 4 KiB", .needs("mksquashfs"))
  func squashfs() throws {
    let scratch = try Scratch()
    var generator = Generator(seed: 1)
    try Tool.run("mkdir", scratch("tree"))
    try scratch.write(generator.bytes(100_001), to: "tree/file")
    try Tool.run("mksquashfs", scratch("tree"), scratch("image"), "-quiet", "-no-progress")
    let size = try scratch.bytes("image").count
    #expect(try Self.find(scratch("image")) == UInt64(size))
    try File.open(scratch("image"), .readWrite).setSize(UInt64(size) + (1 << 20))
    #expect(try Self.find(scratch("image")) == UInt64(size))
    #expect(try ImageInput(scratch("image"), extent: .fileSystem, Cancellation()).size == UInt64(size))
  }

  @Test("a FAT says how far it goes", .needs("mkfs.vfat"), arguments: [(12, 2048), (16, 20480), (32, 81920)])
  func fat(bits: Int, kilobytes: Int) throws {
    let scratch = try Scratch()
    let path = try scratch.sparse("image", size: 128 << 20)
    try Tool.run("mkfs.vfat", "-F", "\(bits)", path, "\(kilobytes)")
    #expect(try Self.find(path) == UInt64(kilobytes) << 10)
  }

  @Test("an Android boot image is the pages of its parts")
  func android() throws {
    var head = [UInt8](repeating: 0, count: 4096)
    head.replaceSubrange(0..<8, with: Array("ANDROID!".utf8))
    for (offset, value) in [(8, 5000), (16, 2048), (24, 0), (36, 2048), (40, 1)] {
      for byte in 0..<4 { head[offset + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte)) }
    }
    let scratch = try Scratch()
    // A page of header, three of kernel, one of ramdisk, one of device tree.
    #expect(try Self.find(scratch.write(head, to: "image")) == 6 * 2048)
  }

  @Test("a disk with a boot sector, and bytes of no kind, say nothing", .needs("sgdisk"))
  func none() throws {
    let scratch = try Scratch()
    let disk = try scratch.sparse("disk", size: 4 << 20)
    try Tool.run("sgdisk", "--new=1:2048:+1M", disk)
    #expect(try Self.find(disk) == nil)
    #expect(try Self.find(scratch.write([1, 2, 3], to: "short")) == nil)
    #expect(try Self.find(scratch.write([UInt8](repeating: 0, count: 4096), to: "zeros")) == nil)
  }

  @Test("random heads never trap", arguments: Generator.seeds(5))
  func noise(seed: UInt64) {
    var generator = Generator(seed: seed)
    let magics: [(Int, [UInt8])] = [
      (0, Array("hsqs".utf8)), (0, Array("ANDROID!".utf8)), (1080, [0x53, 0xef]), (0, [0xeb]),
      (510, [0x55, 0xaa]),
    ]
    for round in 0..<200 {
      var head = generator.bytes(Int.random(in: 0...4096, using: &generator))
      for (offset, magic) in [magics[round % 5], magics[4]] where offset + magic.count <= head.count {
        head.replaceSubrange(offset..<offset + magic.count, with: magic)
      }
      _ = FileSystemSize.find(in: head.rawSpan)
    }
  }
}
