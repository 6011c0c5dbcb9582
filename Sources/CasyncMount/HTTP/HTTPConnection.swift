internal import CasyncFormat
internal import CasyncIO

/// A client's connection, with what it sent and nobody has taken. Used by one thread at a time: the server's
/// while it is idle, a worker's while it is served.
///
/// `@unchecked Sendable`: it is handed from one to the other.
final class HTTPConnection: @unchecked Sendable {
  /// Nothing comes, or nothing can be sent, for so long: the client is gone.
  private static let stallLimit = Duration.seconds(30)

  let token: UInt64
  let socket: Socket
  var input: [UInt8] = []
  /// Since when it has been idle.
  var since = ContinuousClock.now

  init(token: UInt64, socket: Socket) {
    self.token = token
    self.socket = socket
  }

  /// What became of looking for bytes.
  enum Arrival {
    case bytes, nothing, ended
  }

  /// Takes what has come. Does not block.
  func receive(_ buffer: Buffer) -> Arrival {
    switch socket.receive(into: buffer, 0..<buffer.count) {
    case .bytes(let count):
      input += buffer.bytes.extracting(0..<count).copy()
      return .bytes
    case .notReady: return .nothing
    case .ended: return .ended
    }
  }

  /// The next `count` bytes that the client sends. Blocks.
  /// - Returns: `nil` when it does not send them.
  func body(_ count: Int, _ buffer: Buffer, _ cancellation: Cancellation) throws -> [UInt8]? {
    var body = Array(input.prefix(count))
    input.removeFirst(body.count)
    body.reserveCapacity(count)
    while body.count < count {
      switch socket.receive(into: buffer, 0..<min(buffer.count, count - body.count)) {
      case .bytes(let length): body += buffer.bytes.extracting(0..<length).copy()
      case .notReady:
        guard try socket.wait(for: .readable, atMost: Self.stallLimit, cancellation) else { return nil }
      case .ended: return nil
      }
    }
    return body
  }

  /// Sends all of `bytes`. Blocks.
  /// - Returns: false when the client does not take them.
  func send(_ bytes: RawSpan, _ cancellation: Cancellation) throws -> Bool {
    var sent = 0
    while sent < bytes.byteCount {
      switch socket.send(bytes.extracting(sent..<bytes.byteCount)) {
      case .bytes(let count): sent += count
      case .notReady:
        guard try socket.wait(for: .writable, atMost: Self.stallLimit, cancellation) else { return false }
      case .ended: return false
      }
    }
    return true
  }
}
