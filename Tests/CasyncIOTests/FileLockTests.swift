import CasyncIO
import Testing

@Suite("File, locks")
struct FileLockTests {
  @Test(
    "shared locks go together, an exclusive one stands alone",
    arguments: [
      (.shared, .shared, true), (.shared, .exclusive, false), (.exclusive, .shared, false),
      (.exclusive, .exclusive, false),
    ] as [(File.Lock, File.Lock, Bool)])
  func pairs(first: File.Lock, second: File.Lock, together: Bool) throws {
    let scratch = try Scratch()
    let path = try scratch.file("file")
    let a = try File.open(path)
    let b = try File.open(path)
    #expect(try a.tryLock(first))
    #expect(try b.tryLock(second) == together)
  }

  @Test("a lock is let go with the file")
  func release() throws {
    let scratch = try Scratch()
    let path = try scratch.file("file")
    var a: File? = try File.open(path)
    let b = try File.open(path)
    #expect(try a?.tryLock(.exclusive) == true)
    #expect(try b.tryLock(.shared) == false)
    a = nil
    #expect(try b.tryLock(.shared))
  }

  @Test("a directory can be locked")
  func directory() throws {
    let scratch = try Scratch()
    let a = try File.open(scratch.path, .directory)
    let b = try File.open(scratch.path, .directory)
    #expect(try a.tryLock(.shared))
    #expect(try b.tryLock(.exclusive) == false)
  }

  @Test("waiting for a lock ends when its holder lets go")
  func wait() throws {
    let scratch = try Scratch()
    let path = try scratch.file("file")
    let held = Monitor<File?>(try File.open(path))
    #expect(try held.withLock { try $0?.tryLock(.exclusive) } == true)
    let order = Monitor<[String]>([])
    let waiter = try File.open(path)
    let threads = Threads(count: 1) {
      order.withLock { $0.append("waits") }
      guard (try? waiter.waitForLock(.exclusive)) != nil else { return }
      order.withLock { $0.append("has it") }
    }
    order.wait { $0.isEmpty ? nil : () }
    order.withLock { $0.append("lets go") }
    held.withLock { $0 = nil }
    threads.join()
    #expect(order.withLock { $0 } == ["waits", "lets go", "has it"])
  }
}
