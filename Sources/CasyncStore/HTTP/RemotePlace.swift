internal import Synchronization

/// A place on a server, a file or a directory of files, and how it is asked for.
struct RemotePlace: Sendable {
  /// How messages call it.
  let name: String
  /// Its `http://` or `https://` URL.
  let url: String
  let client: HTTPClient
  /// The bucket that it is in, of S3.
  var bucket: S3Bucket?

  /// A file in this directory.
  func file(_ path: String) -> RemotePlace {
    RemotePlace(name: "\(name)/\(path)", url: "\(url)/\(path)", client: client, bucket: bucket)
  }

  /// Asks for it. Does not block.
  /// - Parameters:
  ///   - limit: the most bytes that the body of the answer may have.
  ///   - cost: bytes of memory that the answer may take until its ticket is gone.
  ///   - onMiss: called when it turns out not to be there; must not block.
  func start(
    _ method: HTTPRequest.Method = .get, limit: Int = 0, cost: Int = 0, body: [[UInt8]] = [],
    headers: [String] = [], range: Range<UInt64>? = nil, onMiss: (@Sendable () -> Void)? = nil
  ) -> HTTPTicket {
    var request = HTTPRequest(method: method, url: url, limit: limit)
    request.body = body
    request.headers = headers
    request.range = range
    bucket?.sign(&request)
    return client.start(request, cost: cost, onMiss: onMiss)
  }

  /// The answer to what was asked; `nil` when it is not there. Blocks.
  /// - Throws: `StoreError` (denied, unreachable), `CancellationError`.
  func response(_ ticket: HTTPTicket) throws -> HTTPResponse? {
    switch ticket.wait() {
    case .found(let response):
      bucket?.hasServed.store(true, ordering: .relaxed)
      return response
    case .missing: return nil
    case .failed(.denied, _) where ticket.isQuestion && bucket?.hasServed.load(ordering: .relaxed) ?? false:
      return nil
    case .failed(let code, let reason): throw StoreError(code, name, reason)
    case .unchanged: throw StoreError(.unreachable, name, "the server answers with status 304")
    case .cancelled: throw CancellationError()
    }
  }

  /// Uploads what `start` with `put` was given. Blocks.
  /// - Throws: as `response`.
  func finishPut(_ ticket: HTTPTicket) throws {
    guard try response(ticket) == nil else { return }
    throw StoreError(
      .denied, name, "the server does not take files here (status 404)",
      hint: "the directory or bucket must be there")
  }
}
