import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// What a power cut must not undo, by the order of the system calls.
  @Suite("durable before visible,", .tools("strace"))
  struct DurabilityTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    /// Runs the program and lists its calls that make things durable or visible, in the order in which they
    /// began.
    private func calls(_ words: String...) throws -> [String] {
      let log = scratch("log")
      let run = try Command.run(
        "strace",
        [
          "-f", "-y", "-qq", "-s", "0", "-o", log, "-e", "trace=rename,syncfs,fsync,fdatasync,pwrite64", "-e",
          "signal=none",
          Command.binary,
        ] + words)
      try run.succeeds()
      let text = try String(contentsOfFile: log, encoding: .utf8)
      return text.split(separator: "\n").filter { !$0.contains(" resumed>") }.map(String.init)
    }

    @Test("chunks get their names after a sync, the index after another, the directory is synced last")
    func put() throws {
      let calls = try calls("put", "--store=\(scratch("castr"))", scratch("i.caibx"), images.newSlice)
      let chunk = try #require(calls.firstIndex { $0.contains("rename(") && $0.contains(".cacnk\"") })
      let lastChunk = try #require(calls.lastIndex { $0.contains("rename(") && $0.contains(".cacnk\"") })
      let index = try #require(calls.firstIndex { $0.contains("rename(") && $0.contains("/i.caibx\"") })
      #expect(calls[..<chunk].contains { $0.contains("syncfs") })
      #expect(lastChunk < index)
      #expect(calls[lastChunk..<index].contains { $0.contains("syncfs") })
      #expect(calls[..<index].contains { $0.contains("fsync") && $0.contains("/.#i.caibx") })
      #expect(calls[index...].contains { $0.contains("fsync") && $0.contains("<\(scratch.path)>") })
    }

    @Test("a file gets its name after it is synced, and then its directory is")
    func file() throws {
      let calls = try calls("get", "--store=\(images.store)", images.newSliceIndex, scratch("copy"))
      let name = try #require(calls.firstIndex { $0.contains("rename(") && $0.contains("/copy\"") })
      let lastWrite = try #require(calls.lastIndex { $0.contains("pwrite64(") })
      #expect(lastWrite < name)
      #expect(calls[lastWrite..<name].contains { $0.contains("sync(") && $0.contains(".copy.casync-part>") })
      #expect(calls[name...].contains { $0.contains("fsync(") && $0.contains("<\(scratch.path)>") })
    }

    @Test("a device is flushed between its boot area, its body and its boot area", .root)
    func device() throws {
      let device = try scratch.loop(size: Published.sliceLength)
      try Tool.run("dd", "if=\(images.oldSlice)", "of=\(device)", "bs=4M", "status=none")
      let calls = try calls(
        "get", "--store=\(images.store)", "--state-dir=none", images.newSliceIndex, device
      )
      .filter { $0.contains("<\(device)") }
      let body = { (call: String) in call.contains("pwrite64(") && Self.offset(call) >= 1 << 20 }
      let first = try #require(calls.firstIndex(where: body))
      let last = try #require(calls.lastIndex(where: body))
      let header = try #require(calls.lastIndex { $0.contains("pwrite64(") })
      #expect(calls[..<first].contains { $0.contains("pwrite64(") })
      #expect(calls[..<first].contains { $0.contains("sync(") })
      #expect(!calls[first..<last].contains { $0.contains("pwrite64(") && !body($0) })
      #expect(calls[last].contains("pwrite64(") && calls[last + 1].contains("sync("))
      #expect(Self.offset(calls[header]) == 0)
      #expect(calls[header...].contains { $0.contains("sync(") })
    }

    /// The offset of a pwrite: `…, ""..., 4096, 1048576) = 4096`.
    private static func offset(_ call: String) -> Int {
      let arguments = call.components(separatedBy: "\"..., ").last ?? ""
      return Int(arguments.components(separatedBy: ", ").last?.prefix { $0.isNumber } ?? "") ?? -1
    }
  }
}
