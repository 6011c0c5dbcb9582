// What is asked of a server, and what it answers.

/// A request to a server.
struct HTTPRequest: Sendable {
  enum Method: Sendable {
    case get, head, put, delete
  }

  var method = Method.get
  var url: String
  /// The most bytes that the body of an answer may have.
  var limit = 0
  /// Bytes to send with `put`, in pieces.
  var body: [[UInt8]] = []
  /// Lines `Name: value` of this request alone.
  var headers: [String] = []
  /// Who asks, for a server that wants requests to be signed.
  var signature: S3Signature?
  /// The bytes of the file that are wanted; `nil` is all of it.
  var range: Range<UInt64>?
  /// Whether a server sent us here from another one: what is meant for that one is not for this.
  var isElsewhere = false
  /// Bytes that an earlier, cut download left, and the validator under which the rest may follow.
  var partial: (bytes: [UInt8], validator: String)?
}

/// How an exchange with a server ended.
enum HTTPOutcome: Sendable {
  case response(HTTPResponse)
  /// No whole response came.
  case failed(reason: String, isTransient: Bool, isOverload: Bool)
}

/// A whole response.
struct HTTPResponse: Sendable {
  let status: Int
  /// Of an S3 server also the page of an error, as far as it is short.
  let body: [UInt8]
  /// Length of the body that the server announces.
  let length: UInt64?
  /// The server's ETag.
  let validator: String?
  /// Where the server sends us instead.
  let redirect: String?
  /// When the server wants to be asked again.
  let retryAfter: Duration?
  let isMultiplexed: Bool
}
