import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("on a file system that shares blocks,", .root, .tools("mkfs.xfs"))
  struct ReflinkTests {
    let scratch: Scratch
    let images: Published
    let disk: String

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
      let device = try scratch.loop(size: 1536 << 20)
      try Tool.run("mkfs.xfs", "-q", "-m", "reflink=1", device)
      disk = try scratch.mount(device, at: "mnt")
      try Tool.run("cp", "--sparse=always", images.old, "\(disk)/old")
    }

    private func get(_ options: String..., environment: [String: String?] = [:]) throws -> GetReport {
      try Command.casync(
        ["get", "--store=\(images.store)", "--seed=\(disk)/old", "--json", images.newIndex, "\(disk)/new"]
          + options,
        environment: environment
      ).got()
    }

    @Test("clones what a seed holds at the same place in a block, and copies it when told to")
    func clone() throws {
      let free = try freeBytes()
      #expect(try get().clonedBytes > 20 << 20)
      #expect(try Tool.isSame("\(disk)/new", images.new))
      let takenByClones = try free - freeBytes()
      try Tool.run("rm", "\(disk)/new")

      #expect(try get("--reflink=no").clonedBytes == 0)
      #expect(try Tool.isSame("\(disk)/new", images.new))
      #expect(try takenByClones < free - freeBytes())
    }

    @Test("hashes what it cloned, not what the seed held before")
    func changingSeed() throws {
      let faults = try Faults(scratch)
      let running = try Running(
        casync: [
          "get", "--store=\(images.store)", "--seed=\(disk)/old", "--json", images.newIndex, "\(disk)/new",
        ], environment: faults.environment([.write], at: 1, .stop, path: ".new.casync-part"))
      #expect(running.waitUntilStopped())
      try Tool.run(
        "dd", "if=/dev/urandom", "of=\(disk)/old", "bs=1M", "seek=50", "count=250", "conv=notrunc",
        "status=none")
      running.send(SIGCONT)
      _ = try running.wait().got()
      #expect(try Tool.isSame("\(disk)/new", images.new))
    }

    private func freeBytes() throws -> Int {
      try Tool.run("sync", "--file-system", disk)
      return try Int(Tool.run("stat", "--file-system", "--format=%f", disk)).map { $0 * 4096 } ?? 0
    }
  }
}
