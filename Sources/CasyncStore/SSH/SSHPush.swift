internal import CasyncFormat
internal import CasyncIO

/// Gives an index with its chunks to `casync push` on a host.
///
///     index → INDEX pieces → the host asks for what it lacks → CHUNK from a local store → GOODBYE
///
/// When the connection is cut all of it is said again; chunks that arrived are not asked for again.
struct SSHPush {
  /// Bytes in line to be sent at one time.
  private static let outputLimit = 1 << 20

  /// Index and store on the host.
  let target: SSHTarget
  let settings: ConnectionSettings
  let cancellation: Cancellation
  /// The index file, in pieces of which the first holds the header.
  let index: [[UInt8]]
  /// Holds every chunk that the host may lack; `nil` when the index names none.
  let chunks: LocalStore?

  private enum Outcome {
    case done
    /// - asked: the first chunk that the host lacked, if it came so far.
    case ended(SSHVerdict, asked: ChunkID?)
  }

  /// Blocks until the host has everything.
  /// - Throws: `StoreError`, `SystemError`, `CancellationError`.
  func run() throws {
    let poller = try Poller()
    var tries = 0
    var last: ChunkID?
    while true {
      tries += 1
      switch try push(poller) {
      case .done: return
      case .ended(let verdict, let asked):
        // A host that lacks another chunk first than it did before has got on.
        if let asked, asked != last {
          tries = 1
          last = asked
        }
        guard verdict.isTransient, tries < (last != nil ? settings.tries : settings.firstTries) else {
          let reason = verdict.isTransient ? "\(verdict.reason), after \(tries) tries" : verdict.reason
          throw StoreError(verdict.code, target.name, reason, hint: verdict.hint)
        }
        try pause(tries)
      }
    }
  }

  private func pause(_ tries: Int) throws {
    var pause = settings.firstPause
    for _ in 1..<max(2, tries) where pause < settings.longestPause { pause *= 2 }
    let due = ContinuousClock.now + min(pause, settings.longestPause) * Double.random(in: 0.5...1)
    let poller = try Poller()
    while ContinuousClock.now < due {
      try cancellation.check()
      _ = try poller.wait(atMost: min(.milliseconds(200), ContinuousClock.now.duration(to: due)))
    }
  }

  /// One connection.
  private func push(_ poller: Poller) throws -> Outcome {
    let command = target.address.command(
      .push, index: target.index, store: target.store, rateLimit: settings.rateLimit, target.programs)
    let link = try SSHLink(command, rateLimit: settings.rateLimit, poller, Buffer(count: 256 << 10))
    var session = PushClient(wants: [.pushIndex, .pushChunks, .pushIndexChunks])
    let loader = ChunkLoader()
    var nextPiece = 0
    var asked: ChunkID?
    do {
      while true {
        try cancellation.check()
        try fill(link, &session, &nextPiece, &asked, loader)
        let ending = try link.exchange(atMost: .milliseconds(100)) { session.receive($0) }
        while let event = try session.next() {
          if event == .done { return try finish(link) }
        }
        if let ending {
          return .ended(
            link.verdict(ending, isConnected: session.isConnected, target), asked: asked)
        }
        if link.lastByte.duration(to: .now) > settings.stallTimeout * (session.isConnected ? 4 : 8) {
          return .ended(link.verdict(.silence, isConnected: true, target), asked: asked)
        }
      }
    } catch let error as ProtocolError {
      return .ended(
        link.verdict(.language(error), isConnected: session.isConnected, target), asked: asked)
    }
  }

  /// Puts in line what there is room for: chunks that were asked for, then the index.
  private func fill(
    _ link: SSHLink, _ session: inout PushClient, _ nextPiece: inout Int, _ asked: inout ChunkID?,
    _ loader: ChunkLoader
  ) throws {
    while link.outputCount < Self.outputLimit {
      if let id = session.popRequest() {
        asked = asked ?? id
        let stored = try chunks?.stored(id, .compressed, using: loader)
        if let stored, stored.count > RemoteMessage.chunkLimit {
          throw StoreError(
            .unsupported, target.name,
            "a chunk of \(stored.count) bytes is longer than the protocol can carry")
        }
        session.send(stored.map { .chunk(id, isCompressed: true, $0) } ?? .missing(id))
      } else if nextPiece <= index.count {
        session.sendIndex(nextPiece < index.count ? index[nextPiece] : nil)
        nextPiece += 1
      } else {
        link.send(session.takeOutput())
        return
      }
      link.send(session.takeOutput())
    }
  }

  /// casync's server gives the index its name after it has said GOODBYE: it is there when the server has
  /// ended.
  private func finish(_ link: SSHLink) throws -> Outcome {
    let status = link.close(patience: settings.stallTimeout)
    guard status == 0 else {
      return .ended(
        SSHVerdict(
          .unreachable,
          "casync on \(target.address.destination) failed after it had everything (status \(status))"),
        asked: nil)
    }
    return .done
  }
}
