import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("with files and streams as targets,")
  struct TargetTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch()
      images = try Published.current
    }

    private func get(_ index: String, _ target: String, _ options: String...) throws -> GetReport {
      try Command.casync(["get", "--store=\(images.store)", "--json", index, target] + options).got()
    }

    @Test("makes a new file with holes for its zeros, and nothing beside it")
    func newFile() throws {
      let report = try get(images.newIndex, scratch("image"))
      #expect(try Tool.isSame(images.new, scratch("image")))
      #expect(report.bytes(from: "zero") > 100 << 20)
      let blocks = try Tool.run("stat", "--format=%b", scratch("image"))
      #expect(Int(blocks).map { $0 * 512 } ?? .max < 300 << 20)
      #expect(try scratch.names() == ["image"])
    }

    @Test("replaces a file with its old content as a seed")
    func replaced() throws {
      try scratch.slice(images.oldSlice, count: Published.sliceLength, to: "image")
      let before = try Tool.run("stat", "--format=%i", scratch("image"))
      #expect(try get(images.newSliceIndex, scratch("image")).bytes(from: "seed") > 0)
      #expect(try Tool.isSame(images.newSlice, scratch("image")))
      #expect(try Tool.run("stat", "--format=%i", scratch("image")) != before)
    }

    @Test("updates a file in place, and a longer one keeps its tail")
    func inPlace() throws {
      try Tool.run("sh", "-c", "cat '\(images.oldSlice)' '\(images.oldSlice)' > '\(scratch("image"))'")
      let report = try get(images.newSliceIndex, scratch("image"), "--in-place")
      #expect(report.bytes(from: "target") > 0)
      #expect(try Tool.isSame(images.newSlice, scratch("image"), count: Published.sliceLength))
      let tail = try Command.run(
        "cmp", ["--ignore-initial=\(Published.sliceLength):0", scratch("image"), images.oldSlice])
      #expect(tail.status == 0, "\(tail.errors)")
    }

    @Test("writes a file of odd length to its byte", arguments: [1, 511, 513, (1 << 20) + 1])
    func oddLength(length: Int) throws {
      let image = try scratch.slice(images.squashfs, count: length, to: "image")
      try ours("put", "--store=\(scratch("castr"))", scratch("i.caibx"), image).succeeds()
      try ours("get", "--store=\(scratch("castr"))", scratch("i.caibx"), scratch("copy")).succeeds()
      #expect(try Tool.isSame(image, scratch("copy")))
    }

    @Test("streams to a pipe and to a character device")
    func streams() throws {
      let words = "'\(Command.binary)' -l err get --store='\(images.store)' '\(images.newIndex)'"
      let piped = try Command.run("bash", ["-o", "pipefail", "-c", "\(words) - | cmp - '\(images.new)'"])
      #expect(piped.status == 0, "\(piped.errors)")
      try Command.run("bash", ["-c", "\(words) - > /dev/null"]).succeeds()
      try Command.run("bash", ["-c", "\(words) /dev/null"]).succeeds()
    }

    @Test("says in one line that the reader of its output has gone")
    func brokenPipe() throws {
      let run = try Command.run(
        "bash",
        [
          "-c",
          "'\(Command.binary)' get --store='\(images.store)' '\(images.newIndex)' - | head -c 1000 >/dev/null; exit ${PIPESTATUS[0]}",
        ])
      run.fails("cannot write standard output: Broken pipe")
    }

    @Test("keeps what it fetches in a cache, and looks there first")
    func cache() throws {
      let cache = "--cache=\(scratch("cache"))"
      #expect(try get(images.newSliceIndex, scratch("a"), cache).bytes(from: "cache") == 0)
      let again = try get(images.newSliceIndex, scratch("b"), cache)
      #expect(again.bytes(from: "store") == 0 && again.bytes(from: "cache") > 0)
      #expect(try Tool.isSame(images.newSlice, scratch("b")))
      try ours("check", scratch("cache")).succeeds()
    }
  }
}
