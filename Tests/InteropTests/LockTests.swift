import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("sharing a store with others,")
  struct LockTests {
    let scratch: Scratch
    let images: Published
    let faults: Faults

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
      faults = try Faults(scratch)
    }

    /// A put that stands still in the middle.
    private func stoppedPut() throws -> Running {
      let put = try Running(
        casync: ["put", "--store=\(scratch("castr"))", scratch("a.caibx"), images.newSlice],
        environment: faults.environment([.write], at: 10, .stop, path: "castr"))
      try #require(put.waitUntilStopped())
      return put
    }

    @Test("a put keeps collections and repairs out, which say who it is")
    func removing() throws {
      let store = scratch("castr")
      try ours("put", "--store=\(store)", scratch("old.caibx"), images.oldSlice).succeeds()
      let put = try stoppedPut()
      for words in [["gc", "--store=\(store)", scratch("old.caibx")], ["check", "--repair", store]] {
        try Command.casync(words).fails(
          "\(store): the store is being written by casync (process \(put.identifier)")
      }
      try ours("check", store).succeeds()
      put.send(SIGCONT)
      try put.wait().succeeds()
      try ours("get", "--store=\(store)", scratch("a.caibx"), "/dev/null").succeeds()
    }

    @Test("two puts of the same image both succeed")
    func twoPuts() throws {
      let put = try stoppedPut()
      try ours("put", "--store=\(scratch("castr"))", scratch("b.caibx"), images.newSlice).succeeds()
      put.send(SIGCONT)
      try put.wait().succeeds()
      #expect(try Tool.isSame(scratch("a.caibx"), scratch("b.caibx")))
      try ours("check", scratch("castr")).succeeds()
      #expect(try Tool.run("find", scratch("castr"), "-name", "*.tmp") == "")
    }

    @Test("a put refreshes the time of a chunk that it reuses, so that gc's grace covers it")
    func refreshed() throws {
      let store = scratch("castr")
      try ours("put", "--store=\(store)", scratch("a.caibx"), images.newSlice).succeeds()
      try Tool.run("find", store, "-name", "*.cacnk", "-exec", "touch", "-d", "3 days ago", "{}", "+")
      let old = ["find", store, "-name", "*.cacnk", "-mtime", "+1"]
      #expect(try Command.run("env", old).output != "")
      try ours("put", "--store=\(store)", scratch("b.caibx"), images.newSlice).succeeds()
      #expect(try Command.run("env", old).output == "")
    }

    @Test("gc spares chunks younger than its grace")
    func grace() throws {
      let store = "--store=\(scratch("castr"))"
      try ours("put", store, scratch("old.caibx"), images.oldSlice).succeeds()
      try ours("put", store, scratch("new.caibx"), images.newSlice).succeeds()
      try ours("gc", store, "--grace=24h", scratch("old.caibx")).succeeds()
      try ours("get", store, scratch("new.caibx"), "/dev/null").succeeds()
      try ours("gc", store, scratch("old.caibx")).succeeds()
      try ours("get", store, scratch("old.caibx"), "/dev/null").succeeds()
      try ours("get", store, scratch("new.caibx"), "/dev/null").fails("cannot get chunk ")
    }
  }
}
