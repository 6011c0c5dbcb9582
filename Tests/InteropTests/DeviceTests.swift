import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("on loop devices,", .root)
  struct DeviceTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    private func get(_ index: String, _ target: String, _ options: String...) throws -> GetReport {
      try Command.casync(
        ["get", "--store=\(images.store)", "--state-dir=none", "--json", index, target] + options
      ).got()
    }

    private static let imageLength = 360_710_144

    @Test("gets slot A, then slot B with A as its seed, with and without A's index")
    func slots() throws {
      let a = try scratch.loop(size: Self.imageLength, "a")
      #expect(try get(images.oldIndex, a).bytes(from: "seed") == 0)
      #expect(try Tool.isSame(images.old, a))

      for options in [["--seed=\(a)"], ["--seed=\(a)", "--seed-index=\(images.oldIndex)"]] {
        let b = try scratch.loop(size: Self.imageLength, "b\(options.count)")
        let report = try Command.casync(
          ["get", "--store=\(images.store)", "--state-dir=none", "--json"] + options + [images.newIndex, b]
        ).got()
        #expect(report.bytes(from: "seed") > report.bytes(from: "store") * 3)
        #expect(report.verifiedBytes == Self.imageLength)
        #expect(try Tool.isSame(images.new, b))
        let mounted = try scratch.mount(b, at: "mnt", options: "ro")
        let original = try scratch.mount(images.new, at: "original", options: "ro,loop")
        try Tool.run(
          "diff", "--recursive", "--no-dereference", "--brief", "\(original)/etc", "\(mounted)/etc")
        try Tool.run("umount", mounted)
        try Tool.run("umount", original)
      }
    }

    @Test("writes nothing where nothing differs")
    func nothingToDo() throws {
      let device = try scratch.loop(size: Self.imageLength + 4096)
      _ = try get(images.newIndex, device)
      try Tool.run("sync", device)
      let before = try written(device)
      let report = try get(images.newIndex, device)
      #expect(report.writtenBytes == 0 && report.zeroedBytes == 0 && report.verifiedBytes == 0)
      #expect(report.skippedBytes == report.size)
      #expect(try written(device) == before)
    }

    /// Sectors written and discarded (Documentation/block/stat.rst: fields 7 and 14).
    private func written(_ device: String) throws -> [Substring] {
      let name = device.split(separator: "/").last ?? ""
      let fields = try String(contentsOfFile: "/sys/block/\(name)/stat", encoding: .utf8).split(
        separator: " ")
      return [fields[6], fields[13]]
    }

    @Test(
      "leaves the bytes past the image's end alone, however long the image is", arguments: [512, 4096])
    func bytesBehind(sectorSize: Int) throws {
      for length in [5 << 20, (5 << 20) + 1, (5 << 20) + 511, (5 << 20) + 2048, 1 << 20, 700_001, 1] {
        let image = try scratch.slice(images.squashfs, count: length, to: "image")
        try ours("put", "--store=\(scratch("castr"))", scratch("i.caibx"), image).succeeds()
        let size = 8 << 20
        let ones = try scratch.write([UInt8](repeating: 0xa5, count: size), to: "ones")
        let disk = try scratch.write([UInt8](repeating: 0xa5, count: size), to: "disk-\(length)")
        let device = try scratch.loop(disk, "--sector-size", "\(sectorSize)")
        try ours(
          "get", "--store=\(scratch("castr"))", "--state-dir=none", scratch("i.caibx"), device
        ).succeeds()
        #expect(try Tool.isSame(image, device, count: length))
        let rest = try Command.run("cmp", ["--ignore-initial=\(length)", ones, device])
        #expect(rest.status == 0, "\(length): \(rest.output)")
        try scratch.remove("i.caibx")
      }
    }

    @Test("makes zeros of what was something else, beside bytes that stay")
    func zeroRuns() throws {
      var image = [UInt8](repeating: 0, count: 48 << 20)
      let data = try Array(Data(contentsOf: URL(fileURLWithPath: images.squashfs)).prefix(3 << 20))
      image.replaceSubrange((2 << 20) + 100..<(5 << 20) + 100, with: data)
      image.replaceSubrange((40 << 20) + 1..<(43 << 20) + 1, with: data)
      try scratch.write(image, to: "image")
      try ours("put", "--store=\(scratch("castr"))", scratch("i.caibx"), scratch("image")).succeeds()
      let device = try scratch.loop(
        scratch.write([UInt8](repeating: 0xff, count: image.count), to: "disk"))
      let report = try ours(
        "get", "--store=\(scratch("castr"))", "--state-dir=none", "--json", scratch("i.caibx"), device
      ).got()
      #expect(report.zeroedBytes > 30 << 20)
      #expect(try Tool.isSame(scratch("image"), device))
    }

    /// What becomes of an image: a shell command that gets the image as `$1` and writes the new one.
    static let moves = [
      "head -c 1M /dev/urandom; cat $1": 4 << 20,
      "tail -c +1000001 $1": 1 << 20,
      "head -c 20M $1; tail -c +30000001 $1; head -c 1M /dev/urandom": 4 << 20,
      // What is needed last is overwritten first: it is held in memory as far as the bound goes.
      "tail -c +8388609 $1; head -c 8M $1": 2 << 20,
    ]

    @Test("takes content that has moved from the target's old content", arguments: moves)
    func moved(command: String, fetched: Int) throws {
      let device = try scratch.loop(size: 96 << 20)
      try Tool.run("dd", "if=\(images.squashfs)", "of=\(device)", "bs=1M", "status=none")
      try Tool.run("sh", "-c", "set -- '\(images.squashfs)'; (\(command)) > '\(scratch("image"))'")
      try ours("put", "--store=\(scratch("castr"))", scratch("i.caibx"), scratch("image")).succeeds()
      let report = try ours(
        "get", "--store=\(scratch("castr"))", "--state-dir=none", "--json", scratch("i.caibx"), device
      ).got()
      #expect(report.bytes(from: "target") + report.skippedBytes > 40 << 20)
      #expect(report.bytes(from: "store") < fetched)
      #expect(try Tool.isSame(scratch("image"), device, count: report.size))
    }

    @Test("takes no chunk that moved when told not to seed from the target")
    func notFromTarget() throws {
      let device = try scratch.loop(size: 64 << 20)
      _ = try get(images.oldSliceIndex, device)
      let report = try get(images.newSliceIndex, device, "--seed-output=no")
      #expect(report.bytes(from: "target") == 0)
      #expect(try Tool.isSame(images.newSlice, device, count: Published.sliceLength))
    }

    @Test("refuses a GPT for sectors of 512 bytes on a disk of 4096, unless forced")
    func sectorSizes() throws {
      try ours("put", "--store=\(scratch("castr"))", scratch("disk.caibx"), images.disk).succeeds()
      let device = try scratch.loop(size: 400 << 20, sectorSize: 4096)
      let words = ["get", "--store=\(scratch("castr"))", "--state-dir=none", scratch("disk.caibx"), device]
      try Command.casync(words).fails(
        "the image's partition table is for sectors of 512 bytes, \(device) has 4096")
      #expect(try Tool.isSame("/dev/zero", device, count: 400 << 20))
      try Command.casync(words + ["--force"]).succeeds()
      #expect(try Tool.isSame(images.disk, device, count: 396_361_728))
    }

    @Test("takes one partition of a disk image onto a partition")
    func partition() throws {
      try ours("put", "--store=\(scratch("castr"))", scratch("disk.caibx"), images.disk).succeeds()
      let disk = try scratch.write([UInt8](repeating: 0x5a, count: 400 << 20), to: "disk")
      let device = try scratch.loop(disk, "--offset", "\(3 << 20)", "--sizelimit", "\(380 << 20)")
      try ours(
        "get", "--store=\(scratch("castr"))", "--state-dir=none", "--partition=2", scratch("disk.caibx"),
        device
      ).succeeds()
      #expect(try Tool.isSame(images.new, device, count: Self.imageLength))
      try ours(
        "get", "--store=\(scratch("castr"))", "--partition=3", scratch("disk.caibx"), scratch("file")
      ).fails("\(scratch("disk.caibx")): the image has no partition 3")
    }

    @Test("tells of the backup of another partition table that the image does not reach")
    func staleBackup() throws {
      let device = try scratch.loop(size: 64 << 20)
      try Tool.run("sh", "-c", "echo 'label: gpt' | sfdisk --quiet '\(device)'")
      let report = try get(images.newSliceIndex, device)
      #expect(
        report.warnings.contains {
          $0.hasPrefix("\(device) still has the backup of another partition table at its end")
        })
    }

    @Test("takes a seed that is mounted, as the running root is")
    func mountedSeed() throws {
      let a = try scratch.loop(size: Self.imageLength, "a")
      try Tool.run("dd", "if=\(images.old)", "of=\(a)", "bs=4M", "status=none")
      _ = try scratch.mount(a, at: "root", options: "ro")
      let b = try scratch.loop(size: Self.imageLength, "b")
      #expect(try get(images.newIndex, b, "--seed=\(a)").bytes(from: "seed") > 100 << 20)
      #expect(try Tool.isSame(images.new, b))
    }

    @Test("finds by reading back that a write was lost", arguments: [2, 5, 10])
    func lostWrite(number: Int) throws {
      let faults = try Faults(scratch)
      let device = try scratch.loop(size: Published.sliceLength)
      try ours(
        "get", "--store=\(images.store)", "--state-dir=none", images.newSliceIndex, device,
        environment: faults.environment([.write], at: number, .lost, path: device)
      ).fails("\(device) does not hold what was written to it at bytes ")
      _ = try get(images.newSliceIndex, device)
      #expect(try Tool.isSame(images.newSlice, device))
    }

    @Test("does not read back with --no-verify")
    func noVerify() throws {
      let device = try scratch.loop(size: Published.sliceLength)
      #expect(try get(images.newSliceIndex, device, "--no-verify").verifiedBytes == 0)
      #expect(try Tool.isSame(images.newSlice, device))
    }
  }
}
