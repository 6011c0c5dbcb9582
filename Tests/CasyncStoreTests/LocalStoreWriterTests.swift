import CasyncFormat
import CasyncIO
import Foundation
import Testing

@testable import CasyncStore

@Suite("LocalStoreWriter")
struct LocalStoreWriterTests {
  static func writer(_ scratch: Scratch) throws -> LocalStoreWriter {
    try LocalStoreWriter(LocalStore(scratch.path, suffix: ".cacnk"))
  }

  @Test("no chunk has its name before the commit, and all have after it")
  func commit() throws {
    let scratch = try Scratch()
    let writer = try Self.writer(scratch)
    let chunks = (0..<20).map { Chunk($0) }
    for chunk in chunks {
      #expect(try writer.contains(chunk.id) == false)
      #expect(try writer.add(chunk))
      #expect(try writer.contains(chunk.id))
    }
    let names = try scratch.files()
    #expect(names.count == 20)
    let form = /([0-9a-f]{4})\/\1[0-9a-f]{60}\.[0-9a-f]{16}\.tmp/
    #expect(names.allSatisfy { $0.wholeMatch(of: form) != nil }, "\(names)")
    try writer.commit()
    #expect(try scratch.files() == chunks.map { $0.name + ".cacnk" }.sorted())
    for chunk in chunks {
      #expect(try writer.contains(chunk.id))
      let stored = try contents(scratch[chunk.name + ".cacnk"])
      #expect(try stored == chunk.compressed())
      #expect(
        try writer.store.outcome(chunk.id, .compressed) == .loaded(chunk.bytes, storedBytes: stored.count))
    }
  }

  @Test("closing makes the last batch visible")
  func close() throws {
    let scratch = try Scratch()
    let writer = try Self.writer(scratch)
    try writer.add(Chunk(1))
    try writer.commit()
    try writer.add(Chunk(2))
    try writer.close()
    #expect(try scratch.files() == [Chunk(1), Chunk(2)].map { $0.name + ".cacnk" }.sorted())
  }

  @Test("closing and committing nothing is allowed")
  func empty() throws {
    let scratch = try Scratch()
    let writer = try Self.writer(scratch)
    #expect(!writer.isCommitDue)
    try writer.commit()
    try writer.close()
    #expect(try scratch.files() == [])
  }

  @Test("a chunk that waits for its commit is not added again")
  func pending() throws {
    let scratch = try Scratch()
    let writer = try Self.writer(scratch)
    #expect(try writer.add(Chunk(1)))
    #expect(try writer.add(Chunk(1)) == false)
    #expect(try scratch.files().count == 1)
    #expect(!writer.isCommitDue)
  }

  @Test("what threads add at the same time is stored once")
  func threads() throws {
    let scratch = try Scratch()
    let writer = try Self.writer(scratch)
    let added = Monitor(0)
    let failures = Monitor<[String]>([])
    let threads = Threads(count: 4) {
      do {
        for number in 0..<100 where try writer.add(Chunk(number)) { added.withLock { $0 += 1 } }
      } catch {
        failures.withLock { $0.append("\(error)") }
      }
    }
    threads.join()
    #expect(failures.withLock { $0 } == [])
    #expect(added.withLock { $0 } == 100)
    #expect(try scratch.files().count == 100)
    try writer.close()
    #expect(try scratch.files() == (0..<100).map { Chunk($0).name + ".cacnk" }.sorted())
  }

  @Test("two writers may add the same chunk: one file stays, whole")
  func twoWriters() throws {
    let scratch = try Scratch()
    let (a, b) = (try Self.writer(scratch), try Self.writer(scratch))
    #expect(try a.add(Chunk(1)))
    #expect(try b.add(Chunk(1)))
    try a.close()
    try b.close()
    #expect(try scratch.files() == [Chunk(1).name + ".cacnk"])
    #expect(try contents(scratch[Chunk(1).name + ".cacnk"]) == Chunk(1).compressed())
  }

  @Test("a writer that is given up leaves nothing")
  func abandon() throws {
    let scratch = try Scratch()
    do {
      let writer = try Self.writer(scratch)
      for number in 0..<5 { try writer.add(Chunk(number)) }
      #expect(try scratch.files().count == 5)
    }
    #expect(try scratch.files() == [])
  }

  @Test("chunks are read-only, less the umask")
  func mode() throws {
    let scratch = try Scratch()
    let writer = try Self.writer(scratch)
    try writer.add(Chunk(1))
    try writer.close()
    let line = (FileSystem.text("/proc/self/status") ?? "").split(separator: "\n").first {
      $0.hasPrefix("Umask:")
    }
    let umask = UInt32(line?.split(separator: "\t").last ?? "", radix: 8) ?? 0
    #expect(try File.status(scratch[Chunk(1).name + ".cacnk"])?.mode == 0o444 & ~umask)
    #expect(try File.status(scratch[String(Chunk(1).name.prefix(4))])?.mode == 0o777 & ~umask)
  }

  @Test("a commit that fails leaves no torn chunk and no temporary file, and may be tried again")
  func commitFails() throws {
    let scratch = try Scratch()
    let chunks = (0..<6).map { Chunk($0) }
    let obstacle = scratch[chunks[3].name + ".cacnk"]
    do {
      let writer = try Self.writer(scratch)
      for chunk in chunks { try writer.add(chunk) }
      try FileSystem.makeDirectory(obstacle)
      #expect(throws: SystemError.self) { try writer.commit() }
      #expect(throws: SystemError.self) { try writer.close() }
      for chunk in chunks { #expect(try writer.contains(chunk.id)) }
      #expect(try scratch.files().count == 6)
    }
    #expect(try scratch.files() == chunks[..<3].map { $0.name + ".cacnk" }.sorted())
    for chunk in chunks[..<3] { #expect(try contents(scratch[chunk.name + ".cacnk"]) == chunk.compressed()) }

    let writer = try Self.writer(scratch)
    for chunk in chunks where try !writer.contains(chunk.id) { try writer.add(chunk) }
    #expect(throws: SystemError.self) { try writer.commit() }
    #expect(try FileSystem.removeEmptyDirectory(obstacle))
    try writer.close()
    #expect(try scratch.files() == chunks.map { $0.name + ".cacnk" }.sorted())
  }

  @Test("a chunk that could not be written does not count as there")
  func addFails() throws {
    let scratch = try Scratch()
    let writer = try Self.writer(scratch)
    let chunk = Chunk(1)
    try scratch.file(String(chunk.name.prefix(4)))
    #expect(throws: SystemError.self) { try writer.add(chunk) }
    #expect(try writer.contains(chunk.id) == false)
    try FileSystem.remove(scratch[String(chunk.name.prefix(4))])
    #expect(try writer.add(chunk))
    try writer.close()
    #expect(try scratch.files() == [chunk.name + ".cacnk"])
  }

  @Test("a directory that a collection removed is made again")
  func directoryGone() throws {
    let scratch = try Scratch()
    let writer = try Self.writer(scratch)
    let chunk = Chunk(1)
    try writer.add(chunk)
    try writer.commit()
    try FileManager.default.removeItem(atPath: scratch[String(chunk.name.prefix(4))])
    #expect(try writer.contains(chunk.id) == false)
    #expect(try writer.add(chunk))
    try writer.close()
    #expect(try scratch.files() == [chunk.name + ".cacnk"])
  }

  @Test("an empty file under a chunk's name is replaced")
  func replacesEmpty() throws {
    let scratch = try Scratch()
    let chunk = Chunk(1)
    try scratch.file(chunk.name + ".cacnk")
    let writer = try Self.writer(scratch)
    #expect(try writer.contains(chunk.id) == false)
    try writer.add(chunk)
    try writer.close()
    #expect(try contents(scratch[chunk.name + ".cacnk"]) == chunk.compressed())
  }

  @Test(
    "a reused chunk becomes young when it is older than half a day", arguments: [(13, true), (11, false)])
  func touch(hours: Int, becomesYoung: Bool) throws {
    let scratch = try Scratch()
    let chunk = Chunk(1)
    let name = chunk.name + ".cacnk"
    try scratch.file(name, chunk.compressed())
    try scratch.age(name, hours: hours)
    let writer = try Self.writer(scratch)
    #expect(try writer.contains(chunk.id))
    let (size, age) = try #require(try writer.store.sizeAndAge(of: name))
    #expect(size == UInt64(try chunk.compressed().count))
    #expect(becomesYoung ? age < 60 : abs(age - Int64(hours) * 3600) < 60)
  }
}
