import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// SIGKILL at moments spread over all the calls that change anything, on the real images.
  @Suite("killed at any moment,", .root)
  struct KillTests {
    let scratch: Scratch
    let images: Published
    let faults: Faults

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
      faults = try Faults(scratch)
    }

    @Test("a put leaves only whole chunks and no index, and a second one stores the rest")
    func put() throws {
      func put(_ environment: [String: String?] = [:]) throws -> Command {
        try ours(
          "put", "--store=\(scratch("castr"))", "--json", scratch("i.caibx"), images.new,
          environment: environment)
      }
      // The store holds an older image already; a collection brings it back to that.
      let old = scratch("old.caibx")
      try ours("put", "--store=\(scratch("castr"))", old, images.old).succeeds()
      let before = try chunkCount()
      let calls: [Faults.Call] = [.write, .sync, .rename]
      let whole = try put(faults.environment(calls)).stored()
      let total = try faults.takeReport().calls
      for number in Faults.spread(30, over: total - 4) {
        try ours("gc", "--store=\(scratch("castr"))", old).succeeds()
        try scratch.remove("i.caibx")
        #expect(try put(faults.environment(calls, at: number)).status == 128 + SIGKILL)
        #expect(!scratch.exists("i.caibx"), "killed at call \(number) of \(total)")
        let kept = try chunkCount() - before
        try ours("check", scratch("castr")).succeeds()

        let second = try put().stored()
        #expect(second.newChunks == whole.newChunks - kept, "killed at call \(number) of \(total)")
        #expect(try Tool.isSame(scratch("i.caibx"), images.newIndex))
      }
      try ours("check", scratch("castr")).succeeds()
    }

    private func chunkCount() throws -> Int {
      Int(try Tool.run("sh", "-c", "find \"$1\" -name '*.cacnk' | wc -l", "-", scratch("castr"))) ?? 0
    }

    @Test("a get onto a device shows no image, and a second one fetches only what was missing")
    func get() throws {
      // Half of the moments on a device with an older image, half on an empty one.
      for old in [images.old, nil] {
        let device = try scratch.loop(size: 360_710_144, old == nil ? "empty" : "disk")
        func reset() throws {
          try Tool.run("blkdiscard", "--zeroout", device)
          if let old {
            try Tool.run("dd", "if=\(old)", "of=\(device)", "bs=4M", "conv=sparse", "status=none")
          }
        }
        func get(_ environment: [String: String?] = [:]) throws -> Command {
          try ours(
            "get", "--store=\(images.store)", "--state-dir=none", "--json", images.newIndex, device,
            environment: environment)
        }
        let calls: [Faults.Call] = [.write, .zero]
        try reset()
        _ = try get(faults.environment(calls, path: device)).got()
        let total = try faults.takeReport().calls
        for number in Faults.spread(15, over: total) {
          try reset()
          #expect(try get(faults.environment(calls, at: number, path: device)).status == 128 + SIGKILL)
          // Before the first write the old image stands, and it is whole.
          let isHidden = try Command.run("blkid", ["--probe", device]).status == 2
          #expect(isHidden || number == 1, "killed at write \(number) of \(total)")
          let missing = try differingBytes(device)

          let report = try get().got()
          #expect(try Tool.isSame(images.new, device))
          #expect(
            report.bytes(from: "store") <= missing + (65 << 20), "killed at write \(number) of \(total)")
        }
      }
    }

    @Test("a get into a file goes on in its part, and fetches no more than a window again")
    func file() throws {
      func get(_ environment: [String: String?] = [:]) throws -> Command {
        try ours(
          "get", "--store=\(images.store)", "--json", images.newIndex, scratch("copy"),
          environment: environment)
      }
      let whole = try get(faults.environment([.write], path: ".copy.casync-part")).got()
      let total = try faults.takeReport().calls
      for number in Faults.spread(6, over: total) {
        try scratch.remove("copy")
        #expect(
          try get(faults.environment([.write], at: number, path: ".copy.casync-part")).status == 128 + SIGKILL
        )
        #expect(!scratch.exists("copy"))
        let done =
          Int(try Tool.run("stat", "--format=%b", scratch(".copy.casync-part"))).map { $0 * 512 } ?? 0
        let report = try get().got()
        #expect(report.bytes(from: "store") <= whole.bytes(from: "store") - done + (65 << 20))
        #expect(try Tool.isSame(images.new, scratch("copy")))
        #expect(!scratch.exists(".copy.casync-part"))
      }
    }

    /// Bytes of chunks on the device that are not the new image's.
    private func differingBytes(_ device: String) throws -> Int {
      struct Report: Decodable {
        struct Difference: Decodable { let length: Int }
        let differences: [Difference]
      }
      let run = try ours("verify", "--json", images.newIndex, device)
      return try JSONDecoder().decode(Report.self, from: Data(run.output.utf8)).differences
        .reduce(0) { $0 + $1.length }
    }
  }
}
