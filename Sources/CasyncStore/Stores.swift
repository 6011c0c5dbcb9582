package import CasyncIO
internal import Synchronization

/// Opens stores and reads indexes wherever they are: a path, or an `http://` or `https://` URL.
///
/// What is remote shares one client, made when it is first needed.
package final class Stores: Sendable {
  private let settings: ConnectionSettings
  private let cancellation: Cancellation
  private let client = Mutex<HTTPClient?>(nil)

  /// - Parameter cancellation: ends what waits for a server.
  package init(_ settings: ConnectionSettings, _ cancellation: Cancellation = Cancellation()) {
    self.settings = settings
    self.cancellation = cancellation
  }

  /// Whether a location is a URL that this can read.
  package static func isRemote(_ location: String) -> Bool {
    location.hasPrefix("http://") || location.hasPrefix("https://")
  }

  /// How a location is named in messages: a URL without user, password and arguments, which may be secrets.
  package static func name(_ location: String) -> String {
    guard isRemote(location), let scheme = location.firstRange(of: "://") else { return location }
    let end = location.firstIndex { "?;#".contains($0) } ?? location.endIndex
    let rest = location[..<end][scheme.upperBound...]
    let authority = rest.prefix { $0 != "/" }
    let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
    return "\(location[..<scheme.upperBound])\(host)\(rest[authority.endIndex...])"
  }

  /// Opens a store to read from. A remote one is not asked yet.
  /// - Throws: `StoreError` when a local store is not there, `SystemError`.
  package func open(_ location: String) throws -> any ChunkStore {
    guard Self.isRemote(location) else { return try LocalStore(location) }
    return HTTPStore(location, http, suffix: LocalStore.standardSuffix)
  }

  /// The bytes of an index at a URL. A download that is cut goes on where it was. Blocks.
  /// - Parameter limit: the most bytes that are taken.
  /// - Throws: `StoreError` (notFound, denied, unreachable), `CancellationError`.
  package func download(_ url: String, limit: Int) throws -> [UInt8] {
    let ticket = http.start(HTTPRequest(url: url, limit: limit), cost: 0)
    switch ticket.wait() {
    case .found(let body, _): return body
    case .missing: throw StoreError(.notFound, Self.name(url), "not there")
    case .failed(let code, let reason): throw StoreError(code, Self.name(url), reason)
    case .cancelled: throw CancellationError()
    }
  }

  private var http: HTTPClient {
    client.withLock { client in
      if let client { return client }
      let new = HTTPClient(settings, cancellation)
      client = new
      return new
    }
  }
}
