import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("with NBD exports of qemu-nbd,", .tools("qemu-nbd", "qemu-img"))
  struct NBDTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    /// Serves an image by qemu-nbd until the result is let go.
    private func serve(_ image: String, format: String, _ options: String...) throws -> (uri: String, Running)
    {
      let socket = scratch("socket-\(try scratch.names().count)")
      let server = try Running(
        "qemu-nbd",
        ["--persistent", "--socket=\(socket)", "--format=\(format)", "--shared=8"] + options + [image])
      guard server.wait(until: { FileManager.default.fileExists(atPath: socket) }) else {
        throw Tool.Failure("qemu-nbd: \(server.errorsSoFar)")
      }
      return ("nbd+unix:///?socket=\(socket)", server)
    }

    @Test("puts a qcow2 without reading its holes, and cuts it as the raw image is cut")
    func source() throws {
      let image = scratch("image.qcow2")
      try Tool.run("qemu-img", "convert", "-O", "qcow2", images.new, image)
      let (uri, server) = try serve(image, format: "qcow2", "--read-only")
      let report = try ours("put", "--store=\(scratch("castr"))", "--json", scratch("i.caibx"), uri).stored()
      #expect(report.size == 360_710_144)
      #expect(report.holeBytes > 100 << 20)
      #expect(try Tool.isSame(scratch("i.caibx"), images.newIndex))
      withExtendedLifetime(server) {}
    }

    @Test("gets onto an export, and onto one with old content")
    func target() throws {
      let disk = scratch("disk.qcow2")
      try Tool.run("qemu-img", "create", "-q", "-f", "qcow2", disk, "400M")
      let (uri, server) = try serve(disk, format: "qcow2", "--discard=unmap")
      func get(_ index: String) throws -> GetReport {
        try ours("get", "--store=\(images.store)", "--json", index, uri).got()
      }
      _ = try get(images.oldIndex)
      let report = try get(images.newIndex)
      #expect(report.skippedBytes > 100 << 20)
      #expect(report.bytes(from: "target") > 100 << 20)
      let again = try get(images.newIndex)
      #expect(again.writtenBytes == 0 && again.zeroedBytes == 0)
      withExtendedLifetime(server) {}
      try ours("verify", images.newIndex, uri).succeeds()
    }

    @Test("refuses an export that is read-only, or too small, or not there")
    func refusals() throws {
      let disk = try scratch.sparse("disk", size: 1 << 20)
      let (readOnly, first) = try serve(disk, format: "raw", "--read-only")
      try ours("get", "--store=\(images.store)", images.newIndex, readOnly).fails("\(readOnly) is read-only")
      let (small, second) = try serve(disk, format: "raw")
      try ours("get", "--store=\(images.store)", images.newIndex, small).fails("\(small) holds 1048576 bytes")
      try ours("get", "--store=\(images.store)", images.newIndex, "nbd+unix:///?socket=\(scratch("none"))")
        .fails()
      withExtendedLifetime((first, second)) {}
    }
  }
}
