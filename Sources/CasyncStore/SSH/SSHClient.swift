internal import CasyncFormat
internal import CasyncIO
internal import Synchronization

// How an answer comes about:
//
//     start → mailbox → queue → REQUEST to `casync pull` on the host → CHUNK, MISSING
//                        ↑                                  ↘ cut: what was asked for goes back
//                        └────── pause, a new connection ────┘
//
// All of it is carried on by one thread, `SSHLoop`, that also starts and ends ssh. What somebody waits for
// goes before the rest.

/// What is read from a host: an index, a store, or both by one connection.
struct SSHTarget: Sendable {
  var address: SSHAddress
  var index: String?
  var archive: String?
  var store: String?
  var programs: SSHAddress.Programs
  /// As messages call it.
  var name: String
}

/// What a wish came to, after all tries.
enum SSHAnswer: Sendable {
  case chunk([UInt8], isCompressed: Bool)
  /// An index or archive.
  case file([UInt8])
  case missing
  case failed(StoreError.Code, String, hint: String?)
  case cancelled
}

/// A client of `casync pull` on another host. All calls may be made by any thread.
final class SSHClient: Sendable {
  let target: SSHTarget
  private let mailbox: SSHMailbox
  private let thread: Threads

  init(
    _ target: SSHTarget, _ settings: ConnectionSettings, _ cancellation: Cancellation, _ traffic: Traffic
  ) throws {
    let mailbox = SSHMailbox(poller: try Poller())
    self.target = target
    self.mailbox = mailbox
    thread = Threads(count: 1) { SSHLoop(target, mailbox, settings, cancellation, traffic).run() }
  }

  deinit {
    mailbox.stop()
    thread.join()
  }

  /// Puts a wish in line. Does not block.
  /// - Parameters:
  ///   - cost: bytes of memory that the answer may take until its ticket is gone.
  ///   - onMiss: called when there is no such chunk, before anybody hears of it; must not block.
  func start(
    _ wish: SSHTask.Wish, cost: Int, onMiss: (@Sendable () -> Void)? = nil
  ) -> SSHTicket {
    let task = SSHTask(wish, cost: cost, onMiss: onMiss)
    mailbox.post(.start(task))
    return SSHTicket(task, mailbox)
  }
}

/// A wish that was told. When nobody has the ticket any more it is given up.
final class SSHTicket: Sendable {
  private let task: SSHTask
  private let mailbox: SSHMailbox

  fileprivate init(_ task: SSHTask, _ mailbox: SSHMailbox) {
    self.task = task
    self.mailbox = mailbox
  }

  deinit { mailbox.post(.release(task)) }

  /// The answer. Blocks.
  func wait() -> SSHAnswer {
    if let answer = task.answer.withLock({ $0 }) { return answer }
    mailbox.post(.hurry(task))
    return task.answer.wait { $0 }
  }
}

/// What other threads tell the loop.
final class SSHMailbox: Sendable {
  enum Letter: Sendable {
    case start(SSHTask)
    /// Somebody waits for it.
    case hurry(SSHTask)
    /// Nobody wants it.
    case release(SSHTask)
  }

  private struct State {
    var letters: [Letter] = []
    var isStopped = false
  }

  private let state = Mutex(State())
  let poller: Poller

  init(poller: Poller) { self.poller = poller }

  func post(_ letter: Letter) {
    let isFirst = state.withLock { state in
      state.letters.append(letter)
      return state.letters.count == 1
    }
    if isFirst { poller.wake() }
  }

  func stop() {
    state.withLock { $0.isStopped = true }
    poller.wake()
  }

  /// The letters so far; `nil` when it is time to end.
  func take() -> [Letter]? {
    state.withLock { state in
      guard !state.isStopped else { return nil }
      defer { state.letters = [] }
      return state.letters
    }
  }
}

/// A wish on its way through its tries.
///
/// `@unchecked Sendable`: everything but `answer` and what never changes is the loop's.
final class SSHTask: @unchecked Sendable {
  enum Wish: Sendable {
    case chunk(ChunkID)
    /// The index, or the archive, of the target.
    case file(limit: Int)
  }

  enum Phase {
    case queued, asked, done
  }

  let wish: Wish
  let cost: Int
  let answer = Monitor<SSHAnswer?>(nil)

  var onMiss: (@Sendable () -> Void)?
  var phase = Phase.queued
  var isUrgent = false
  /// Whether its cost is counted as held.
  var isCharged = false

  fileprivate init(_ wish: Wish, cost: Int, onMiss: (@Sendable () -> Void)?) {
    self.wish = wish
    self.cost = cost
    self.onMiss = onMiss
  }
}
