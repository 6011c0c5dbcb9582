import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("shows an image as a file by FUSE that", .root)
  struct ImageFileTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    private func show(_ index: String, store: String? = nil, _ more: String...) throws -> Mounted {
      let store = store ?? images.store
      return try Mounted(
        ["mkdev", "--store=\(store)", "--fuse=\(scratch("disk"))"] + more + [index], at: [scratch("disk")],
        scratch)
    }

    @Test("a loop device takes, with the image's file system on it")
    func loop() throws {
      let shown = try show(images.newIndex)
      #expect(try Tool.isSame(scratch("disk"), images.new))
      let a = try scratch.mount(scratch("disk"), at: "a", options: "ro,loop,noload")
      let b = try scratch.mount(images.new, at: "b", options: "ro,loop,noload")
      #expect(try Tool.run("diff", "-r", "--no-dereference", "\(a)/etc", "\(b)/etc") == "")
      #expect(try Command.run("touch", [scratch("disk")]).status != 0)
      try Tool.run("umount", a)
      let end = try shown.end()
      #expect(end.status == 0 && end.output == "Mounted: \(scratch("disk"))\n")
      #expect(!scratch.exists("disk"))
    }

    @Test("ends when it is unmounted, with those who use it when it is told to, and says so")
    func ends() throws {
      let first = try show(images.newSliceIndex)
      try Tool.run("umount", scratch("disk"))
      #expect(try first.program.wait().status == 0)
      #expect(!scratch.exists("disk"))

      let second = try show(images.newSliceIndex)
      let user = try FileHandle(forReadingFrom: URL(fileURLWithPath: scratch("disk")))
      let end = try second.end()
      #expect(end.status == 0 && end.errors.contains("is still in use"))
      try user.close()
      #expect(!scratch.exists("disk"))
    }

    @Test("a killed server leaves, and the next replaces")
    func killed() throws {
      _ = try show(images.newSliceIndex).end(SIGKILL)
      #expect(try Command.run("stat", [scratch("disk")]).errors.contains("not connected"))
      let shown = try show(images.newSliceIndex)
      #expect(try Tool.isSame(scratch("disk"), images.newSlice))
      #expect(try shown.end().status == 0)
    }

    @Test("hides nothing, stands beside a socket, and is one for each image")
    func files() throws {
      try scratch.write([1], to: "full")
      try ours("mkdev", "--store=\(images.store)", "--fuse=\(scratch("full"))", images.newIndex)
        .fails("will not mount on")
      try ours(
        "mkdev", "--store=\(images.store)", "--fuse=\(scratch("a"))", "--fuse=\(scratch("b"))",
        images.newIndex
      ).fails("--fuse= is given 2 times for 1 images")

      try scratch.write([], to: "empty")
      let shown = try Mounted(
        [
          "mkdev", "--store=\(images.store)", "--fuse=\(scratch("disk"))", "--fuse=\(scratch("empty"))",
          "--socket=\(scratch("socket"))", images.newSliceIndex, images.oldSliceIndex,
        ], at: [scratch("disk"), scratch("empty")], scratch)
      #expect(try Tool.isSame(scratch("disk"), images.newSlice))
      #expect(try Tool.isSame(scratch("empty"), images.oldSlice))
      #expect(
        try Tool.run("nbdinfo", "--size", "nbd+unix:///?socket=\(scratch("socket"))")
          == "\(Published.sliceLength)")
      #expect(try shown.end().status == 0)
      #expect(!scratch.exists("disk") && scratch.exists("empty"))
    }

    @Test("fails the reads that need a missing chunk, and no others")
    func missing() throws {
      try Tool.run("cp", "-r", images.store, scratch("castr"))
      let chunk = try chunkOfItsOwn()
      try scratch.remove("castr/\(chunk.id.prefix(4))/\(chunk.id).cacnk")
      let shown = try show(images.newSliceIndex, store: scratch("castr"))
      #expect(try Tool.isSame(scratch("disk"), images.newSlice, count: 1 << 20))
      let read = try Command.run(
        "dd", ["if=\(scratch("disk"))", "of=/dev/null", "bs=512", "skip=\(chunk.offset / 512)", "count=1"])
      #expect(read.errors.contains("Input/output error"))
      let end = try shown.end()
      #expect(end.status == 0 && end.errors.contains("cannot get chunk \(chunk.id)"))
    }

    private struct Chunk: Decodable {
      let id: String
      let offset: Int
      let length: Int
    }

    /// A chunk of the slice behind its first MiB that holds more than zeros and stands in one place only.
    private func chunkOfItsOwn() throws -> Chunk {
      let lines = try ours("list-chunks", "--json", images.newSliceIndex).succeeds().output
      let chunks = try lines.split(separator: "\n").map {
        try JSONDecoder().decode(Chunk.self, from: Data($0.utf8))
      }
      let image = try Data(contentsOf: URL(fileURLWithPath: images.newSlice))
      return try #require(
        chunks.first { chunk in
          chunk.offset > 1 << 20 && chunks.count { $0.id == chunk.id } == 1
            && image[chunk.offset..<chunk.offset + chunk.length].contains { $0 != 0 }
        })
    }
  }
}
