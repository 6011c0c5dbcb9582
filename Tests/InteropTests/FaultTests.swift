import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// The Nth call fails, N rising until a run passes.
  @Suite("when one system call goes wrong,", .root)
  struct FaultTests {
    let scratch: Scratch
    let images: Published
    let faults: Faults

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
      faults = try Faults(scratch)
    }

    struct Fault: CustomTestStringConvertible {
      let call: Faults.Call
      let action: Faults.Action
      var testDescription: String { "\(call.rawValue): \(action)" }
    }

    static let all = [
      Fault(call: .read, action: .fail(errno: EIO)), Fault(call: .read, action: .short),
      Fault(call: .write, action: .fail(errno: EIO)), Fault(call: .write, action: .fail(errno: ENOSPC)),
      Fault(call: .write, action: .short), Fault(call: .sync, action: .fail(errno: EIO)),
      Fault(call: .rename, action: .fail(errno: ENOSPC)), Fault(call: .zero, action: .fail(errno: EIO)),
      Fault(call: .zero, action: .fail(errno: EOPNOTSUPP)),
    ]

    /// Runs a command with the fault at spread moments and once past the last, which must pass.
    /// - Parameters:
    ///   - run: the command, from the state that it is always in.
    ///   - verdict: called with how each ended; runs the command again where it failed.
    private func forEachMoment(
      of fault: Fault, run: ([String: String?]) throws -> Command,
      verdict: (Command, _ moment: String) throws -> Void
    ) throws {
      try run(faults.environment([fault.call])).succeeds()
      let total = try faults.takeReport().calls
      for number in Faults.spread(6, over: total) + [total + 1000] {
        let command = try run(faults.environment([fault.call], at: number, fault.action))
        if case .short = fault.action { try command.succeeds() }
        if number > total { try command.succeeds() }
        if command.status != 0 { command.fails() }
        try verdict(command, "\(fault.testDescription) at call \(number) of \(total)")
      }
    }

    @Test(
      "a put fails in one line, leaves nothing that is not whole, and a second one passes", arguments: all)
    func put(_ fault: Fault) throws {
      func put(_ environment: [String: String?]) throws -> Command {
        try ours(
          "put", "--store=\(scratch("castr"))", scratch("i.caibx"), images.newSlice, environment: environment)
      }
      try forEachMoment(of: fault) { environment in
        try scratch.remove("castr")
        try scratch.remove("i.caibx")
        return try put(environment)
      } verdict: { command, moment in
        if scratch.exists("i.caibx") {
          #expect(try Tool.isSame(scratch("i.caibx"), images.newSliceIndex), "\(moment)")
          try ours("get", "--store=\(scratch("castr"))", scratch("i.caibx"), "/dev/null").succeeds()
        }
        #expect(command.status != 0 || scratch.exists("i.caibx"), "\(moment)")
        if scratch.exists("castr") { try ours("check", scratch("castr")).succeeds() }
        let strays = try Tool.run("find", scratch.path, "-name", "*.tmp", "-o", "-name", ".#*")
        #expect(strays == "", "\(moment)")
        if command.status != 0 {
          try put([:]).succeeds()
          #expect(try Tool.isSame(scratch("i.caibx"), images.newSliceIndex), "\(moment)")
        }
      }
    }

    @Test("a get onto a device fails in one line, shows no image, and a second one passes", arguments: all)
    func device(_ fault: Fault) throws {
      let device = try scratch.loop(size: Published.sliceLength)
      func get(_ index: String, _ environment: [String: String?] = [:]) throws -> Command {
        try ours(
          "get", "--store=\(images.store)", "--state-dir=none", "--seed=\(images.squashfs)", index, device,
          environment: environment)
      }
      try forEachMoment(of: fault) { environment in
        try Tool.run("dd", "if=\(images.oldSlice)", "of=\(device)", "bs=4M", "status=none")
        return try get(images.newSliceIndex, environment)
      } verdict: { command, moment in
        guard command.status != 0 else {
          #expect(try Tool.isSame(images.newSlice, device), "\(moment)")
          return
        }
        let isHidden = try Command.run("blkid", ["--probe", device]).status == 2
        let isWhole = try Tool.isSame(images.newSlice, device)
        let isUntouched = try Tool.isSame(images.oldSlice, device)
        #expect(isHidden || isWhole || isUntouched, "\(moment)")
        try get(images.newSliceIndex).succeeds()
        #expect(try Tool.isSame(images.newSlice, device), "\(moment)")
      }
    }

    @Test("a get into a file fails in one line, shows no file, and a second one passes", arguments: all)
    func file(_ fault: Fault) throws {
      func get(_ environment: [String: String?] = [:]) throws -> Command {
        try ours(
          "get", "--store=\(images.store)", "--seed=\(images.oldSlice)", images.newSliceIndex,
          scratch("copy"),
          environment: environment)
      }
      try forEachMoment(of: fault) { environment in
        try scratch.remove("copy")
        try scratch.remove(".copy.casync-part")
        return try get(environment)
      } verdict: { command, moment in
        if command.status != 0 {
          // The last call is the sync of the directory, after the file got its name.
          #expect(
            try !scratch.exists("copy") || Tool.isSame(images.newSlice, scratch("copy")), "\(moment)")
          try get().succeeds()
        }
        #expect(try Tool.isSame(images.newSlice, scratch("copy")), "\(moment)")
        #expect(!scratch.exists(".copy.casync-part"), "\(moment)")
      }
    }
  }
}
