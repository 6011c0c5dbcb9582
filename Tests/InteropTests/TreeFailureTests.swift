import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// Extraction that does not come to its end.
  @Suite("extract of a tree, when it is ended or fails,", .root)
  struct TreeFailureTests {
    let scratch: Scratch
    let faults: Faults
    let digest: String

    init() throws {
      scratch = try Scratch()
      faults = try Faults(scratch)
      let script = Repository.path("Tests/Vectors/tree/make-rich-tree.py")
      try Tool.run("python3", script, scratch("in"))
      try Tool.run("sh", Repository.path("Tests/Vectors/tree/make-tree.sh"), scratch("in/tree"))
      try Tool.run("dd", "if=/dev/urandom", "of=\(scratch("in/big"))", "bs=64K", "count=40", "status=none")
      try ours("make", "--store=\(scratch("castr"))", scratch("i.caidx"), scratch("in")).succeeds()
      digest = try ours("digest", scratch("i.caidx"), "--store=\(scratch("castr"))").output
    }

    private func extract(_ environment: [String: String?] = [:]) throws -> Command {
      try ours(
        "extract", "--store=\(scratch("castr"))", "--undo-immutable=yes", scratch("i.caidx"), scratch("out"),
        environment: environment)
    }

    /// Removes what was extracted, also where it is protected.
    private func reset() throws {
      guard scratch.exists("out") else { return }
      try Tool.run("mkdir", "-p", scratch("none"))
      try ours("make", scratch("none.catar"), scratch("none")).succeeds()
      try ours("extract", "--undo-immutable=yes", scratch("none.catar"), scratch("out")).succeeds()
      try Tool.run("rmdir", scratch("out"))
    }

    private func isWhole() throws -> Bool {
      let names = try Tool.run("find", scratch("out"), "-name", ".#*")
      return try names.isEmpty && ours("digest", scratch("out")).output == digest
    }

    @Test("killed at any moment, leaves only whole files, and a second run completes the tree")
    func killed() throws {
      let calls: [Faults.Call] = [.write, .sync, .rename]
      try extract(faults.environment(calls)).succeeds()
      #expect(try isWhole())
      let total = try faults.takeReport().calls
      #expect(total > 50)
      for number in Faults.spread(24, over: total - 2) {
        try reset()
        #expect(try extract(faults.environment(calls, at: number)).status == 128 + SIGKILL)
        if scratch.exists("out/big") { #expect(try Tool.isSame(scratch("in/big"), scratch("out/big"))) }
        try extract().succeeds()
        #expect(try isWhole(), "killed at call \(number) of \(total)")
      }
    }

    @Test("says in one line which call failed, leaves no temporary name, and is completed by a second run")
    func failing() throws {
      for call in [Faults.Call.write, .sync, .rename] {
        try reset()
        _ = try extract(faults.environment([call]))
        let total = try faults.takeReport().calls
        for number in Faults.spread(6, over: total) {
          try reset()
          let run = try extract(faults.environment([call], at: number, .fail(errno: ENOSPC)))
          run.fails("cannot ")
          #expect(run.errors.contains("No space left on device"))
          #expect(try Tool.run("find", scratch("out"), "-name", ".#*") == "", "\(call) \(number)")
          try extract().succeeds()
          #expect(try isWhole())
        }
      }
    }
  }
}
