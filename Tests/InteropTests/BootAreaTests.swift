import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// Stopped in the middle, a device shows neither the old image nor the new one.
  @Suite("while it writes a device,", .root)
  struct BootAreaTests {
    let scratch: Scratch
    let images: Published
    let faults: Faults

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
      faults = try Faults(scratch)
    }

    /// Whether anything on the device tells that it holds an image.
    private func isRecognised(_ device: String) throws -> Bool {
      // blkid ends with 2 when it finds nothing.
      try Command.run("blkid", ["--probe", device]).status != 2
    }

    private func get(_ index: String, _ device: String, _ environment: [String: String?] = [:]) throws
      -> Command
    {
      try ours(
        "get", "--store=\(images.store)", "--state-dir=none", "--json", index, device,
        environment: environment)
    }

    @Test("shows blkid nothing from its first write to its last but one")
    func fileSystem() throws {
      let device = try scratch.loop(size: Published.sliceLength + 4096)
      _ = try get(images.oldSliceIndex, device).got()
      let total = try writes(to: device, from: images.oldSliceIndex, to: images.newSliceIndex)
      // The first write zeroes the boot area, and the last brings it back.
      for number in Faults.spread(8, over: total - 1) where number > 1 {
        _ = try get(images.oldSliceIndex, device).got()
        #expect(try isRecognised(device))
        let killed = try get(
          images.newSliceIndex, device, faults.environment([.write, .zero], at: number, path: device))
        #expect(killed.status == 128 + SIGKILL)
        #expect(try !isRecognised(device), "killed at write \(number) of \(total)")
      }
      _ = try get(images.newSliceIndex, device).got()
      #expect(try Tool.isSame(images.newSlice, device, count: Published.sliceLength))
    }

    @Test("hides both tables of a GPT")
    func partitionTable() throws {
      let image = try scratch.sparse("image", size: 24 << 20)
      try Tool.run("sh", "-c", "printf 'label: gpt\\nsize=16MiB\\n' | sfdisk --quiet '\(image)'")
      try Tool.run(
        "dd", "if=\(images.squashfs)", "of=\(image)", "bs=1M", "seek=1", "count=16", "conv=notrunc",
        "status=none")
      try ours("put", "--store=\(images.store)", scratch("i.caibx"), image).succeeds()
      let device = try scratch.loop(size: 24 << 20)
      _ = try get(scratch("i.caibx"), device).got()
      #expect(try isRecognised(device))

      try Tool.run(
        "dd", "if=/dev/zero", "of=\(image)", "bs=1M", "seek=8", "count=2", "conv=notrunc", "status=none")
      try ours("put", "--store=\(images.store)", scratch("j.caibx"), image).succeeds()
      let killed = try get(
        scratch("j.caibx"), device, faults.environment([.write, .zero], at: 3, path: device))
      #expect(killed.status == 128 + SIGKILL)
      #expect(try !isRecognised(device))
      #expect(try !sector(device, (24 << 20) - 512).contains("EFI PART"))
      _ = try get(scratch("j.caibx"), device).got()
      #expect(try Tool.isSame(image, device))
    }

    @Test("touches the boot area of no device whose body is right")
    func onlyTheHead() throws {
      let device = try scratch.loop(size: Published.sliceLength)
      _ = try get(images.newSliceIndex, device).got()
      try Tool.run("dd", "if=/dev/urandom", "of=\(device)", "bs=4096", "count=4", "seek=1", "status=none")
      let report = try get(images.newSliceIndex, device).got()
      #expect(report.writtenBytes <= 1 << 20)
      #expect(try Tool.isSame(images.newSlice, device))
    }

    private func writes(to device: String, from old: String, to new: String) throws -> Int {
      _ = try get(new, device, faults.environment([.write, .zero], path: device)).got()
      return try faults.takeReport().calls
    }

    private func sector(_ device: String, _ offset: Int) throws -> String {
      try Tool.run("sh", "-c", "tail -c +\(offset + 1) '\(device)' | head -c 512 | tr -d '\\0'")
    }
  }
}
