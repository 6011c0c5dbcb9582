import CasyncIO
import Foundation
import Testing

@Suite("DeviceUse", .tags(.root), .needsRoot, .needs("losetup", "mke2fs"))
struct DeviceUseTests {
  /// A loop device of 4 MiB with an ext2 at `offset`.
  static func device(_ scratch: Scratch, offset: Int = 0) throws -> LoopDevice {
    let image = try scratch.hole("image", 4 << 20)
    try run("mke2fs", "-q", "-F", "-t", "ext2", "-E", "offset=\(offset)", image, "1M")
    return try LoopDevice(image)
  }

  @Test("a device that nobody uses may be written")
  func free() throws {
    let scratch = try Scratch()
    let loop = try Self.device(scratch)
    #expect(DeviceUse.ofDevice(try loop.status().target, path: loop.path) == nil)
  }

  @Test(
    "a mounted device is in use, and the reason has its mount point", arguments: ["mnt", "a mount\tpoint"])
  func mounted(name: String) throws {
    let scratch = try Scratch()
    let loop = try Self.device(scratch)
    let mount = try Mount(loop, on: name, in: scratch)
    let use = try #require(DeviceUse.ofDevice(loop.status().target, path: loop.path))
    let point = try #require(FileSystem.resolved(mount.path))
    #expect(use.reason == "mounted on \(point)")
    #expect(use.hint == "umount \(point)")
  }

  @Test("a device is known by any name", arguments: ["link", "node"])
  func names(kind: String) throws {
    let scratch = try Scratch()
    let loop = try Self.device(scratch)
    let mount = try Mount(loop, on: "mnt", in: scratch)
    defer { withExtendedLifetime(mount) {} }
    if kind == "link" {
      try FileManager.default.createSymbolicLink(atPath: scratch["device"], withDestinationPath: loop.path)
    } else {
      let number = BlockDevice(try loop.status().target).number.split(separator: ":")
      try run("mknod", scratch["device"], "b", String(number[0]), String(number[1]))
    }
    let status = try #require(try File.status(scratch["device"]))
    #expect(
      DeviceUse.ofDevice(status.target, path: scratch["device"])?.reason.hasPrefix("mounted on ") == true)
  }

  @Test("a disk is in use when one of its partitions is", .needs("addpart"))
  func partition() throws {
    let scratch = try Scratch()
    let loop = try Self.device(scratch, offset: 1 << 20)
    try run("addpart", loop.path, "1", "2048", "2048")
    defer { _ = try? run("delpart", loop.path, "1") }
    #expect(DeviceUse.ofDevice(try loop.status().target, path: loop.path) == nil)
    do {
      let mount = try Mount(loop, on: "mnt", in: scratch, node: "\(loop.path)p1")
      let use = DeviceUse.ofDevice(try loop.status().target, path: loop.path)
      let point = try #require(FileSystem.resolved(mount.path))
      #expect(use?.reason == "its partition \(loop.name)p1 is mounted on \(point)")
      #expect(use?.hint == "umount \(point)")
    }
  }

  @Test("a file behind a loop device is in use, whichever name it is found by")
  func backingFile() throws {
    let scratch = try Scratch()
    let loop = try Self.device(scratch)
    try FileManager.default.linkItem(atPath: loop.file, toPath: scratch["hard"])
    try FileManager.default.createSymbolicLink(atPath: scratch["soft"], withDestinationPath: loop.file)
    for path in [loop.file, scratch["hard"], scratch["soft"]] {
      let use = DeviceUse.ofBackingFile(try #require(try File.status(path)), path: path)
      #expect(use?.reason == "it backs \(loop.path)", "\(path)")
      #expect(use?.hint == "losetup --detach \(loop.path)")
    }
    let other = try scratch.file("other")
    #expect(DeviceUse.ofBackingFile(try #require(try File.status(other)), path: other) == nil)
  }

  @Test("a loop device behind a loop device is in use")
  func chain() throws {
    let scratch = try Scratch()
    let lower = try Self.device(scratch)
    #expect(DeviceUse.ofBackingFile(try lower.status(), path: lower.path) == nil)
    let upper = try LoopDevice(lower.path)
    #expect(DeviceUse.ofBackingFile(try lower.status(), path: lower.path)?.reason == "it backs \(upper.path)")
    #expect(DeviceUse.ofBackingFile(try upper.status(), path: upper.path) == nil)
  }
}
