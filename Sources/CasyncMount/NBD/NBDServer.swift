package import Casync
package import CasyncIO
internal import Synchronization

/// Serves images to NBD clients. One thread, the caller's, has all sockets; loading is the supply's.
package final class NBDServer {
  /// An image under a name.
  package struct Export: Sendable {
    package let name: String
    package let description: String
    package let image: ImageReader

    package init(name: String, description: String, image: ImageReader) {
      self.name = name
      self.description = description
      self.image = image
    }
  }

  /// What a loading thread has for the server's.
  private struct Completion: Sendable {
    let connection: UInt64
    let request: NBDRequest
    /// Whether the pieces are to be sent.
    let isRead: Bool
    let result: Result<[ImagePiece], any Error>
  }

  /// Where loading threads leave what they have.
  private final class Inbox: Sendable {
    private let completions = Mutex<[Completion]>([])
    let poller: Poller

    init(_ poller: Poller) { self.poller = poller }

    func post(_ completion: Completion) {
      let isFirst = completions.withLock { completions in
        completions.append(completion)
        return completions.count == 1
      }
      if isFirst { poller.wake() }
    }

    func takeAll() -> [Completion] {
      completions.withLock { completions in
        defer { completions = [] }
        return completions
      }
    }
  }

  /// Most clients at one time; others wait to be accepted.
  private static let connectionLimit = 256
  /// A client has this long to choose an export.
  private static let handshakeLimit = Duration.seconds(30)
  /// When all clients together have so many bytes under way, each may have one request.
  private static let byteLimit = 256 << 20
  /// How often the request to stop is looked at.
  private static let tick = Duration.milliseconds(200)

  private let exports: [Export]
  private let sessions: [NBDSession.Export]
  private let listeners: [Listener]
  private let inbox: Inbox
  private let zeros = Buffer(count: 256 << 10)
  private let input = Buffer(count: 64 << 10)
  private var connections: [UInt64: NBDConnection] = [:]
  private var nextToken: UInt64
  /// Those who wait until all together have less under way.
  private var starving: Set<UInt64> = []
  private var total = 0
  private var isAccepting = true

  /// - Parameter exports: the first is also served under the empty name, unless one has that.
  /// - Throws: `SystemError` when the process has no descriptor left.
  package init(exports: [Export], listeners: [Listener]) throws {
    precondition(!exports.isEmpty, "a server without an export")
    var all = exports
    if let first = exports.first, !exports.contains(where: { $0.name.isEmpty }) {
      all.insert(Export(name: "", description: first.description, image: first.image), at: 0)
    }
    self.exports = all
    sessions = all.map {
      NBDSession.Export(name: $0.name, size: $0.image.size, description: $0.description)
    }
    self.listeners = listeners
    inbox = Inbox(try Poller())
    nextToken = UInt64(listeners.count)
  }

  /// Serves until somebody asks to stop. Blocks.
  /// - Throws: `SystemError` when waiting fails.
  package func run(_ cancellation: Cancellation) throws {
    for (token, listener) in listeners.enumerated() {
      try inbox.poller.add(listener.socket, .readable, token: UInt64(token))
    }
    var lastTick = ContinuousClock.now
    while !cancellation.isCancelled {
      for event in try inbox.poller.wait(atMost: Self.tick) { try take(event) }
      let answered = Set(inbox.takeAll().map(take))
      for token in answered { if let connection = connections[token] { try pump(connection) } }
      if !starving.isEmpty, total < Self.byteLimit {
        let tokens = starving
        starving = []
        for token in tokens { if let connection = connections[token] { try pump(connection) } }
      }
      if lastTick.duration(to: .now) >= Self.tick {
        lastTick = .now
        try look()
      }
    }
    connections = [:]
  }

  // MARK: Events

  private func take(_ event: Poller.Event) throws {
    if event.token < UInt64(listeners.count) { return try accept(listeners[Int(event.token)]) }
    guard let connection = connections[event.token] else { return }
    if event.isBroken { connection.isBroken = true }
    if event.isReadable { connection.receive(into: input) }
    try pump(connection)
  }

  private func accept(_ listener: Listener) throws {
    for _ in 0..<16 {
      guard connections.count < Self.connectionLimit else { return try setAccepting(false) }
      switch listener.accept() {
      case .none: return
      case .exhausted: return try setAccepting(false)
      case .connection(let socket):
        let connection = NBDConnection(token: nextToken, socket: socket, exports: sessions, zeros: zeros)
        nextToken += 1
        try inbox.poller.add(socket, connection.interest, token: connection.token)
        connections[connection.token] = connection
        try pump(connection)
      }
    }
  }

  private func setAccepting(_ accepts: Bool) throws {
    guard accepts != isAccepting else { return }
    isAccepting = accepts
    for (token, listener) in listeners.enumerated() {
      try inbox.poller.change(listener.socket, to: accepts ? .readable : [], token: UInt64(token))
    }
  }

  /// What time brings: room for clients that wait, an end of those that do not make up their mind.
  private func look() throws {
    if !isAccepting, connections.count < Self.connectionLimit { try setAccepting(true) }
    let late = connections.values.filter {
      !$0.session.isTransmitting && $0.since.duration(to: .now) > Self.handshakeLimit
    }
    for connection in late {
      connection.isBroken = true
      try pump(connection)
    }
  }

  /// Takes requests, sends answers, and arranges for what can happen next.
  private func pump(_ connection: NBDConnection) throws {
    repeat {
      counting(connection) { $0.send() }
      while mayTake(connection), let action = connection.session.next() {
        counting(connection) { perform(action, $0) }
      }
      // What was added may be sent at once, and after that more may be taken.
      counting(connection) { $0.send() }
    } while mayTake(connection) && connection.session.hasAction
    if connection.isOver {
      total -= connection.bytesUnderWay
      connections[connection.token] = nil
      if !isAccepting { try setAccepting(true) }
      return
    }
    let mayTake = mayTake(connection)
    if !mayTake, connection.bytesUnderWay > 0, total >= Self.byteLimit { starving.insert(connection.token) }
    let interest = connection.wantedInterest(mayTake: mayTake)
    guard interest != connection.interest else { return }
    connection.interest = interest
    try inbox.poller.change(connection.socket, to: interest, token: connection.token)
  }

  /// Does something that changes what is under way for a client.
  private func counting(_ connection: NBDConnection, _ body: (NBDConnection) -> Void) {
    total -= connection.bytesUnderWay
    body(connection)
    total += connection.bytesUnderWay
  }

  private func mayTake(_ connection: NBDConnection) -> Bool {
    connection.mayTake(total: total, limit: Self.byteLimit)
  }

  // MARK: Actions

  private func perform(_ action: NBDSession.Action, _ connection: NBDConnection) {
    switch action {
    case .send(let bytes): connection.replies.append(bytes)
    case .read(let request): read(request, connection)
    case .prefetch(let request): prefetch(request, connection)
    case .blockStatus(let request):
      let limit = request.wantsOne ? 1 : NBDSession.Limits.extents
      let extents = exports[request.export].image.extents(in: request.range, limit: limit)
      connection.replies.append(request.blockStatus(extents))
    case .finish: connection.isFinishing = true
    case .abort: connection.isBroken = true
    }
  }

  private func read(_ request: NBDRequest, _ connection: NBDConnection) {
    let (inbox, token) = (inbox, connection.token)
    let pieces = exports[request.export].image.read(request.range) { result in
      inbox.post(Completion(connection: token, request: request, isRead: true, result: result))
    }
    if let pieces {
      connection.replies.append(pieces, for: request)
    } else {
      connection.beginLoading(bytes: request.length)
    }
  }

  private func prefetch(_ request: NBDRequest, _ connection: NBDConnection) {
    let (inbox, token) = (inbox, connection.token)
    let isThere = exports[request.export].image.prefetch(request.range) { result in
      inbox.post(Completion(connection: token, request: request, isRead: false, result: result))
    }
    if isThere {
      connection.replies.append(request.acknowledgement)
    } else {
      connection.beginLoading(bytes: 0)
    }
  }

  /// Puts an answer in line.
  /// - Returns: whose it is.
  private func take(_ completion: Completion) -> UInt64 {
    guard let connection = connections[completion.connection] else { return completion.connection }
    counting(connection) { connection in
      connection.endLoading(bytes: completion.isRead ? completion.request.length : 0)
      switch completion.result {
      case .success(let pieces) where completion.isRead:
        connection.replies.append(pieces, for: completion.request)
      case .success: connection.replies.append(completion.request.acknowledgement)
      case .failure(let error): connection.replies.append(completion.request.failure(.io, "\(error)"))
      }
    }
    return completion.connection
  }
}
