import CasyncIO
import Testing

@Suite("Monitor")
struct MonitorTests {
  @Test("whoever waits is woken by the change it waits for")
  func wait() {
    let monitor = Monitor(0)
    let threads = Threads(count: 3) {
      for _ in 0..<100 { monitor.withLock { $0 += 1 } }
    }
    #expect(monitor.wait { $0 == 300 ? $0 : nil } == 300)
    threads.join()
  }

  @Test("a waiter's own change wakes the next")
  func chain() {
    let turn = Monitor(0)
    let next = Monitor(0)
    let threads = Threads(count: 4) {
      let mine = next.withLock { number in
        defer { number += 1 }
        return number
      }
      turn.wait { value -> Void? in
        guard value == mine else { return nil }
        value += 1
        return ()
      }
    }
    threads.join()
    #expect(turn.withLock { $0 } == 4)
  }

  @Test("an error under the lock lets it go")
  func errors() {
    struct Odd: Error {}
    let monitor = Monitor(1)
    #expect(throws: Odd.self) { try monitor.withLock { _ in throw Odd() } }
    #expect(monitor.withLock { $0 } == 1)
  }
}

@Suite("Fifo")
struct FifoTests {
  @Test("items leave in the order in which they came", arguments: Generator.seeds(10))
  func order(seed: UInt64) {
    var generator = Generator(seed: seed)
    var fifo = Fifo<Int>()
    var model: [Int] = []
    for number in 0..<3000 {
      if Int.random(in: 0..<5, using: &generator) < (number < 1500 ? 3 : 2) {
        fifo.append(number)
        model.append(number)
      } else {
        #expect(fifo.popFirst() == (model.isEmpty ? nil : model.removeFirst()))
      }
      #expect(fifo.count == model.count)
      #expect(fifo.isEmpty == model.isEmpty)
      #expect(fifo.first == model.first)
    }
  }

  @Test("an item is let go when it leaves")
  func release() {
    final class Item {}
    var fifo = Fifo<Item>()
    weak var first: Item?
    do {
      let item = Item()
      first = item
      fifo.append(item)
      fifo.append(Item())
    }
    _ = fifo.popFirst()
    #expect(first == nil)
  }
}

@Suite("WorkerPool")
struct WorkerPoolTests {
  final class Context: Sendable {
    let used = Monitor(0)
  }

  @Test("one can wait for whichever job ends first")
  func either() throws {
    try WorkerPool.with(count: 2, context: {}) { pool in
      let gate = Monitor(false)
      let slow = pool.submit { _ in gate.wait { $0 ? () : nil } }
      let quick = pool.submit { _ in 1 }
      pool.wait { slow.isFinished || quick.isFinished }
      #expect(!slow.isFinished)
      #expect(quick.isFinished)
      gate.withLock { $0 = true }
      pool.wait { slow.isFinished }
      // Of what holds already nobody waits for a job to end.
      pool.wait { true }
    }
  }

  @Test("each job gives its own result, whichever thread ran it", arguments: [1, 2, 7])
  func results(count: Int) throws {
    let numbers = try WorkerPool.with(count: count, context: {}) { pool in
      let jobs = (0..<200).map { number in pool.submit { _ in number * 2 } }
      return try jobs.map { try $0.wait() }
    }
    #expect(numbers == (0..<200).map { $0 * 2 })
  }

  @Test("one thread runs jobs in the order they were submitted")
  func order() throws {
    let seen = Monitor<[Int]>([])
    try WorkerPool.with(count: 1, context: {}) { pool in
      let jobs = (0..<100).map { number in pool.submit { _ in seen.withLock { $0.append(number) } } }
      for job in jobs { try job.wait() }
    }
    #expect(seen.withLock { $0 } == Array(0..<100))
  }

  @Test("a job's error comes out where its result is awaited, and spoils no other")
  func errors() throws {
    struct Odd: Error, Equatable { let number: Int }
    try WorkerPool.with(count: 2, context: {}) { pool in
      let jobs = (0..<20).map { number in
        pool.submit { _ in if number % 3 == 0 { throw Odd(number: number) } }
      }
      for (number, job) in jobs.enumerated() {
        if number % 3 == 0 {
          #expect(throws: Odd(number: number)) { try job.wait() }
        } else {
          try job.wait()
        }
        #expect(job.isFinished)
      }
    }
  }

  @Test("a thread makes one context and lends it to each of its jobs")
  func contexts() throws {
    let made = Monitor<[Context]>([])
    let context: @Sendable () -> Context = {
      let context = Context()
      made.withLock { $0.append(context) }
      return context
    }
    try WorkerPool.with(count: 3, context: context) { pool in
      let jobs = (0..<60).map { _ in pool.submit { context in context.used.withLock { $0 += 1 } } }
      for job in jobs { try job.wait() }
    }
    let contexts = made.withLock { $0 }
    #expect(contexts.count == 3)
    #expect(contexts.reduce(0) { $0 + $1.used.withLock { $0 } } == 60)
  }

  @Test("when the body throws, what has not started is dropped, and what has is waited for")
  func drop() {
    struct Odd: Error {}
    let started = Monitor(0)
    let finished = Monitor(0)
    let gate = Monitor(false)
    #expect(throws: Odd.self) {
      try WorkerPool.with(count: 1, context: {}) { pool in
        _ = pool.submit { _ in
          started.withLock { $0 += 1 }
          gate.wait { $0 ? () : nil }
          finished.withLock { $0 += 1 }
        }
        for _ in 0..<10 { _ = pool.submit { _ in started.withLock { $0 += 1 } } }
        started.wait { $0 > 0 ? () : nil }
        let opener = Threads(count: 1) { gate.withLock { $0 = true } }
        defer { opener.join() }
        throw Odd()
      }
    }
    #expect(finished.withLock { $0 } == 1)
    #expect(started.withLock { $0 } >= 1)
  }

  @Test("there is at least one processor")
  func processors() {
    #expect(WorkerPool<Void>.processorCount >= 1)
  }
}

@Suite("BufferPool")
struct BufferPoolTests {
  @Test("no more buffers are lent than the pool has")
  func capacity() {
    let pool = BufferPool(bufferLength: 100, capacity: 2)
    let first = pool.take()
    let second = pool.take()
    #expect(first?.buffer.count == 100)
    #expect(second != nil)
    #expect(first?.buffer !== second?.buffer)
    #expect(pool.take() == nil)
  }

  @Test("a buffer is lent again once its last reference is gone, as it was left")
  func reuse() {
    let pool = BufferPool(bufferLength: 8, capacity: 1)
    var lease = pool.take()
    var other = lease
    lease?.buffer.copy(buffer([5]).bytes, to: 0)
    let first = lease?.buffer
    lease = nil
    #expect(pool.take() == nil)
    withExtendedLifetime(other) {}
    other = nil
    let again = pool.take()
    #expect(again?.buffer === first)
    #expect(again.map { contents($0.buffer, 0..<1) } == [5])
  }

  @Test("waiting ends when a buffer comes back")
  func wait() {
    let pool = BufferPool(bufferLength: 8, capacity: 1)
    let lease = Monitor(pool.take())
    let got = Monitor(false)
    let threads = Threads(count: 1) {
      let next = pool.waitForOne()
      withExtendedLifetime(next) { got.withLock { $0 = true } }
    }
    #expect(got.withLock { $0 } == false)
    lease.withLock { $0 = nil }
    threads.join()
    #expect(got.withLock { $0 })
  }
}

@Suite("Cancellation")
struct CancellationTests {
  @Test("everybody who holds it learns of it")
  func cancel() throws {
    let cancellation = Cancellation()
    #expect(!cancellation.isCancelled)
    try cancellation.check()
    Threads(count: 1) { cancellation.cancel() }.join()
    #expect(cancellation.isCancelled)
    #expect(throws: CancellationError.self) { try cancellation.check() }
  }
}
