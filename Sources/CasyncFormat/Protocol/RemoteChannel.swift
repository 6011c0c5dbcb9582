/// What both ends of casync's remote protocol do: say HELLO, read messages, give up.
///
/// Without I/O: bytes that came are given to `receive`, bytes to be sent lie in `output`.
struct RemoteChannel: Sendable {
  private let own: RemoteFlags
  /// What the other end's HELLO said.
  private(set) var peer: RemoteFlags?
  private var reader = MessageReader()
  private var failure: ProtocolError?
  private var output: [UInt8]

  init(_ own: RemoteFlags) {
    self.own = own
    output = RemoteMessage.hello(own).encoded
  }

  mutating func receive(_ bytes: RawSpan) {
    if failure == nil { reader.append(bytes) }
  }

  mutating func send(_ message: RemoteMessage) { message.append(to: &output) }

  /// The bytes to be sent so far, given once.
  mutating func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }

  /// The next message; `nil` when there is none yet. The first is a HELLO that fits our own, and only that.
  /// - Throws: `ProtocolError`, from then on always the same.
  mutating func next() throws(ProtocolError) -> RemoteMessage? {
    if let failure { throw failure }
    do throws(ProtocolError) {
      return try read()
    } catch {
      failure = error
      throw error
    }
  }

  private mutating func read() throws(ProtocolError) -> RemoteMessage? {
    guard let message = try reader.next() else { return nil }
    switch message {
    case .abort(let number, let text): throw ProtocolError(.aborted(number: number, text))
    case .hello(let flags) where peer == nil:
      try flags.check()
      try RemoteFlags.agree(own, flags)
      peer = flags
    case .hello: throw ProtocolError(.unexpected(.hello))
    default: guard peer != nil else { throw ProtocolError(.unexpected(message.kind)) }
    }
    return message
  }

  /// A message that may not come now, which is remembered as the failure.
  mutating func unexpected(_ message: RemoteMessage) -> ProtocolError {
    fail(ProtocolError(.unexpected(message.kind)))
  }

  mutating func fail(_ error: ProtocolError) -> ProtocolError {
    failure = error
    return error
  }
}
