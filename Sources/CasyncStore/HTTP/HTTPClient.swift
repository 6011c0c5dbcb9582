internal import CasyncIO
internal import Synchronization

// How an answer comes about:
//
//     start → mailbox → queue → exchange (libcurl) → 2xx: the body; 404: not there; 401, 403: refused
//                         ↑                        ↘ reset, truncated, 408, 429, 5xx: again, after a pause
//                         └──────── pause ─────────┘
//
// All exchanges are carried on by one thread, `HTTPLoop`. A request that somebody waits for goes before the
// others.

/// What a request came to, after all its tries.
enum HTTPAnswer: Sendable {
  case found(HTTPResponse)
  case missing
  /// It is what the request said is known already.
  case unchanged
  case failed(StoreError.Code, String)
  case cancelled
}

/// A client for HTTP and HTTPS: many requests at one time, over few connections. All calls may be made by any
/// thread.
final class HTTPClient: Sendable {
  private let mailbox: HTTPMailbox
  private let thread: Threads

  init(_ settings: ConnectionSettings, _ cancellation: Cancellation, _ traffic: Traffic) {
    let mailbox = HTTPMailbox(connections: settings.connections)
    self.mailbox = mailbox
    thread = Threads(count: 1) { HTTPLoop(mailbox, settings, cancellation, traffic).run() }
  }

  deinit {
    mailbox.stop()
    thread.join()
  }

  /// Queues a request. Does not block.
  /// - Parameters:
  ///   - cost: bytes of memory that the answer may take until its ticket is gone.
  ///   - onMiss: called when the answer is that it is not there, before anybody hears of it; must not block.
  func start(
    _ request: HTTPRequest, cost: Int, onMiss: (@Sendable () -> Void)? = nil
  ) -> HTTPTicket {
    let task = HTTPTask(request, cost: cost, onMiss: onMiss)
    mailbox.post(.start(task))
    return HTTPTicket(task, mailbox)
  }
}

/// A request that was made. When nobody has the ticket any more the request is given up.
final class HTTPTicket: Sendable {
  private let task: HTTPTask
  private let mailbox: HTTPMailbox

  fileprivate init(_ task: HTTPTask, _ mailbox: HTTPMailbox) {
    self.task = task
    self.mailbox = mailbox
  }

  deinit { mailbox.post(.release(task)) }

  /// Whether it was only asked for something.
  var isQuestion: Bool { task.isQuestion }

  /// The answer. Blocks.
  func wait() -> HTTPAnswer {
    if let answer = task.answer.withLock({ $0 }) { return answer }
    mailbox.post(.hurry(task))
    return task.answer.wait { $0 }
  }
}

/// What other threads tell the loop.
final class HTTPMailbox: Sendable {
  enum Letter: Sendable {
    case start(HTTPTask)
    /// Somebody waits for it.
    case hurry(HTTPTask)
    /// Nobody wants it.
    case release(HTTPTask)
  }

  private struct State {
    var letters: [Letter] = []
    var isStopped = false
  }

  private let state = Mutex(State())
  let multi: CurlMulti

  init(connections: Int) { multi = CurlMulti(connections: connections) }

  func post(_ letter: Letter) {
    state.withLock { $0.letters.append(letter) }
    multi.wake()
  }

  func stop() {
    state.withLock { $0.isStopped = true }
    multi.wake()
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

/// A request on its way through its tries.
///
/// `@unchecked Sendable`: everything but `answer` and what never changes is the loop's.
final class HTTPTask: @unchecked Sendable {
  enum Phase {
    case queued, active(CurlTransfer), paused, done
  }

  let cost: Int
  let isQuestion: Bool
  /// Scheme, host and port.
  let origin: String
  let answer = Monitor<HTTPAnswer?>(nil)

  var request: HTTPRequest
  /// What `request` was at first, before redirects.
  let location: String
  var redirects = 0
  var onMiss: (@Sendable () -> Void)?
  var phase = Phase.queued
  var isUrgent = false
  /// Whether its cost is counted as held.
  var isCharged = false
  var tries = 0
  /// Bytes of a cut download that are there.
  var received = 0
  var due = ContinuousClock.now

  fileprivate init(_ request: HTTPRequest, cost: Int, onMiss: (@Sendable () -> Void)?) {
    self.request = request
    self.cost = cost
    isQuestion = request.method == .get || request.method == .head
    self.onMiss = onMiss
    location = request.url
    origin = Self.origin(request.url)
  }

  /// Scheme, host and port of a URL.
  static func origin(_ url: String) -> String {
    let (server, _) = split(url)
    guard let slashes = server.firstRange(of: "://"), let at = server.lastIndex(of: "@") else {
      return String(server)
    }
    return String(server[..<slashes.upperBound] + server[server.index(after: at)...])
  }

  /// A URL in two: with its user, up to the end of host and port; the rest.
  private static func split(_ url: String) -> (server: Substring, rest: Substring) {
    let host = url.firstRange(of: "://").map { $0.upperBound } ?? url.startIndex
    let end = url[host...].firstIndex { "/?;".contains($0) } ?? url.endIndex
    return (url[..<end], url[end...])
  }

  /// Asks at `url` instead: a place of the same server, with the user that was named, or another one.
  func redirect(to url: String) {
    redirects += 1
    request.isElsewhere = Self.origin(url) != origin
    request.url = request.isElsewhere ? url : String(Self.split(location).server + Self.split(url).rest)
  }

  /// Forgets redirects.
  func restore() {
    redirects = 0
    request.isElsewhere = false
    request.url = location
  }
}
