import CasyncIO
import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("asked to write where it must not,", .root)
  struct RefusalTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch()
      images = try Published.current
    }

    /// Expects that the target is refused with this message and keeps its content.
    private func isRefused(
      _ target: String, _ message: String, options: [String] = [],
      _ location: SourceLocation = #_sourceLocation
    ) throws {
      let before = try Tool.run("sha256sum", target)
      try Command.casync(
        ["get", "--store=\(images.store)", "--state-dir=none", images.newSliceIndex, target] + options
      ).fails(message, location)
      #expect(try Tool.run("sha256sum", target) == before, sourceLocation: location)
    }

    private func ext4(size: Int = 64 << 20, _ name: String = "disk") throws -> String {
      let device = try scratch.loop(size: size, name)
      try Tool.run("mkfs.ext4", "-q", device)
      return device
    }

    @Test("refuses a mounted device and names the mount point")
    func mounted() throws {
      let device = try ext4()
      let point = try scratch.mount(device, at: "mount point", options: "ro,noload")
      try isRefused(device, "\(device) is in use: mounted on \(point)")
      let link = scratch("link")
      try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: device)
      try isRefused(link, "\(link) is in use: mounted on \(point)")
    }

    @Test("refuses what backs a loop device, through a chain of two")
    func backing() throws {
      let file = try scratch.sparse("file", size: 64 << 20)
      let first = try scratch.loop(file)
      let second = try scratch.loop(first)
      try isRefused(first, "\(first) is in use: it backs \(second)")
      try isRefused(file, "\(file) is in use: it backs \(first)", options: ["--in-place"])
    }

    @Test("refuses a file that is to be updated in place while a loop device made of it is mounted")
    func mountedFile() throws {
      let file = try scratch.sparse("file", size: 64 << 20)
      try Tool.run("mkfs.ext4", "-q", file)
      let device = try scratch.loop(file)
      _ = try scratch.mount(device, at: "mnt", options: "ro,noload")
      try isRefused(file, "\(file) is in use: it backs \(device)", options: ["--in-place"])
    }

    @Test("refuses swap")
    func swap() throws {
      let device = try scratch.loop(size: 64 << 20)
      try Tool.run("mkswap", device)
      try Tool.run("swapon", device)
      scratch.atEnd { try Tool.run("swapoff", device) }
      try isRefused(device, "\(device) is in use: used as swap")
    }

    @Test("refuses a device that another program holds exclusively")
    func heldExclusively() throws {
      let device = try scratch.loop(size: 64 << 20)
      let holder = try File.open(device, [.readWrite, .exclusive])
      try isRefused(device, "\(device) is in use by another program or mount namespace")
      withExtendedLifetime(holder) {}
    }

    @Test("refuses a device that another program has locked")
    func locked() throws {
      let device = try scratch.loop(size: 64 << 20)
      let holder = try File.open(device)
      try #require(try holder.tryLock(.exclusive))
      try isRefused(device, "\(device) is locked by another program")
      withExtendedLifetime(holder) {}
    }

    @Test("refuses a device that is too small")
    func tooSmall() throws {
      let device = try scratch.loop(size: 16 << 20)
      try isRefused(device, "\(device) holds 16777216 bytes, the image has 33554432")
    }

    @Test("makes no new file among the devices", arguments: ["/dev/nosuch", "/dev/disk/nosuch"])
    func newDevice(target: String) throws {
      try ours("get", "--store=\(images.store)", images.newSliceIndex, target).fails(
        "there is no device \(target)")
      #expect(!FileManager.default.fileExists(atPath: target))
    }

    @Test("refuses a directory, and a file whose part another casync is writing")
    func directories() throws {
      try ours("get", "--store=\(images.store)", images.newSliceIndex, scratch.path).fails(
        "\(scratch.path) is no file or block device")
      let part = try scratch.sparse(".image.casync-part", size: 1)
      let holder = try File.open(part)
      try #require(try holder.tryLock(.exclusive))
      try ours("get", "--store=\(images.store)", images.newSliceIndex, scratch("image")).fails(
        "\(part) is being written by another casync")
      withExtendedLifetime(holder) {}
    }
  }
}
