import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("with seeds that lie,")
  struct SeedTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    @Test("loses only fetches by a seed that changes under it")
    func changing() throws {
      let faults = try Faults(scratch)
      try Tool.run("cp", images.old, scratch("seed"))
      let get = ["get", "--store=\(images.store)", "--seed=\(scratch("seed"))", "--json", images.newIndex]
      let whole = try Command.casync(get + [scratch("copy")]).got()
      try scratch.remove("copy")

      // The first write into the target comes after planning.
      let running = try Running(
        casync: get + [scratch("copy")],
        environment: faults.environment([.write], at: 1, .stop, path: ".copy.casync-part"))
      #expect(running.waitUntilStopped())
      try Tool.run(
        "dd", "if=/dev/urandom", "of=\(scratch("seed"))", "bs=1M", "seek=100", "count=200", "conv=notrunc",
        "status=none")
      running.send(SIGCONT)
      let report = try running.wait().got()
      #expect(report.bytes(from: "seed") < whole.bytes(from: "seed"))
      #expect(report.bytes(from: "store") > whole.bytes(from: "store"))
      #expect(try Tool.isSame(images.new, scratch("copy")))
    }

    @Test("is not misled by the index of another image")
    func wrongIndex() throws {
      for index in [images.newIndex, images.newSliceIndex, images.oldSliceIndex] {
        try ours(
          "get", "--store=\(images.store)", "--seed=\(images.old)", "--seed-index=\(index)", images.newIndex,
          scratch("copy")
        ).succeeds()
        #expect(try Tool.isSame(images.new, scratch("copy")))
        try scratch.remove("copy")
      }
    }

    @Test("says which seed is not there, and in which index it cannot trust")
    func missing() throws {
      try ours(
        "get", "--store=\(images.store)", "--seed=\(scratch("none"))", images.newSliceIndex, scratch("copy")
      ).fails("cannot open \(scratch("none")): No such file or directory")
      try scratch.write([1, 2, 3], to: "bad.caibx")
      try ours(
        "get", "--store=\(images.store)", "--seed=\(images.old)", "--seed-index=\(scratch("bad.caibx"))",
        images.newSliceIndex, scratch("copy")
      ).fails("\(scratch("bad.caibx")): the index is cut short at byte 3")
      #expect(!scratch.exists("copy") && !scratch.exists(".copy.casync-part"))
    }

    @Test("does without a damaged index that only lies beside its seed, and says so")
    func damagedBeside() throws {
      try scratch.write([1, 2, 3], to: "bad.caibx")
      try Tool.run("ln", "-s", images.old, scratch("bad"))
      let command = try ours(
        "get", "--store=\(images.store)", "--seed=\(scratch("bad"))", images.newSliceIndex, scratch("copy")
      ).succeeds()
      #expect(command.errors.contains("warning: \(scratch("bad.caibx")): the index is cut short at byte 3"))
      #expect(try Tool.isSame(images.newSlice, scratch("copy")))
    }
  }
}
