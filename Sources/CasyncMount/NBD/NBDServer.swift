package import Casync
package import CasyncIO
internal import Synchronization

/// Serves images to NBD clients. One thread, the caller's, has all sockets; loading is the supply's.
package final class NBDServer {
  /// An image under a name.
  package struct Export: Sendable {
    package let name: String
    package let description: String
    package let disk: Disk

    package init(name: String, description: String, disk: Disk) {
      self.name = name
      self.description = description
      self.disk = disk
    }
  }

  /// The connections of a device that this machine's kernel has of the first export.
  package struct Attachment: Sendable {
    let sockets: [Socket]
    let replacement: @Sendable () throws -> Socket?

    /// - Parameters:
    ///   - sockets: our ends of the connections.
    ///   - replacement: makes another in place of one that broke; `nil` when the kernel wants none. Called on
    ///     the server's thread.
    package init(sockets: [Socket], replacement: @escaping @Sendable () throws -> Socket?) {
      self.sockets = sockets
      self.replacement = replacement
    }
  }

  /// TLS for the clients that connect: who we are, and whether they must.
  package struct TLS {
    package let identity: TLSIdentity
    package let isRequired: Bool

    package init(_ identity: TLSIdentity, isRequired: Bool) {
      self.identity = identity
      self.isRequired = isRequired
    }
  }

  /// What a loading thread has for the server's.
  private struct Completion: Sendable {
    let connection: UInt64
    let request: NBDRequest
    /// Bytes that it held.
    let bytes: Int
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
  /// While events follow so close upon each other, and nothing is being loaded, the next is awaited without
  /// sleep: to wake up takes longer than to answer from the page cache.
  private static let livelyGap = Duration.microseconds(50)

  private let exports: [Export]
  private let sessions: [NBDSession.Export]
  private let listeners: [Listener]
  private let inbox: Inbox
  private let zeros = Buffer(count: 256 << 10)
  private let input = Buffer(count: 64 << 10)
  private var localReader = LocalReader()
  private var connections: [UInt64: NBDConnection] = [:]
  private var nextToken: UInt64
  /// Those who wait until all together have less under way.
  private var starving: Set<UInt64> = []
  private var total = 0
  private var isAccepting = true
  private let tls: TLS?
  private let attachment: Attachment?
  /// How many of the kernel's connections there are.
  private var attachedCount = 0

  /// - Parameters:
  ///   - exports: the first is also served under the empty name, unless one has that.
  ///   - tls: `nil` for none.
  ///   - attachment: the connections of a device.
  /// - Throws: `SystemError` when the process has no descriptor left.
  package init(
    exports: [Export], listeners: [Listener], tls: TLS? = nil, attachment: Attachment? = nil
  ) throws {
    precondition(!exports.isEmpty, "a server without an export")
    var all = exports
    if let first = exports.first, !exports.contains(where: { $0.name.isEmpty }) {
      all.insert(Export(name: "", description: first.description, disk: first.disk), at: 0)
    }
    self.exports = all
    sessions = all.map(Self.session)
    self.listeners = listeners
    self.tls = tls
    self.attachment = attachment
    inbox = Inbox(try Poller())
    nextToken = UInt64(listeners.count)
  }

  private static func session(of export: Export) -> NBDSession.Export {
    NBDSession.Export(
      name: export.name, size: export.disk.size, description: export.description,
      isWritable: export.disk.isWritable)
  }

  /// What a client that chooses `export` is told, without the options that a handshake may bring.
  package static func transmissionFlags(of export: Export) -> UInt16 {
    NBDSession(exports: [Self.session(of: export)], chosen: 0).transmissionFlags
  }

  /// Serves until somebody asks to stop, or the kernel has let go of the device. Blocks.
  /// - Throws: `SystemError` when waiting fails.
  package func run(_ cancellation: Cancellation) throws {
    for (token, listener) in listeners.enumerated() {
      try inbox.poller.add(listener.socket, .readable, token: UInt64(token))
    }
    for socket in attachment?.sockets ?? [] { try attach(socket) }
    var lastTick = ContinuousClock.now
    var isLively = false
    while !cancellation.isCancelled, attachment == nil || attachedCount > 0 {
      let start = ContinuousClock.now
      let events = try inbox.poller.wait(atMost: Self.tick, awakeFor: isLively ? Self.livelyGap : .zero)
      let gap = start.duration(to: .now)
      for event in events { try take(event) }
      let answered = Set(inbox.takeAll().map(take))
      for token in answered { if let connection = connections[token] { try pump(connection) } }
      if !starving.isEmpty, total < Self.byteLimit {
        let tokens = starving
        starving = []
        for token in tokens { if let connection = connections[token] { try pump(connection) } }
      }
      isLively = gap < Self.livelyGap && connections.values.allSatisfy { $0.loadingCount == 0 }
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
        let encryption = tls.map { $0.isRequired ? NBDSession.Encryption.required : .available }
        let session = NBDSession(exports: sessions, encryption: encryption ?? .unavailable)
        try begin(NBDConnection(token: nextToken, socket: socket, session: session, zeros: zeros))
      }
    }
  }

  private func begin(_ connection: NBDConnection) throws {
    nextToken += 1
    try inbox.poller.add(connection.socket, connection.interest, token: connection.token)
    connections[connection.token] = connection
    try pump(connection)
  }

  /// Serves a connection of the kernel's.
  private func attach(_ socket: Socket) throws {
    let session = NBDSession(exports: sessions, chosen: 0)
    let connection = NBDConnection(
      token: nextToken, socket: socket, session: session, isAttached: true, zeros: zeros)
    attachedCount += 1
    try begin(connection)
  }

  /// A connection of the kernel's is over. Unless it said that it is done with the device, it gave this one
  /// up after a request that took too long, and sends that again over another.
  private func replace(_ connection: NBDConnection) throws {
    attachedCount -= 1
    guard !connection.isFinishing, let socket = try attachment?.replacement() else { return }
    try attach(socket)
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
      while mayTake(connection), takeAction(connection) {}
      // What was added may be sent at once, and after that more may be taken.
      counting(connection) { $0.send() }
    } while mayTake(connection) && connection.session.hasAction
    if connection.isOver {
      total -= connection.bytesUnderWay
      connections[connection.token] = nil
      if !isAccepting { try setAccepting(true) }
      if connection.isAttached { try replace(connection) }
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

  /// Does the next thing that a client wants.
  /// - Returns: whether there was one.
  private func takeAction(_ connection: NBDConnection) -> Bool {
    var isSomething = false
    counting(connection) { connection in
      guard let action = connection.session.next() else { return }
      isSomething = true
      perform(action, connection)
    }
    return isSomething
  }

  private func mayTake(_ connection: NBDConnection) -> Bool {
    connection.mayTake(total: total, limit: Self.byteLimit)
  }

  // MARK: Actions

  private func perform(_ action: NBDSession.Action, _ connection: NBDConnection) {
    switch action {
    case .send(let bytes): connection.replies.append(bytes)
    case .read(let request):
      count(request) { summary in
        summary.reads += 1
        summary.readBytes += UInt64(request.length)
      }
      read(request, connection)
    case .prefetch(let request): prefetch(request, connection)
    case .blockStatus(let request):
      let limit = request.wantsOne ? 1 : NBDSession.Limits.extents
      let extents = disk(request).extents(in: request.range, limit: limit)
      connection.replies.append(request.blockStatus(extents))
    case .write(let request, let bytes):
      count(request) { summary in
        summary.writes += 1
        summary.writtenBytes += UInt64(request.length)
      }
      disk(request).write(
        bytes, at: request.range.lowerBound, isDurable: request.isDurable,
        completion(of: request, connection, bytes: bytes.count))
    case .zero(let request):
      disk(request).zero(
        request.range, keepsRoom: request.keepsRoom, mustBeFast: request.mustBeFast,
        isDurable: request.isDurable, completion(of: request, connection))
    case .trim(let request):
      disk(request).trim(request.range, isDurable: request.isDurable, completion(of: request, connection))
    case .flush(let request): disk(request).flush(completion(of: request, connection))
    case .startTLS: if let tls { connection.startTLS(tls.identity) }
    case .finish: connection.isFinishing = true
    case .abort: connection.isBroken = true
    }
  }

  private func disk(_ request: NBDRequest) -> Disk { exports[request.export].disk }

  private func count(_ request: NBDRequest, _ change: (inout ReadSummary) -> Void) {
    disk(request).count(change)
  }

  /// What answers a request when it is done, which then counts as under way.
  /// - Parameter bytes: what it holds until then.
  private func completion(
    of request: NBDRequest, _ connection: NBDConnection, bytes: Int = 0, isRead: Bool = false
  ) -> Disk.Completion {
    let (inbox, token) = (inbox, connection.token)
    connection.beginLoading(bytes: bytes)
    return { result in
      inbox.post(
        Completion(connection: token, request: request, bytes: bytes, isRead: isRead, result: result))
    }
  }

  private func read(_ request: NBDRequest, _ connection: NBDConnection) {
    let disk = disk(request)
    if let places = disk.places(of: request.range),
      let parts = localReader.read(places, lendsFiles: !connection.isEncrypted)
    {
      return connection.replies.append(parts, for: request)
    }
    let length = request.length
    if let pieces = disk.read(
      request.range, completion(of: request, connection, bytes: length, isRead: true))
    {
      connection.endLoading(bytes: length)
      connection.replies.append(pieces.map(ReplyPart.init), for: request)
    }
  }

  private func prefetch(_ request: NBDRequest, _ connection: NBDConnection) {
    if disk(request).prefetch(request.range, completion(of: request, connection)) {
      connection.endLoading(bytes: 0)
      connection.replies.append(request.acknowledgement)
    }
  }

  /// Puts an answer in line.
  /// - Returns: whose it is.
  private func take(_ completion: Completion) -> UInt64 {
    guard let connection = connections[completion.connection] else { return completion.connection }
    counting(connection) { connection in
      connection.endLoading(bytes: completion.bytes)
      switch completion.result {
      case .success(let pieces) where completion.isRead:
        connection.replies.append(pieces.map(ReplyPart.init), for: completion.request)
      case .success: connection.replies.append(completion.request.acknowledgement)
      case .failure(let error):
        count(completion.request) { $0.failures += 1 }
        connection.replies.append(completion.request.failure(NBDErrorNumber(error), "\(error)"))
      }
    }
    return completion.connection
  }
}
