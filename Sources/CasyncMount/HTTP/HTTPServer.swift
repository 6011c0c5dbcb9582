internal import Casync
package import CasyncIO
internal import Synchronization

// The HTTP server (RFC 9110, 9112) for stores and indexes:
//
//   socket → idle, waited for by one thread → a worker: HTTPHead → HTTPFiles or HTTPUploads → socket → idle
//
// An idle connection costs a descriptor and no thread. A worker has a connection for as long as requests are
// there; bodies and answers that stand still lose theirs after half a minute. What a client can make us keep
// is bounded: a head, and for uploads the bytes of their bodies together.

/// Serves a directory's stores and indexes over HTTP.
package final class HTTPServer {
  /// Connections at one time; others wait to be accepted.
  private static let connectionLimit = 512
  private static let workerCount = 32
  /// How long a connection may be idle, a head may take.
  private static let idleLimit = Duration.seconds(60)
  private static let tick = Duration.milliseconds(200)

  /// Where workers leave connections that are idle again, or `nil` for one that has ended.
  private final class Inbox: Sendable {
    private let returned = Mutex<[HTTPConnection?]>([])
    let poller: Poller

    init(_ poller: Poller) { self.poller = poller }

    func post(_ connection: HTTPConnection?) {
      returned.withLock { $0.append(connection) }
      poller.wake()
    }

    func takeAll() -> [HTTPConnection?] {
      returned.withLock { returned in
        defer { returned = [] }
        return returned
      }
    }
  }

  private let listeners: [Listener]
  private let tls: TLSIdentity?
  private let service: HTTPService
  private let inbox: Inbox
  private var idle: [UInt64: HTTPConnection] = [:]
  private var busyCount = 0
  private var nextToken: UInt64
  private var isAccepting = true

  /// - Parameter tls: what to show to clients; `nil` is HTTP without TLS.
  /// - Throws: `SystemError` when the process has no descriptor left.
  package init(_ service: HTTPService, listeners: [Listener], tls: TLSIdentity?) throws {
    self.tls = tls
    self.service = service
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
    let context: @Sendable () -> HTTPWorker = { HTTPWorker() }
    try WorkerPool.with(count: Self.workerCount, context: context) { pool in
      var lastTick = ContinuousClock.now
      while !cancellation.isCancelled {
        for event in try inbox.poller.wait(atMost: Self.tick) { try take(event, pool, cancellation) }
        for connection in inbox.takeAll() { try takeBack(connection) }
        if lastTick.duration(to: .now) >= Self.tick {
          lastTick = .now
          idle = idle.filter { $0.value.since.duration(to: lastTick) < Self.idleLimit }
          try setAccepting(idle.count + busyCount < Self.connectionLimit)
        }
      }
    }
    idle = [:]
  }

  private func take(_ event: Poller.Event, _ pool: WorkerPool<HTTPWorker>, _ cancellation: Cancellation)
    throws
  {
    if event.token < UInt64(listeners.count) { return try accept(listeners[Int(event.token)]) }
    guard let connection = idle.removeValue(forKey: event.token) else { return }
    inbox.poller.remove(connection.socket)
    busyCount += 1
    let (service, inbox) = (service, inbox)
    _ = pool.submit { worker in
      // An error ends the connection: there is nobody else to tell.
      let isKept = (try? worker.serve(connection, service, cancellation)) ?? false
      if !isKept { try? connection.finish(cancellation) }
      inbox.post(isKept ? connection : nil)
    }
  }

  private func takeBack(_ connection: HTTPConnection?) throws {
    busyCount -= 1
    guard let connection else { return }
    connection.since = .now
    try inbox.poller.add(connection.socket, .readable, token: connection.token)
    idle[connection.token] = connection
  }

  private func accept(_ listener: Listener) throws {
    for _ in 0..<16 {
      guard idle.count + busyCount < Self.connectionLimit else { return try setAccepting(false) }
      switch listener.accept() {
      case .none: return
      case .exhausted: return try setAccepting(false)
      case .connection(let socket):
        let connection = HTTPConnection(token: nextToken, socket: socket, tls: tls)
        nextToken += 1
        try inbox.poller.add(socket, .readable, token: connection.token)
        idle[connection.token] = connection
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
}
