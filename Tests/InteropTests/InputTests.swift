import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("with every kind of input,")
  struct InputTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    private func put(_ input: String, _ options: String...) throws -> PutReport {
      try Command.casync(
        ["put", "--store=\(scratch("castr"))", "--json", scratch("i.caibx"), input] + options
      ).stored()
    }

    @Test("does not read the holes of a sparse file, and names the chunks as if it had")
    func sparse() throws {
      let file = try scratch.sparse("sparse", size: 512 << 20)
      try Tool.run(
        "dd", "if=\(images.squashfs)", "of=\(file)", "bs=1M", "count=4", "seek=300", "conv=notrunc",
        "status=none")
      let report = try put(file)
      #expect(report.holeBytes == 508 << 20)
      #expect(report.zeroBytes > 507 << 20)
      try scratch.slice(scratch("i.caibx"), count: try scratch.bytes("i.caibx").count, to: "sparse.caibx")
      try Tool.run("cp", "--sparse=never", file, scratch("full"))
      #expect(try put(scratch("full")).holeBytes == 0)
      #expect(try Tool.isSame(scratch("i.caibx"), scratch("sparse.caibx")))
    }

    @Test("puts standard input, a file or a pipe, as it puts the file")
    func standardInput() throws {
      let words = "exec '\(Command.binary)' put --store='\(scratch("castr"))' '\(scratch("i.caibx"))' -"
      for shell in ["\(words) < '\(images.newSlice)'", "cat '\(images.newSlice)' | (\(words))"] {
        try Command.run("bash", ["-c", shell]).succeeds()
        #expect(try Tool.isSame(scratch("i.caibx"), images.newSliceIndex))
        try scratch.remove("i.caibx")
      }
    }

    @Test("puts a device whole, or as far as its file system or a number goes", .root)
    func device() throws {
      let device = try scratch.loop(size: 400 << 20)
      try Tool.run("dd", "if=\(images.new)", "of=\(device)", "bs=4M", "status=none")
      #expect(try put(device).size == 400 << 20)
      #expect(try put(device, "--size=filesystem").size == 360_710_144)
      #expect(try Tool.isSame(scratch("i.caibx"), images.newIndex))
      #expect(try put(device, "--size=32M").size == 32 << 20)
      #expect(try Tool.isSame(scratch("i.caibx"), images.newSliceIndex))
      // make follows casync: a device's file system, a file's whole length.
      let our = try ours("make", "--store=\(scratch("castr"))", scratch("ours.caibx"), device).succeeds()
      let their = try theirs("make", "--store=\(scratch("castr"))", scratch("theirs.caibx"), device)
        .succeeds()
      #expect(our.output == their.output)
      #expect(try Tool.isSame(scratch("ours.caibx"), scratch("theirs.caibx")))
    }

    @Test("stores nothing twice")
    func twice() throws {
      #expect(try put(images.newSlice).newChunks > 0)
      let again = try put(images.newSlice)
      #expect(again.newChunks == 0 && again.newBytes == 0)
    }
  }
}
