internal import CasyncIO
internal import Glibc

/// The thread that carries on all exchanges of a client.
///
/// The number of exchanges at one time starts small and grows by one with each answer as long as there is
/// more to ask, so that it doubles in the time of a round trip; a server that is overloaded or does not
/// answer makes it shrink. The bytes that answers may take until they are used are bounded too; what somebody
/// waits for is exempt, so that what holds the bytes cannot wait for what they keep back.
struct HTTPLoop {
  /// Connections to one server that does not multiplex.
  static let connectionLimit = 24
  /// Exchanges at one time with servers that do: what they commonly allow.
  private static let streamLimit = 128
  private static let firstWindow = 8.0
  private static let smallestWindow = 4.0
  /// Bytes that answers may take until they are used.
  private static let heldLimit = 16 << 20
  private static let redirectLimit = 8
  private static let longestRetryAfter = Duration.seconds(60)

  private let mailbox: HTTPMailbox
  private let settings: ConnectionSettings
  private let cancellation: Cancellation
  private let traffic: Traffic
  private let clock = ContinuousClock()

  private var queue = Fifo<HTTPTask>()
  private var urgent = Fifo<HTTPTask>()
  private var paused: [HTTPTask] = []
  private var active: [ObjectIdentifier: HTTPTask] = [:]
  private var idle: [CurlTransfer] = []
  private var held = 0
  private var window = Self.firstWindow
  private var mayMultiplex = false
  private var lastShrink = ContinuousClock.now
  /// Origins that have answered.
  private var answered: Set<String> = []
  /// For the rate limit: when the next exchange may start, and how long answers are.
  private var nextStart = ContinuousClock.now
  private var usualLength = 16_384.0

  init(
    _ mailbox: HTTPMailbox, _ settings: ConnectionSettings, _ cancellation: Cancellation, _ traffic: Traffic
  ) {
    self.traffic = traffic
    self.mailbox = mailbox
    self.settings = settings
    self.cancellation = cancellation
  }

  /// Runs until the mailbox is stopped.
  consuming func run() {
    // A server that closes a connection must not end the program.
    var signals = sigset_t()
    // SAFETY: the set is initialised by the call before it is used.
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGPIPE)
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    while let letters = mailbox.take() {
      for letter in letters { read(letter) }
      if cancellation.isCancelled { giveUpAll() }
      startWhatMay()
      var ended = [(CurlTransfer, HTTPOutcome)]()
      mailbox.multi.perform { ended.append(($0, $1)) }
      for (transfer, outcome) in ended { end(transfer, outcome) }
      if ended.isEmpty { mailbox.multi.wait(pause) }
    }
    giveUpAll()
  }

  private mutating func read(_ letter: HTTPMailbox.Letter) {
    switch letter {
    case .start(let task): queue.append(task)
    case .hurry(let task):
      guard case .queued = task.phase, !task.isUrgent else { return }
      task.isUrgent = true
      urgent.append(task)
    case .release(let task): release(task)
    }
  }

  /// How long nothing is to be done unless something happens.
  private var pause: Duration {
    // Idle, it is woken by a letter; at work it also looks whether it is to stop.
    var pause = active.isEmpty && paused.isEmpty && queue.isEmpty ? Duration.seconds(60) : .milliseconds(100)
    for task in paused { pause = min(pause, clock.now.duration(to: task.due)) }
    if settings.rateLimit != nil { pause = min(pause, clock.now.duration(to: nextStart)) }
    return max(.milliseconds(1), pause)
  }

  // MARK: Starting

  private mutating func startWhatMay() {
    let now = clock.now
    if paused.contains(where: { $0.due <= now }) {
      let due = paused.filter { $0.due <= now }
      paused.removeAll { $0.due <= now }
      for task in due { start(task) }
    }
    while active.count < Int(window), nextStart <= now {
      if let task = urgent.popFirst() {
        if case .queued = task.phase { start(task) }
      } else if let task = queue.first {
        guard case .queued = task.phase else {
          _ = queue.popFirst()
          continue
        }
        guard held == 0 || held + task.cost <= Self.heldLimit else { return }
        _ = queue.popFirst()
        start(task)
      } else {
        return
      }
    }
  }

  private mutating func start(_ task: HTTPTask) {
    let transfer = idle.popLast() ?? CurlTransfer()
    transfer.prepare(task.request, settings)
    task.request.partial = nil
    task.phase = .active(transfer)
    task.tries += 1
    if !task.isCharged { held += task.cost }
    task.isCharged = true
    active[ObjectIdentifier(transfer)] = task
    delayNextStart(by: usualLength)
    mailbox.multi.add(transfer)
  }

  private mutating func delayNextStart(by length: Double) {
    guard let rate = settings.rateLimit, rate > 0 else { return }
    nextStart = max(clock.now, nextStart) + .seconds(length / Double(rate))
  }

  // MARK: Ending

  private mutating func end(_ transfer: CurlTransfer, _ outcome: HTTPOutcome) {
    guard let task = active.removeValue(forKey: ObjectIdentifier(transfer)) else { return }
    traffic.add(transfer.receivedBytes)
    let remainder = transfer.remainder
    if idle.count < Self.connectionLimit { idle.append(transfer) }
    switch outcome {
    case .failed(let reason, isTransient: true, let isOverload):
      // When it got on, that try does not count.
      if let remainder, remainder.bytes.count > task.received { task.tries = min(task.tries, 1) }
      keep(remainder, for: task)
      retry(task, reason, after: nil, isOverload: isOverload)
    case .failed(let reason, isTransient: false, _):
      finish(task, .failed(.unreachable, reason))
    case .response(let response):
      keep(remainder, for: task)
      end(task, response)
    }
  }

  private func keep(_ remainder: (bytes: [UInt8], validator: String)?, for task: HTTPTask) {
    task.request.partial = remainder
    task.received = remainder?.bytes.count ?? 0
  }

  private mutating func end(_ task: HTTPTask, _ response: HTTPResponse) {
    if response.isMultiplexed { mayMultiplex = true }
    switch response.status {
    case 200, 201, 204, 206:
      answered.insert(task.origin)
      grow()
      let length = Double(response.body.count)
      if settings.rateLimit != nil { delayNextStart(by: length - usualLength) }
      usualLength = usualLength * 0.9 + length * 0.1
      finish(task, .found(response))
    case 404, 410:
      answered.insert(task.origin)
      grow()
      finish(task, .missing)
    case 401, 403, 407:
      let who = response.status == 407 ? "the proxy" : "the server"
      let reason = "\(who) refuses access (status \(response.status))"
      finish(task, .failed(.denied, reason + Self.detail(task, response)))
    case 416:
      retry(task, "the server answers with status 416", after: nil, isOverload: false)
    case 408, 425, 429, 500...599:
      retry(
        task, "the server answers with status \(response.status)", after: response.retryAfter,
        isOverload: response.status == 429 || response.status == 503)
    case 405 where task.request.method == .put:
      finish(task, .failed(.denied, "the server does not take files (status 405)"))
    case 304: finish(task, .unchanged)
    default:
      // What is signed for one place is worth nothing at another.
      if let url = response.redirect, task.request.signature == nil { return follow(task, to: url) }
      let reason = "the server answers with status \(response.status)"
      finish(task, .failed(.unreachable, reason + Self.detail(task, response)))
    }
  }

  /// What S3 says in the page of an error.
  private static func detail(_ task: HTTPTask, _ response: HTTPResponse) -> String {
    guard task.request.signature != nil, let reason = S3Bucket.reason(response.body) else { return "" }
    return ": \(reason)"
  }

  /// Goes where the server sends us: what is asked for, but not what we are known by.
  private mutating func follow(_ task: HTTPTask, to url: String) {
    guard task.redirects < Self.redirectLimit else {
      finish(task, .failed(.unreachable, "more than \(Self.redirectLimit) redirects"))
      return
    }
    guard url.hasPrefix("https://") || url.hasPrefix("http://") && !task.request.url.hasPrefix("https://")
    else {
      finish(task, .failed(.unreachable, "the server sends us to a place without TLS"))
      return
    }
    task.redirect(to: url)
    // It is the same try.
    task.tries -= 1
    start(task)
  }

  private mutating func retry(
    _ task: HTTPTask, _ reason: String, after least: Duration?, isOverload: Bool
  ) {
    if isOverload { shrink() }
    guard task.tries < (answered.contains(task.origin) ? settings.tries : settings.firstTries) else {
      // Whoever asks next is not to wait as long.
      answered.remove(task.origin)
      finish(task, .failed(.unreachable, "\(reason), after \(task.tries) tries"))
      return
    }
    var pause = settings.firstPause
    for _ in 1..<max(2, task.tries) where pause < settings.longestPause { pause *= 2 }
    pause = min(pause, settings.longestPause) * Double.random(in: 0.5...1)
    if let least { pause = max(pause, min(least, Self.longestRetryAfter)) }
    task.due = clock.now + pause
    task.restore()
    task.phase = .paused
    paused.append(task)
  }

  private mutating func grow() {
    let limit = Double(mayMultiplex ? Self.streamLimit : Self.connectionLimit)
    guard window < limit, Double(active.count) + 1 >= window.rounded(.down) else { return }
    window += 1
  }

  /// Once for what is one event.
  private mutating func shrink() {
    guard lastShrink.duration(to: clock.now) > .milliseconds(500) else { return }
    lastShrink = clock.now
    window = max(Self.smallestWindow, window * 0.7)
  }

  private mutating func finish(_ task: HTTPTask, _ answer: HTTPAnswer) {
    task.phase = .done
    task.request.partial = nil
    task.request.body = []
    if case .found = answer {} else { uncharge(task) }
    if case .missing = answer { task.onMiss?() }
    task.onMiss = nil
    task.answer.withLock { $0 = answer }
  }

  private mutating func uncharge(_ task: HTTPTask) {
    if task.isCharged { held -= task.cost }
    task.isCharged = false
  }

  /// Ends a task that nobody wants.
  private mutating func release(_ task: HTTPTask) {
    switch task.phase {
    case .active(let transfer):
      mailbox.multi.remove(transfer)
      active[ObjectIdentifier(transfer)] = nil
      finish(task, .cancelled)
    case .paused:
      paused.removeAll { $0 === task }
      finish(task, .cancelled)
    case .queued: finish(task, .cancelled)
    case .done: break
    }
    uncharge(task)
  }

  private mutating func giveUpAll() {
    for task in active.values { release(task) }
    for task in paused { release(task) }
    while let task = queue.popFirst() { release(task) }
  }
}
