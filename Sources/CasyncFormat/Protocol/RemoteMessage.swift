/// A message of casync's remote protocol (docs/formats/protocol.md):
///
///     size   8 bytes   of the whole message, 16 to 16 MiB
///     type   8 bytes
///     body
///
/// All integers are little-endian.
package enum RemoteMessage: Equatable, Sendable {
  /// What the sender offers and wants; the first message of both ends.
  case hello(RemoteFlags)
  /// The next piece of the index file.
  case index([UInt8])
  case indexEnd
  /// The next piece of the archive.
  case archive([UInt8])
  case archiveEnd
  /// Wishes for chunks; an urgent one goes before those that are not.
  case request(isUrgent: Bool, [ChunkID])
  /// A chunk, compressed or as it is.
  case chunk(ChunkID, isCompressed: Bool, [UInt8])
  /// There is no such chunk.
  case missing(ChunkID)
  /// The sender has all it wants.
  case goodbye
  /// The sender gives up, with an errno and a reason for the user.
  case abort(number: UInt64, String)

  /// What a message is, by the number that stands for it.
  package enum Kind: UInt64, Sendable, CustomStringConvertible {
    case hello = 0x3c71_d094_8ca5_fbee
    case index = 0xb32a_91dd_2b3e_27f8
    case indexEnd = 0x4f09_32f1_0437_18f5
    case archive = 0x95d6_428a_69ed_dcc5
    case archiveEnd = 0x450b_ef66_3f24_cbad
    case request = 0x8ab4_27e0_f89d_9210
    case chunk = 0x5213_dd18_0a84_bc8c
    case missing = 0xd010_f9fa_c82b_7b6c
    case goodbye = 0xad20_5dbf_1a36_86c3
    case abort = 0xe7d9_136b_7efe_a352

    /// The name that casync gives it.
    package var description: String {
      switch self {
      case .hello: "HELLO"
      case .index: "INDEX"
      case .indexEnd: "INDEX_EOF"
      case .archive: "ARCHIVE"
      case .archiveEnd: "ARCHIVE_EOF"
      case .request: "REQUEST"
      case .chunk: "CHUNK"
      case .missing: "MISSING"
      case .goodbye: "GOODBYE"
      case .abort: "ABORT"
      }
    }
  }

  package var kind: Kind {
    switch self {
    case .hello: .hello
    case .index: .index
    case .indexEnd: .indexEnd
    case .archive: .archive
    case .archiveEnd: .archiveEnd
    case .request: .request
    case .chunk: .chunk
    case .missing: .missing
    case .goodbye: .goodbye
    case .abort: .abort
    }
  }

  /// Bytes before the body.
  package static let headerLength = 16
  /// The longest message in bytes, header included.
  package static let lengthLimit = 16 << 20
  /// The most bytes of a chunk, as it is sent, that a message holds.
  package static let chunkLimit = lengthLimit - headerLength - 40
}

// MARK: - Encoding

extension RemoteMessage {
  /// Appends the message to `bytes`.
  /// - Precondition: it is no longer than `lengthLimit`.
  package func append(to bytes: inout [UInt8]) {
    let start = bytes.count
    bytes.append(word: 0)
    bytes.append(word: kind.rawValue)
    switch self {
    case .hello(let flags): bytes.append(word: flags.rawValue)
    case .index(let piece), .archive(let piece): bytes += piece
    case .indexEnd, .archiveEnd, .goodbye: break
    case .request(let isUrgent, let ids):
      bytes.append(word: isUrgent ? 1 : 0)
      for id in ids { bytes.append(id) }
    case .chunk(let id, let isCompressed, let data):
      bytes.append(word: isCompressed ? 1 : 0)
      bytes.append(id)
      bytes += data
    case .missing(let id): bytes.append(id)
    case .abort(let number, let text):
      bytes.append(word: min(number, Self.numberLimit))
      bytes += text.utf8.filter { $0 >= 32 && $0 != 127 }
      bytes.append(0)
    }
    let length = bytes.count - start
    precondition(length <= Self.lengthLimit, "a message longer than the protocol allows")
    for index in 0..<8 { bytes[start + index] = UInt8(truncatingIfNeeded: UInt64(length) >> (8 * index)) }
  }

  /// The bytes of the message.
  package var encoded: [UInt8] {
    var bytes = [UInt8]()
    append(to: &bytes)
    return bytes
  }

  /// The errno of an ABORT for what is not there (Linux, ENOENT).
  package static let notFoundNumber: UInt64 = 2

  /// The greatest errno that an ABORT may carry (casync's `INT_MAX` less one).
  private static let numberLimit = UInt64(Int32.max) - 1
}

// MARK: - Decoding

extension RemoteMessage {
  /// Decodes a whole message, header included.
  /// - Precondition: `bytes` is as long as its header says, which is a length that a message may have.
  init(decoding bytes: RawSpan) throws(ProtocolError) {
    guard let type = bytes.word(at: 8), let kind = Kind(rawValue: type) else {
      throw ProtocolError(.unknownMessage(type: bytes.word(at: 8) ?? 0))
    }
    let body = bytes.extracting(Self.headerLength..<bytes.byteCount)
    guard let message = Self.decode(kind, body) else { throw ProtocolError(.badBody(kind)) }
    self = message
  }

  private static func decode(_ kind: Kind, _ body: RawSpan) -> RemoteMessage? {
    let isEmpty = body.byteCount == 0
    switch kind {
    case .hello:
      guard body.byteCount == 8, let flags = body.word(at: 0) else { return nil }
      return .hello(RemoteFlags(rawValue: flags))
    case .index: return isEmpty ? nil : .index(body.copy())
    case .archive: return isEmpty ? nil : .archive(body.copy())
    case .indexEnd: return isEmpty ? .indexEnd : nil
    case .archiveEnd: return isEmpty ? .archiveEnd : nil
    case .goodbye: return isEmpty ? .goodbye : nil
    case .request: return request(body)
    case .chunk:
      guard let flags = body.word(at: 0), flags <= 1, let id = ChunkID(body, at: 8), body.byteCount > 40
      else { return nil }
      return .chunk(id, isCompressed: flags == 1, body.extracting(40..<body.byteCount).copy())
    case .missing:
      guard body.byteCount == 32, let id = ChunkID(body) else { return nil }
      return .missing(id)
    case .abort: return abort(body)
    }
  }

  private static func request(_ body: RawSpan) -> RemoteMessage? {
    guard let flags = body.word(at: 0), flags <= 1, body.byteCount > 8, (body.byteCount - 8) % 32 == 0 else {
      return nil
    }
    var ids = [ChunkID]()
    for offset in stride(from: 8, to: body.byteCount, by: 32) {
      guard let id = ChunkID(body, at: offset) else { return nil }
      ids.append(id)
    }
    return .request(isUrgent: flags == 1, ids)
  }

  private static func abort(_ body: RawSpan) -> RemoteMessage? {
    guard let number = body.word(at: 0), number <= numberLimit, body.byteCount > 8 else { return nil }
    var text = body.extracting(8..<body.byteCount).copy()
    guard text.removeLast() == 0, text.allSatisfy({ $0 >= 32 && $0 != 127 }) else { return nil }
    return .abort(number: number, String(decoding: text, as: UTF8.self))
  }
}
