import CasyncIO
import Testing

@testable import CasyncStore

@Suite("LocalStore, locks")
struct StoreLockTests {
  @Test("chunks are not removed while somebody adds some, and the message says who")
  func excludesRemoval() throws {
    let scratch = try Scratch()
    let store = try LocalStore(scratch.path)
    let name = (FileSystem.text("/proc/self/comm") ?? "").filter { $0 != "\n" }
    let process = FileSystem.link("/proc/self") ?? ""
    do {
      let writer = try LocalStoreWriter(store)
      let second = try LocalStoreWriter(LocalStore(scratch.path))
      let error = #expect(throws: StoreError.self) { try store.lockForRemoving() }
      #expect(error?.code == .busy)
      #expect(error?.hint == "try again when it is done")
      let text = error.map { "\($0)" } ?? ""
      #expect(text.hasPrefix("\(scratch.path): the store is being written by \(name) (process \(process))"))
      withExtendedLifetime((writer, second)) {}
    }
    _ = try store.lockForRemoving()
  }

  @Test("a writer waits for a collection to end")
  func waits() throws {
    let scratch = try Scratch()
    let store = try LocalStore(scratch.path)
    let lock = Monitor<File?>(try store.lockForRemoving())
    let order = Monitor<[String]>([])
    let threads = Threads(count: 1) {
      order.withLock { $0.append("waits") }
      guard let writer = try? LocalStoreWriter(store) else { return }
      withExtendedLifetime(writer) { order.withLock { $0.append("writes") } }
    }
    order.wait { $0.isEmpty ? nil : () }
    order.withLock { $0.append("collected") }
    lock.withLock { $0 = nil }
    threads.join()
    #expect(order.withLock { $0 } == ["waits", "collected", "writes"])
  }

  @Test("two collections exclude each other")
  func twoCollections() throws {
    let scratch = try Scratch()
    let store = try LocalStore(scratch.path)
    let lock = try store.lockForRemoving()
    #expect(throws: StoreError.self) { try store.lockForRemoving() }
    withExtendedLifetime(lock) {}
  }
}
