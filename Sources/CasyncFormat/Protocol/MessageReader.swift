/// Finds the messages in the bytes that come from the other end, however they are cut.
struct MessageReader: Sendable {
  private var bytes: [UInt8] = []
  private var taken = 0
  private var isFirst = true

  /// Bytes that wait to become a message.
  var count: Int { bytes.count - taken }

  mutating func append(_ piece: RawSpan) {
    if taken > 0, taken * 2 >= bytes.count {
      bytes.removeFirst(taken)
      taken = 0
    }
    // SAFETY: the bytes are copied before the pointer goes out of scope.
    unsafe piece.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  /// The next message; `nil` when it is not there to its end.
  /// - Throws: `ProtocolError`; then nothing that follows has a meaning.
  mutating func next() throws(ProtocolError) -> RemoteMessage? {
    guard let (message, length) = try first() else { return nil }
    taken += length
    isFirst = false
    return message
  }

  private func first() throws(ProtocolError) -> (RemoteMessage, length: Int)? {
    let rest = bytes.rawSpan.extracting(taken..<bytes.count)
    guard let size = rest.word(at: 0) else { return nil }
    guard let length = Int(exactly: size), RemoteMessage.headerLength...RemoteMessage.lengthLimit ~= length
    else {
      throw ProtocolError(isFirst ? .otherLanguage : .size)
    }
    // A type that is none is told at once: its message may never come to its end.
    guard let type = rest.word(at: 8) else { return nil }
    guard RemoteMessage.Kind(rawValue: type) != nil else {
      throw ProtocolError(isFirst ? .otherLanguage : .unknownMessage(type: type))
    }
    guard rest.byteCount >= length else { return nil }
    return (try RemoteMessage(decoding: rest.extracting(0..<length)), length)
  }
}
