internal import CasyncFormat
internal import CasyncIO

/// A connection to casync on a host: the ssh that carries it, and the bytes on their way. Used by one thread
/// alone, the one that made it.
final class SSHLink {
  /// How a connection came to its end.
  enum Ending {
    /// The other end is gone.
    case closed
    /// Nothing came for too long.
    case silence
    /// What came is not what may come.
    case language(ProtocolError)
  }

  /// When a byte last went over, in either direction.
  private(set) var lastByte = ContinuousClock.now
  private let process: ChildProcess
  private let poller: Poller
  private let input: Buffer
  private var output: [UInt8] = []
  private var sent = 0
  private var interest: Poller.Interest = [.readable]
  private let rateLimit: UInt64?
  /// For the rate limit: when more may go over.
  private var nextTransfer = ContinuousClock.now

  /// Starts ssh.
  /// - Parameter input: what is received with; nobody else uses it meanwhile.
  /// - Throws: `SystemError` when it cannot be run.
  init(_ command: [String], rateLimit: UInt64?, _ poller: Poller, _ input: Buffer) throws {
    self.rateLimit = rateLimit
    self.poller = poller
    self.input = input
    process = try ChildProcess.start(command)
    try poller.add(process.socket, interest, token: 0)
  }

  /// Bytes that wait to be sent.
  var outputCount: Int { output.count - sent }

  /// Puts bytes in line to be sent.
  func send(_ bytes: [UInt8]) {
    if outputCount == 0 {
      output = bytes
      sent = 0
    } else {
      output += bytes
    }
  }

  /// Whoever waits is not waiting for the other end.
  func restartSilence() { lastByte = .now }

  /// Sends what is to be sent and receives what has come; waits for either when there is nothing.
  /// - Returns: how the connection ended, when it did.
  func exchange(atMost limit: Duration, _ receive: (RawSpan) -> Void) throws -> Ending? {
    let isPaced = rateLimit != nil && nextTransfer > .now
    if !isPaced { sendSome() }
    var wanted: Poller.Interest = isPaced ? [] : .readable
    if !isPaced, outputCount > 0 { wanted.insert(.writable) }
    if wanted != interest { try poller.change(process.socket, to: wanted, token: 0) }
    interest = wanted
    let pause =
      isPaced ? min(limit, ContinuousClock.now.duration(to: nextTransfer) + .milliseconds(1)) : limit
    let events = try poller.wait(atMost: max(.zero, pause))
    _ = process.said()
    guard !isPaced, events.contains(where: { $0.isReadable || $0.isBroken }) else { return nil }
    switch process.socket.receive(into: input, 0..<input.count) {
    case .notReady: return nil
    case .ended: return .closed
    case .bytes(let count):
      lastByte = .now
      delay(count)
      let input = input
      receive(input.bytes.extracting(0..<count))
      return nil
    }
  }

  /// Sends what there is room for. When the other end is gone it may still have said why: receiving tells.
  private func sendSome() {
    while outputCount > 0 {
      switch process.socket.send(output.rawSpan.extracting(sent..<output.count)) {
      case .bytes(let count):
        sent += count
        lastByte = .now
        delay(count)
      case .notReady: return
      case .ended: sent = output.count
      }
    }
  }

  private func delay(_ count: Int) {
    guard let rateLimit else { return }
    nextTransfer = max(nextTransfer, .now) + .seconds(Double(count) / Double(max(1, rateLimit)))
  }

  /// Ends it, after what can be sent at once. Blocks until ssh has ended.
  /// - Parameter abandoning: whether what the other end still sends is of no interest.
  /// - Returns: its exit status.
  @discardableResult
  func close(patience: Duration = .seconds(2), abandoning: Bool = false) -> Int32 {
    sendSome()
    if abandoning { process.abandon() }
    return process.end(patience: patience)
  }

  /// What is to be told of an ending.
  func verdict(_ ending: Ending, isConnected: Bool, _ target: SSHTarget) -> SSHVerdict {
    switch ending {
    case .silence: return SSHVerdict(.unreachable, "nothing comes any more", isTransient: true)
    case .language(let error): return SSHVerdict(error)
    case .closed:
      let status = process.end(patience: .seconds(2))
      return SSHVerdict(status: status, said: process.said(), hasAnswered: isConnected, target)
    }
  }
}
