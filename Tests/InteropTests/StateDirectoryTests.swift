import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("with a state directory,", .root)
  struct StateDirectoryTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    private func get(
      _ index: String, _ target: String, _ options: [String] = [], _ environment: [String: String?] = [:]
    ) throws -> Command {
      try Command.casync(
        ["get", "--store=\(images.store)", "--state-dir=\(scratch("state"))", "--json"] + options + [
          index, target,
        ],
        environment: environment)
    }

    @Test("keeps the index of what a device holds, and believes it when the device is a seed")
    func seedIndex() throws {
      let a = try scratch.loop(size: 2 * Published.sliceLength, "a")
      _ = try get(images.oldSliceIndex, a).got()
      let kept = try scratch.names(in: "state")
      #expect(kept.count == 1)
      #expect(try Tool.isSame(images.oldSliceIndex, scratch("state/\(kept.first ?? "")")))

      // Behind the image lies what only cutting would find.
      try Tool.run("dd", "if=\(images.newSlice)", "of=\(a)", "bs=1M", "seek=32", "status=none")
      func bytesFromSeed(_ options: String...) throws -> Int {
        let b = try scratch.loop(size: Published.sliceLength, "b-\(options.count)")
        let report = try get(images.newSliceIndex, b, ["--seed=\(a)"] + options).got()
        #expect(try Tool.isSame(images.newSlice, b))
        return report.bytes(from: "seed")
      }
      let believed = try bytesFromSeed()
      let cut = try bytesFromSeed("--state-dir=none")
      #expect(believed > 0 && believed < cut)
    }

    @Test("forgets a device before the first write to it")
    func forgotten() throws {
      let faults = try Faults(scratch)
      let device = try scratch.loop(size: Published.sliceLength)
      _ = try get(images.oldSliceIndex, device).got()
      let killed = try get(
        images.newSliceIndex, device, [], faults.environment([.write, .zero], at: 1, path: device))
      #expect(killed.status == 128 + SIGKILL)
      #expect(try scratch.names(in: "state") == [])
      _ = try get(images.newSliceIndex, device).got()
      #expect(try scratch.names(in: "state").count == 1)
    }

    @Test("cuts a device that no longer holds what its index says")
    func stale() throws {
      let device = try scratch.loop(size: Published.sliceLength)
      _ = try get(images.oldSliceIndex, device).got()
      try Tool.run("dd", "if=\(images.squashfs)", "of=\(device)", "bs=1M", "count=32", "status=none")
      let image = try scratch.slice(images.squashfs, from: 1 << 20, count: 20 << 20, to: "image")
      try ours("put", "--store=\(scratch("castr"))", scratch("i.caibx"), image).succeeds()
      let b = try scratch.loop(size: 32 << 20, "b")
      let report = try get(scratch("i.caibx"), b, ["--seed=\(device)", "--store=\(scratch("castr"))"]).got()
      #expect(report.bytes(from: "seed") > 10 << 20)
      #expect(try Tool.isSame(image, b, count: 20 << 20))
    }

    @Test("that cannot be written works without it")
    func unwritable() throws {
      let device = try scratch.loop(size: Published.sliceLength)
      try Command.casync([
        "get", "--store=\(images.store)", "--state-dir=/proc/nosuch", images.newSliceIndex, device,
      ]).succeeds()
      #expect(try Tool.isSame(images.newSlice, device))
    }
  }
}
