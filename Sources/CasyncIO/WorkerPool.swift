internal import CLinux
internal import Glibc

/// A fixed number of threads that run jobs in the order they were submitted.
///
/// Each thread makes a `Context` of its own (digest and compression states, buffers) and lends it to every
/// job it runs. The pool holds no bound of its own: whoever submits keeps count of what is under way, in
/// bytes.
package final class WorkerPool<Context>: Sendable {
  private struct Queue {
    var jobs = Fifo<@Sendable (Context) -> Void>()
    var closed = false
  }

  private let queue = Monitor(Queue())
  /// How many jobs have ended.
  private let ended = Monitor(0)
  private let threads: Threads

  private init(count: Int, context: @escaping @Sendable () -> Context) {
    let (queue, ended) = (queue, ended)
    threads = Threads(count: count) {
      let context = context()
      while let job = Self.next(queue) {
        job(context)
        ended.withLock { $0 += 1 }
      }
    }
  }

  /// The number of processors this process may use.
  package static var processorCount: Int {
    var set = cpu_set_t()
    // SAFETY: the kernel fills the set, whose size is given.
    guard unsafe sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &set) == 0 else { return 1 }
    return max(1, Int(unsafe casync_cpu_count(&set)))
  }

  /// Runs `body` with a pool of `count` threads, which are gone when it returns.
  ///
  /// Jobs that have not started when `body` ends (it threw, then) are dropped.
  package static func with<Result>(
    count: Int, context: @escaping @Sendable () -> Context, _ body: (WorkerPool) throws -> Result
  ) throws -> Result {
    let pool = WorkerPool(count: count, context: context)
    defer {
      pool.queue.withLock { $0.closed = true }
      pool.threads.join()
    }
    return try body(pool)
  }

  /// Queues `body` for the next free thread. Does not block.
  package func submit<Value: Sendable>(_ body: @escaping @Sendable (Context) throws -> Value) -> Job<Value> {
    let job = Job<Value>()
    queue.withLock { queue in
      queue.jobs.append { context in job.finish(Result { try body(context) }) }
    }
    return job
  }

  /// Waits until `condition` holds, which is asked now and whenever a job has ended. Blocks.
  package func wait(until condition: () -> Bool) {
    var seen = ended.withLock { $0 }
    while !condition() { seen = ended.wait { $0 == seen ? nil : $0 } }
  }

  private static func next(_ queue: Monitor<Queue>) -> (@Sendable (Context) -> Void)? {
    queue.wait { queue -> (@Sendable (Context) -> Void)?? in
      if queue.closed { return .some(nil) }
      return queue.jobs.popFirst().map { .some($0) }
    }
  }
}

/// A result that a worker will have.
package final class Job<Value: Sendable>: Sendable {
  private let result = Monitor<Result<Value, any Error>?>(nil)

  fileprivate init() {}

  fileprivate func finish(_ value: Result<Value, any Error>) {
    result.withLock { $0 = value }
  }

  /// The result, once it is there. Blocks.
  package func wait() throws -> Value {
    try result.wait { $0 }.get()
  }

  /// Whether the result is there.
  package var isFinished: Bool { result.withLock { $0 != nil } }
}

/// Threads that all run one body.
///
/// `@unchecked Sendable`: the handles are written in `init` and read in `join` only.
@safe package final class Threads: @unchecked Sendable {
  private var handles: [pthread_t] = []

  /// Starts `count` threads.
  package init(count: Int, _ body: @escaping @Sendable () -> Void) {
    for _ in 0..<count {
      var handle: pthread_t = 0
      let box = unsafe Unmanaged.passRetained(Body(run: body))
      // SAFETY: the thread takes over the one reference that the box holds.
      let status = unsafe pthread_create(&handle, nil, Self.main, box.toOpaque())
      precondition(status == 0, "the system has no thread left")
      handles.append(handle)
    }
  }

  private static let main: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = {
    argument in
    guard let argument = unsafe argument else { return nil }
    // SAFETY: the argument is the box that `init` passed, with its reference.
    unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
    return nil
  }

  /// Waits until every body has returned.
  package func join() {
    for handle in handles { pthread_join(handle, nil) }
    handles = []
  }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(run: @escaping @Sendable () -> Void) { self.run = run }
  }
}
