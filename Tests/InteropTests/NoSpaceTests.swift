import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("on a full file system,", .root)
  struct NoSpaceTests {
    let scratch: Scratch
    let images: Published
    let disk: String

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
      let device = try scratch.loop(size: 96 << 20)
      try Tool.run("mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", device)
      disk = try scratch.mount(device, at: "mnt")
      // Some MiB are left: room for a part of what comes.
      let free = try Tool.run("stat", "--file-system", "--format=%a %S", disk).split(separator: " ")
        .compactMap {
          Int($0)
        }
      try Tool.run("fallocate", "--length=\(free[0] * free[1] - (6 << 20))", "\(disk)/filler")
    }

    @Test("a put says so in one line, leaves nothing half done, and completes when there is room")
    func put() throws {
      let words = ["put", "--store=\(disk)/castr", "\(disk)/i.caibx", images.newSlice]
      let run = try Command.casync(words)
      // A chunk or the directory for it, whichever comes to it first.
      run.fails("cannot ")
      #expect(run.errors.contains(": No space left on device\n"))
      try ours("check", "\(disk)/castr").succeeds()
      #expect(
        try Tool.run("find", disk, "-name", "*.tmp", "-o", "-name", ".#*", "-o", "-name", "*.caibx") == "")
      try Tool.run("rm", "\(disk)/filler")
      try Command.casync(words).succeeds()
      #expect(try Tool.isSame("\(disk)/i.caibx", images.newSliceIndex))
    }

    @Test("a get says so in one line, keeps its part, and goes on from there when there is room")
    func get() throws {
      let words = ["get", "--store=\(images.store)", "--json", images.newSliceIndex, "\(disk)/image"]
      let run = try Command.casync(words)
      run.fails("cannot write \(disk)/.image.casync-part")
      #expect(run.errors.contains(": No space left on device\n"))
      #expect(
        run.errors.contains(
          "hint: what is done is kept in \(disk)/.image.casync-part: the same command goes on"))
      try Tool.run("rm", "\(disk)/filler")
      let report = try Command.casync(words).got()
      #expect(report.skippedBytes > 0)
      #expect(try Tool.isSame("\(disk)/image", images.newSlice))
    }
  }
}
