import CasyncIO
import Foundation
import Testing

@Suite("BlockDevice", .tags(.root), .needsRoot, .needs("losetup"))
struct BlockDeviceTests {
  @Test("a device tells its size and its blocks", arguments: [512, 4096])
  func geometry(sectorSize: Int) throws {
    let scratch = try Scratch()
    let loop = try LoopDevice(scratch.hole("image", 1 << 20), sectorSize: sectorSize)
    let file = try File.open(loop.path, .readWrite)
    #expect(try file.status().kind == .blockDevice)
    #expect(try file.deviceSize() == 1 << 20)
    #expect(try file.logicalBlockSize() == sectorSize)
  }

  @Test("a regular file is asked for a device's size in vain")
  func noDevice() throws {
    let scratch = try Scratch()
    let file = try File.open(scratch.file("file", [1]))
    let error = #expect(throws: SystemError.self) { try file.deviceSize() }
    #expect(error?.isUnsupported == true)
    #expect(error.map { "\($0)" }?.hasPrefix("cannot find the size of \(scratch["file"])") == true)
    #expect(throws: SystemError.self) { try file.logicalBlockSize() }
    #expect(throws: SystemError.self) { try file.dropDeviceCache() }
    #expect(throws: SystemError.self) { try file.rereadPartitionTable() }
  }

  @Test("what is zeroed reads as zeros, through the cache and past it, and nothing beside it changes")
  func zeroOut() throws {
    let scratch = try Scratch()
    let loop = try LoopDevice(scratch.file("image", [UInt8](repeating: 7, count: 1 << 20)))
    let file = try File.open(loop.path, .readWrite)
    let direct = try File.open(loop.path, [.readWrite, .direct])
    try file.zeroOut(4096..<65536)
    try file.zeroOut(66048..<66560)
    for reader in [file, direct] {
      let buffer = Buffer(count: 131_072)
      #expect(try reader.read(at: 0, into: buffer, 0..<131_072) == 131_072)
      let bytes = contents(buffer)
      let zeros = bytes.indices.filter { bytes[$0] == 0 }
      #expect(zeros == Array(4096..<65536) + Array(66048..<66560))
    }
    let error = #expect(throws: SystemError.self) { try file.zeroOut(100..<200) }
    #expect(error?.offset == 100)
  }

  @Test("direct I/O passes the cache, which is coherent with it after it was dropped")
  func direct() throws {
    let scratch = try Scratch()
    let loop = try LoopDevice(scratch.hole("image", 1 << 20))
    let cached = try File.open(loop.path, .readWrite)
    let direct = try File.open(loop.path, [.readWrite, .direct])
    let buffer = buffer([UInt8](repeating: 3, count: 8192))
    try direct.write(buffer, 0..<8192, at: 4096)
    try direct.sync()
    try cached.dropDeviceCache()
    let read = Buffer(count: 8192)
    #expect(try cached.read(at: 4096, into: read, 0..<8192) == 8192)
    #expect(contents(read) == contents(buffer))
    let error = #expect(throws: SystemError.self) { try direct.write(buffer, 0..<100, at: 0) }
    #expect(error?.number == EINVAL)
    try direct.setDirect(false)
    try direct.write(buffer, 0..<100, at: 0)
  }

  @Test("writing past the end of a device is no space")
  func noSpace() throws {
    let scratch = try Scratch()
    let loop = try LoopDevice(scratch.hole("image", 65536))
    let file = try File.open(loop.path, .readWrite)
    let buffer = Buffer(count: 8192)
    let error = #expect(throws: SystemError.self) { try file.write(buffer, 0..<8192, at: 61440) }
    #expect(error?.isNoSpace == true)
    #expect(error?.offset == 65536)
    #expect(try file.read(at: 61440, into: buffer, 0..<8192) == 4096)
  }

  @Test("sysfs names the device, its file and its limits")
  func attributes() throws {
    let scratch = try Scratch()
    let path = try #require(FileSystem.resolved(scratch.hole("an image", 1 << 20)))
    let loop = try LoopDevice(path)
    let device = BlockDevice(try loop.status().target)
    #expect(device.name == loop.name)
    #expect(device.number.wholeMatch(of: /7:\d+/) != nil)
    #expect(device.attribute("loop/backing_file") == path)
    #expect(device.attribute("size") == "2048")
    #expect(device.attribute("none") == nil)
    #expect(!device.isPartition)
    #expect(device.partitions == [])
    #expect(device.holders == [])
    #expect(device.writeZeroesLimit > 0)
    let name = try #require(device.stableName)
    #expect(
      name == "loop-" + path.replacingOccurrences(of: "/", with: "-") + "-0" || name.hasPrefix("by-"),
      "a loop device is known by its file, unless udev knows better")
  }

  @Test("a partition is one, and its disk lists it", .needs("addpart"))
  func partitions() throws {
    let scratch = try Scratch()
    let loop = try LoopDevice(scratch.hole("image", 4 << 20))
    try run("addpart", loop.path, "2", "2048", "2048")
    defer { _ = try? run("delpart", loop.path, "2") }
    let disk = BlockDevice(try loop.status().target)
    #expect(disk.partitions == ["\(loop.name)p2"])
    let status = try #require(try File.status("\(loop.path)p2"))
    let partition = BlockDevice(status.target)
    #expect(partition.isPartition)
    #expect(partition.name == "\(loop.name)p2")
    #expect(partition.writeZeroesLimit == disk.writeZeroesLimit)
    #expect(try File.open("\(loop.path)p2").deviceSize() == 1 << 20)
  }

  @Test("a device that is gone has a number for a name, and nothing else")
  func gone() {
    let device = BlockDevice(0xfff_ff)
    #expect(device.name == device.number)
    #expect(device.attribute("size") == nil)
    #expect(device.partitions == [])
    #expect(device.holders == [])
    #expect(device.writeZeroesLimit == 0)
    #expect(device.stableName == nil)
  }
}
