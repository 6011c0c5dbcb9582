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
  private let tls: TLSChannel?
  /// What TLS gives goes through it.
  private let ciphertext: Buffer?

  init(token: UInt64, socket: Socket, tls identity: TLSIdentity?) {
    self.token = token
    self.socket = socket
    tls = identity.map { TLSChannel($0) }
    ciphertext = identity.map { _ in Buffer(count: 64 << 10) }
  }

  /// What became of looking for bytes.
  enum Arrival {
    case bytes, nothing, ended
  }

  /// Takes what has come. Blocks for what TLS has to say to that alone.
  func receive(_ buffer: Buffer, _ cancellation: Cancellation) throws -> Arrival {
    switch socket.receive(into: buffer, 0..<buffer.count) {
    case .notReady: return .nothing
    case .ended: return .ended
    case .bytes(let count):
      let bytes = buffer.bytes.extracting(0..<count)
      guard let tls else {
        input += bytes.copy()
        return .bytes
      }
      let isGood = tls.receive(bytes) { input += $0.copy() }
      guard try flush(tls, cancellation), isGood else { return .ended }
      return .bytes
    }
  }

  /// The next `count` bytes that the client sends. Blocks.
  /// - Returns: `nil` when it does not send them.
  func body(_ count: Int, _ buffer: Buffer, _ cancellation: Cancellation) throws -> [UInt8]? {
    while input.count < count {
      switch try receive(buffer, cancellation) {
      case .bytes: continue
      case .nothing:
        guard try socket.wait(for: .readable, atMost: Self.stallLimit, cancellation) else { return nil }
      case .ended: return nil
      }
    }
    defer { input.removeFirst(count) }
    return Array(input.prefix(count))
  }

  /// Sends all of `bytes`. Blocks.
  /// - Returns: false when the client does not take them.
  func send(_ bytes: RawSpan, _ cancellation: Cancellation) throws -> Bool {
    guard let tls else { return try write(bytes, cancellation) }
    let plaintext = Buffer(count: bytes.byteCount)
    plaintext.copy(bytes, to: 0)
    var piece = Socket.Piece(plaintext, 0..<bytes.byteCount)
    while !piece.range.isEmpty {
      let count = tls.encrypt(piece)
      guard count > 0, try flush(tls, cancellation) else { return false }
      piece.range = piece.range.lowerBound + count..<piece.range.upperBound
    }
    return true
  }

  /// Tells the client that nothing more comes, where that has a form. Blocks.
  func finish(_ cancellation: Cancellation) throws {
    guard let tls else { return }
    tls.close()
    _ = try flush(tls, cancellation)
  }

  /// Sends what TLS has for the client.
  private func flush(_ tls: TLSChannel, _ cancellation: Cancellation) throws -> Bool {
    guard let ciphertext else { return true }
    while tls.outputCount > 0 {
      let count = tls.takeOutput(into: ciphertext)
      guard count > 0, try write(ciphertext.bytes.extracting(0..<count), cancellation) else { return false }
    }
    return true
  }

  private func write(_ bytes: RawSpan, _ cancellation: Cancellation) throws -> Bool {
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
