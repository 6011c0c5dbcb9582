internal import CasyncFormat
internal import CasyncIO
internal import Glibc

/// The thread that talks with `casync pull` on a host: it starts ssh when something is wanted, asks, and
/// starts ssh again when the connection is cut, for what is missing only.
///
/// The bytes that answers may take until they are used are bounded; what somebody waits for is exempt, so
/// that what holds the bytes cannot wait for what they keep back.
struct SSHLoop {
  /// Bytes that answers may take until they are used, those that are kept included.
  private static let heldLimit = (16 << 20) - RecentAnswers.limit
  /// casync answers each chunk once a connection: answers that are remembered before it is replaced.
  private static let answerLimit = 1 << 20
  /// Until the other end has said HELLO, with a password typed in between.
  private static let helloTimeout = Duration.seconds(120)

  private let target: SSHTarget
  private let mailbox: SSHMailbox
  private let settings: ConnectionSettings
  private let cancellation: Cancellation
  private let traffic: Traffic
  private let clock = ContinuousClock()
  private let input = Buffer(count: 256 << 10)

  /// A connection, and what is said over it.
  private final class Connection {
    let link: SSHLink
    var session: PullClient
    /// Whether the index or archive comes over it.
    let hasFile: Bool

    init(_ link: SSHLink, _ session: PullClient, hasFile: Bool) {
      self.link = link
      self.session = session
      self.hasFile = hasFile
    }
  }

  private var connection: Connection?
  private var queue = Fifo<SSHTask>()
  private var urgent = Fifo<SSHTask>()
  /// Chunks that this connection was asked for, with who wants them.
  private var asked: [ChunkID: [SSHTask]] = [:]
  /// Who wants the index or archive; its bytes so far.
  private var file: SSHTask?
  private var fileBytes: [UInt8] = []
  /// The first words of chunks that this connection has answered.
  private var answered: Set<UInt64> = []
  private var recent = RecentAnswers()
  private var held = 0

  /// Connections since something came over one.
  private var tries = 0
  private var hasAnswered = false
  private var due = ContinuousClock.now
  /// Why nothing is asked until `due`.
  private var failure: SSHAnswer?

  init(
    _ target: SSHTarget, _ mailbox: SSHMailbox, _ settings: ConnectionSettings, _ cancellation: Cancellation,
    _ traffic: Traffic
  ) {
    self.target = target
    self.mailbox = mailbox
    self.settings = settings
    self.cancellation = cancellation
    self.traffic = traffic
  }

  /// Runs until the mailbox is stopped.
  consuming func run() {
    while let letters = mailbox.take() {
      for letter in letters { read(letter) }
      if cancellation.isCancelled { giveUpAll(.cancelled) }
      if failure != nil, clock.now >= due { failure = nil }
      if let failure { giveUpAll(failure) }
      connectIfDue()
      ask()
      do {
        try exchange()
      } catch let error as ProtocolError {
        end(.language(error))
      } catch {
        giveUpAll(.failed(.unreachable, "\(error)", hint: nil))
      }
    }
    giveUpAll(.cancelled)
    retire()
  }

  private mutating func read(_ letter: SSHMailbox.Letter) {
    switch letter {
    case .start(let task):
      if case .file = task.wish { file = task } else { queue.append(task) }
    case .hurry(let task):
      guard case .queued = task.phase, !task.isUrgent, case .chunk = task.wish else { return }
      task.isUrgent = true
      urgent.append(task)
    case .release(let task): release(task)
    }
  }

  // MARK: Asking

  private var isIdle: Bool { queue.isEmpty && urgent.isEmpty && asked.isEmpty && file == nil }

  private mutating func connectIfDue() {
    guard connection == nil, !isIdle, failure == nil, clock.now >= due else { return }
    tries += 1
    answered = []
    fileBytes = []
    let hasFile = file != nil
    var wants: RemoteFlags = target.store == nil ? [] : .pullChunks
    if hasFile { wants.insert(target.archive == nil ? .pullIndex : .pullArchive) }
    let command = target.address.command(
      .pull, archive: hasFile ? target.archive : nil, index: hasFile ? target.index : nil,
      store: target.store, rateLimit: settings.rateLimit, target.programs)
    do {
      let link = try SSHLink(command, rateLimit: settings.rateLimit, mailbox.poller, input)
      connection = Connection(link, PullClient(wants: wants), hasFile: hasFile)
    } catch {
      fail(.failed(.unreachable, "\(error)", hint: "CASYNC_SSH_PATH names the program to run"))
    }
  }

  /// Sends the requests that may be sent now.
  private mutating func ask() {
    guard let connection else { return }
    if file != nil, !connection.hasFile {
      // The index is wanted after all: a connection brings it only from its start.
      if asked.isEmpty { retire() }
      return
    }
    guard target.store != nil else { return }
    while let task = urgent.first ?? queue.first {
      guard case .queued = task.phase, case .chunk(let id) = task.wish else {
        drop(task)
        continue
      }
      guard task.isUrgent || held == 0 || held + task.cost <= Self.heldLimit else { return }
      if asked[id] == nil, let answer = recent[id] {
        drop(task)
        charge(task)
        finish(task, answer)
        continue
      }
      if asked[id] == nil {
        guard !answered.contains(id.words[0]), answered.count < Self.answerLimit else {
          // It would not be answered: once nothing is under way, another connection is asked.
          if asked.isEmpty, file == nil { retire() }
          return
        }
        connection.session.request(id, isUrgent: task.isUrgent)
      }
      drop(task)
      task.phase = .asked
      asked[id, default: []].append(task)
      charge(task)
    }
  }

  private mutating func charge(_ task: SSHTask) {
    if !task.isCharged { held += task.cost }
    task.isCharged = true
  }

  private mutating func drop(_ task: SSHTask) {
    if urgent.first === task { _ = urgent.popFirst() } else { _ = queue.popFirst() }
  }

  private mutating func retire() {
    if let connection {
      connection.session.sayGoodbye()
      connection.link.send(connection.session.takeOutput())
      connection.link.close(abandoning: true)
    }
    connection = nil
    tries = 0
  }

  // MARK: Exchanging

  /// Sends and receives what can be, or waits for that.
  private mutating func exchange() throws {
    guard let connection else {
      // Idle, it is woken by a letter; else it also looks whether it is to stop.
      let pause =
        isIdle ? Duration.seconds(60) : min(.milliseconds(100), max(.zero, clock.now.duration(to: due)))
      _ = try mailbox.poller.wait(atMost: pause)
      return
    }
    connection.link.send(connection.session.takeOutput())
    let ending = try connection.link.exchange(atMost: isIdle ? .seconds(1) : .milliseconds(100)) {
      traffic.add($0.byteCount)
      connection.session.receive($0)
    }
    while let event = try connection.session.next() { take(event) }
    if let ending { return end(ending) }
    let limit = connection.session.isConnected ? settings.stallTimeout : Self.helloTimeout
    if asked.isEmpty, file == nil {
      connection.link.restartSilence()
    } else if connection.link.lastByte.duration(to: .now) > limit {
      end(.silence)
    }
  }

  private mutating func take(_ event: PullClient.Event) {
    tries = 0
    hasAnswered = true
    switch event {
    case .index(let bytes), .archive(let bytes):
      guard let file, case .file(let limit) = file.wish else { return }
      fileBytes += bytes
      if fileBytes.count > limit {
        finish(file, .failed(.unreachable, "what comes is longer than any index", hint: nil))
        self.file = nil
        retire()
      }
    case .indexEnd, .archiveEnd:
      if let file { finish(file, .file(fileBytes)) }
      file = nil
      fileBytes = []
    case .chunk(let id, let isCompressed, let bytes):
      answer(id, .chunk(bytes, isCompressed: isCompressed))
    case .missing(let id): answer(id, .missing)
    }
  }

  private mutating func answer(_ id: ChunkID, _ answer: SSHAnswer) {
    answered.insert(id.words[0])
    recent.keep(id, answer)
    for task in asked.removeValue(forKey: id) ?? [] { finish(task, answer) }
  }

  // MARK: Ending

  /// The connection is no more: what was asked for is asked again, unless there is no use in it.
  private mutating func end(_ ending: SSHLink.Ending) {
    guard let connection else { return }
    let verdict = connection.link.verdict(ending, isConnected: connection.session.isConnected, target)
    self.connection = nil
    for task in asked.values.flatMap({ $0 }) {
      task.phase = .queued
      task.isUrgent = true
      urgent.append(task)
    }
    asked = [:]
    guard verdict.isTransient, tries < (hasAnswered ? settings.tries : settings.firstTries) else {
      let reason = verdict.isTransient ? "\(verdict.reason), after \(tries) tries" : verdict.reason
      return fail(.failed(verdict.code, reason, hint: verdict.hint))
    }
    guard tries > 0 else { return }
    var pause = settings.firstPause
    for _ in 1..<max(2, tries) where pause < settings.longestPause { pause *= 2 }
    due = clock.now + min(pause, settings.longestPause) * Double.random(in: 0.5...1)
  }

  /// Everybody who waits, and for a while everybody who comes, is told of the failure.
  private mutating func fail(_ answer: SSHAnswer) {
    tries = 0
    hasAnswered = false
    failure = answer
    due = clock.now + settings.stallTimeout / 3
    giveUpAll(answer)
  }

  private mutating func finish(_ task: SSHTask, _ answer: SSHAnswer) {
    task.phase = .done
    if case .chunk = answer {} else { uncharge(task) }
    if case .missing = answer { task.onMiss?() }
    task.onMiss = nil
    task.answer.withLock { $0 = answer }
  }

  private mutating func uncharge(_ task: SSHTask) {
    if task.isCharged { held -= task.cost }
    task.isCharged = false
  }

  /// Nobody wants it any more. What the host was asked for comes all the same, and is dropped then.
  private mutating func release(_ task: SSHTask) {
    if case .chunk(let id) = task.wish, case .asked = task.phase { asked[id]?.removeAll { $0 === task } }
    if file === task { file = nil }
    if case .done = task.phase {} else { finish(task, .cancelled) }
    uncharge(task)
  }

  private mutating func giveUpAll(_ answer: SSHAnswer) {
    for task in asked.values.flatMap({ $0 }) { finish(task, answer) }
    asked = [:]
    while let task = urgent.popFirst() ?? queue.popFirst() {
      if case .queued = task.phase { finish(task, answer) }
    }
    if let file { finish(file, answer) }
    file = nil
  }
}
