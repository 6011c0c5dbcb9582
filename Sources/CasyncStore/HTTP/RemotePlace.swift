internal import Synchronization

/// A place on a server, a file or a directory of files, and how it is asked for.
struct RemotePlace: Sendable {
  /// How messages call it.
  let name: String
  /// Its `http://` or `https://` URL.
  let url: String
  let client: HTTPClient

  /// A file in this directory.
  func file(_ path: String) -> RemotePlace {
    RemotePlace(name: "\(name)/\(path)", url: "\(url)/\(path)", client: client)
  }

  /// Asks for it. Does not block.
  /// - Parameters:
  ///   - limit: the most bytes that the body of the answer may have.
  ///   - cost: bytes of memory that the answer may take until its ticket is gone.
  ///   - onMiss: called when it turns out not to be there; must not block.
  func start(
    _ method: HTTPRequest.Method = .get, limit: Int = 0, cost: Int = 0, body: [[UInt8]] = [],
    onMiss: (@Sendable () -> Void)? = nil
  ) -> HTTPTicket {
    var request = HTTPRequest(method: method, url: url, limit: limit)
    request.body = body
    return client.start(request, cost: cost, onMiss: onMiss)
  }

  /// The answer to what was asked; `nil` when it is not there. Blocks.
  /// - Throws: `StoreError` (denied, unreachable), `CancellationError`.
  func response(_ ticket: HTTPTicket) throws -> HTTPResponse? {
    switch ticket.wait() {
    case .found(let response): return response
    case .missing: return nil
    case .failed(let code, let reason): throw StoreError(code, name, reason)
    case .cancelled: throw CancellationError()
    }
  }
}
