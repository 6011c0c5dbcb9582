/// Why the other end of casync's remote protocol cannot be talked with any further.
package struct ProtocolError: Error, Equatable, Sendable {
  package enum Code: Equatable, Sendable {
    /// The first bytes are no message: something else speaks there.
    case otherLanguage
    /// A message whose size cannot be.
    case size
    case unknownMessage(type: UInt64)
    /// A message with a body that it cannot have.
    case badBody(RemoteMessage.Kind)
    /// A message that may not come now.
    case unexpected(RemoteMessage.Kind)
    case badFlags(RemoteFlags)
    case unknownFlags(RemoteFlags)
    /// One end wants what the other does not offer.
    case notOffered(RemoteFlags)
    case nothingWanted
    /// The other end gave up, with an errno and its reason.
    case aborted(number: UInt64, String)
    /// The stream ended before it may.
    case cut
    /// What was said to be an index is none.
    case badIndex(IndexError)
    /// The other end lacks a chunk that it must have.
    case missing(ChunkID)
  }

  package let code: Code

  package init(_ code: Code) { self.code = code }
}

extension ProtocolError: CustomStringConvertible {
  package var description: String {
    switch code {
    case .otherLanguage: "what answers does not speak casync's protocol"
    case .size: "a message of an impossible size came"
    case .unknownMessage(let type): "an unknown message came (type \(Self.hex(type)))"
    case .badBody(let kind): "a damaged \(kind) message came"
    case .unexpected(let kind): "a \(kind) message came out of turn"
    case .badFlags(let flags): "impossible feature flags came (\(Self.hex(flags.rawValue)))"
    case .unknownFlags(let flags): "feature flags that are unknown came (\(Self.hex(flags.rawValue)))"
    case .notOffered(let wish): "\(Self.name(of: wish)) is not offered"
    case .nothingWanted: "neither end wants anything"
    case .aborted(let number, let text):
      text.isEmpty ? "the other end gave up (error \(number))" : "the other end gave up: \(text)"
    case .cut: "the connection was cut"
    case .badIndex(let error): "the index that came cannot be used: \(error)"
    case .missing(let id): "the other end lacks the chunk \(id)"
    }
  }

  private static func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

  private static func name(of wish: RemoteFlags) -> String {
    switch wish {
    case .pullChunks: "reading chunks"
    case .pullIndex: "reading an index"
    case .pullArchive: "reading an archive"
    case .pushChunks: "storing chunks"
    case .pushIndex: "writing an index"
    default: "writing an archive"
    }
  }
}
