import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("asked by a signal to stop,", .root)
  struct SignalTests {
    let scratch: Scratch
    let images: Published
    let faults: Faults

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
      faults = try Faults(scratch)
    }

    /// Runs a command, stops it at one of its first writes, and lets it go on with a signal waiting.
    private func interrupt(_ words: [String], by signal: Int32, path: String) throws -> Command {
      let running = try Running(
        casync: words, environment: faults.environment([.write], at: 3, .stop, path: path))
      try #require(running.waitUntilStopped())
      running.send(signal)
      running.send(SIGCONT)
      return try running.wait()
    }

    @Test("put ends with the signal's status and leaves no temporary file", arguments: [SIGINT, SIGTERM])
    func put(signal: Int32) throws {
      let words = ["put", "--store=\(scratch("castr"))", scratch("i.caibx"), images.new]
      let run = try interrupt(words, by: signal, path: "castr")
      run.fails("interrupted", status: 128 + signal)
      #expect(run.errors.contains("the same command goes on"))
      #expect(!scratch.exists("i.caibx"))
      #expect(try Tool.run("find", scratch.path, "-name", "*.tmp", "-o", "-name", ".#*") == "")
      try ours("check", scratch("castr")).succeeds()
      try Command.casync(words).succeeds()
      #expect(try Tool.isSame(scratch("i.caibx"), images.newIndex))
    }

    @Test("get ends with the signal's status and leaves only its part", arguments: [SIGINT, SIGTERM])
    func get(signal: Int32) throws {
      let words = ["get", "--store=\(images.store)", "--json", images.newIndex, scratch("copy")]
      let run = try interrupt(words, by: signal, path: ".copy.casync-part")
      run.fails("interrupted", status: 128 + signal)
      #expect(run.errors.contains("\nhint: ") && run.errors.contains("the same command"))
      #expect(try scratch.names().filter { !$0.hasPrefix("faults.") } == [".copy.casync-part"])
      #expect(try Command.casync(words).got().skippedBytes > 0)
      #expect(try Tool.isSame(scratch("copy"), images.new))
    }

    @Test("get leaves a device without a header", arguments: [SIGINT, SIGTERM])
    func device(signal: Int32) throws {
      let device = try scratch.loop(size: 360_710_144)
      let words = ["get", "--store=\(images.store)", "--state-dir=none", images.newIndex, device]
      let run = try interrupt(words, by: signal, path: device)
      run.fails("interrupted", status: 128 + signal)
      #expect(run.errors.contains("the same command"))
      #expect(try Command.run("blkid", ["--probe", device]).status == 2)
      try Command.casync(words).succeeds()
      #expect(try Tool.isSame(device, images.new))
    }

    @Test("make and extract end with 1 and casync's message", arguments: [SIGINT, SIGTERM, SIGHUP])
    func casync2(signal: Int32) throws {
      let make = try interrupt(
        ["make", "--store=\(scratch("castr"))", scratch("i.caibx"), images.new], by: signal, path: "castr")
      make.fails("Got exit signal, quitting.")
      #expect(!scratch.exists("i.caibx"))
      let extract = try interrupt(
        ["extract", "--store=\(images.store)", images.newIndex, scratch("copy")], by: signal,
        path: ".copy.casync-part")
      extract.fails("Got exit signal, quitting.")
      #expect(!scratch.exists("copy"))
    }
  }
}
