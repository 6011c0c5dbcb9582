import CasyncIO
import Foundation
import TestSupport
import Testing

@testable import Casync

@Suite("A profile of reads")
struct ProfileTests {
  let scratch: Scratch
  let image: [UInt8]

  init() throws {
    scratch = try Scratch()
    var random = Generator(seed: 9)
    image = random.bytes(400_000) + [UInt8](repeating: 0, count: 200_000) + random.bytes(400_000)
    try scratch.put(image)
  }

  private func keeping(_ prefetch: Prefetch) -> ImageReader.Keeping {
    var keeping = ImageReader.Keeping()
    keeping.profile = scratch("profile")
    keeping.prefetch = prefetch
    return keeping
  }

  private func positions() throws -> [Int] {
    try String(contentsOfFile: scratch("profile"), encoding: .utf8).split(separator: "\n").dropFirst()
      .map { try #require(Int($0)) }
  }

  @Test("has the order in which chunks were first read, and grows with each run")
  func order() throws {
    let index = try scratch.index()
    try scratch.withDisk(keeping: keeping(.none)) { disk in
      for offset: UInt64 in [900_000, 0, 900_000, 500_000, 300_000] {
        _ = try disk.bytes(offset..<offset + 1)
      }
    }
    let first = [900_000, 0, 300_000].map { index.position(of: $0) }
    #expect(try positions() == first)
    try scratch.withDisk(keeping: keeping(.none)) { disk in
      for offset: UInt64 in [0, 700_000] { _ = try disk.bytes(offset..<offset + 1) }
    }
    #expect(try positions() == first + [index.position(of: 700_000)])
  }

  @Test("is fetched before it is asked for, and nothing else is")
  func replay() throws {
    try scratch.withDisk(keeping: keeping(.none)) { _ = try $0.bytes(600_000..<800_000) }
    let count = try positions().count
    try scratch.withDisk(keeping: keeping(.profile)) { disk in
      while disk.image.supply.summary.fetchedChunks < count { sched_yield() }
      _ = try disk.bytes(600_000..<800_000)
      #expect(disk.image.supply.summary.fetchedChunks == count)
      #expect(disk.image.supply.summary.stall == .zero)
    }
  }

  @Test("loses only its last line to a kill", arguments: ["12", "x\n", "\0\0\0\0", "99999999\n", "-1\n"])
  func torn(_ tail: String) throws {
    try scratch.withDisk(keeping: keeping(.none)) { _ = try $0.bytes(0..<100_000) }
    let whole = try Data(contentsOf: URL(filePath: scratch("profile")))
    try (whole + Data(tail.utf8)).write(to: URL(filePath: scratch("profile")))
    try scratch.withDisk(keeping: keeping(.profile)) { _ in }
    #expect(try Data(contentsOf: URL(filePath: scratch("profile"))) == whole)
    // Killed while the first line was written.
    try whole.prefix(20).write(to: URL(filePath: scratch("profile")))
    try scratch.withDisk(keeping: keeping(.profile)) { _ = try $0.bytes(0..<100_000) }
    #expect(try Data(contentsOf: URL(filePath: scratch("profile"))) == whole)
  }

  @Test("of another image, or what is none, is refused and left alone")
  func refusals() throws {
    try scratch.put([UInt8](repeating: 1, count: 500_000), "other")
    try scratch.withDisk(keeping: keeping(.none)) { _ = try $0.bytes(0..<1) }
    #expect(throws: JobError.self) { try scratch.withDisk("other", keeping: keeping(.none)) { _ in } }
    try Data("something else".utf8).write(to: URL(filePath: scratch("profile")))
    #expect(throws: JobError.self) { try scratch.withDisk(keeping: keeping(.none)) { _ in } }
    #expect(try Data(contentsOf: URL(filePath: scratch("profile"))) == Data("something else".utf8))
  }

  @Test("prefetches no more than memory keeps")
  func budget() {
    var plan = PrefetchPlan(.all, profile: [5, 7], count: 100, budget: 40)
    #expect(plan.next(3, isIdle: false) { _ in 10 } == [5, 7])
    #expect(plan.next(3, isIdle: false) { _ in 10 } == [])
    #expect(plan.next(9, isIdle: true) { $0 == 0 ? nil : 10 } == [1, 2])
    #expect(plan.isDone)
    #expect(PrefetchPlan(.none, profile: [1], count: 10, budget: 9).isDone)
  }
}
