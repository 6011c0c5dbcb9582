package import CasyncIO
internal import Synchronization

/// Opens stores and reads and writes indexes wherever they are (`Location`): what is asked of a place goes
/// through here, and what kind of place it is matters nowhere else.
///
///     open    a store to read chunks from
///     writer  a store to add chunks to
///     read    an index or archive as a whole
///     write   an index as a whole, when its chunks are durable
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

  /// Whether a location is remote and of a kind that is known here.
  package static func reaches(_ location: String) -> Bool {
    switch Location(location) {
    case .http: true
    case .path, .s3, .sftp, .ssh, .unknown: false
    }
  }

  /// How a location is named in messages: a URL without user, password and arguments, which may be secrets.
  package static func name(_ location: String) -> String {
    guard Location(location).isRemote, let scheme = location.firstRange(of: "://") else { return location }
    let end = location.firstIndex { "?;#".contains($0) } ?? location.endIndex
    let rest = location[..<end][scheme.upperBound...]
    let authority = rest.prefix { $0 != "/" }
    let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
    return "\(location[..<scheme.upperBound])\(host)\(rest[authority.endIndex...])"
  }

  /// Opens a store to read from. A remote one is not asked yet.
  /// - Throws: `StoreError` when a local store is not there, `SystemError`.
  package func open(_ location: String) throws -> any ChunkStore {
    switch Location(location) {
    case .path(let path): try LocalStore(path)
    case .http(let url): HTTPStore(place(HTTPStore.base(url)), suffix: LocalStore.standardSuffix)
    case .s3, .sftp, .ssh, .unknown: throw Self.unsupported(location)
    }
  }

  /// Opens a store to add chunks to; a local one is made when it is not there. Blocks: a local one for a
  /// collection that is under way.
  /// - Throws: `StoreError`, `SystemError`, `CancellationError`.
  package func writer(_ location: String) throws -> any StoreWriter {
    switch Location(location) {
    case .path(let path): try LocalStoreWriter(LocalStore.create(path))
    case .http(let url):
      try HTTPStoreWriter(HTTPStore(place(HTTPStore.base(url)), suffix: LocalStore.standardSuffix))
    case .s3, .sftp, .ssh, .unknown: throw Self.unsupported(location)
    }
  }

  /// The bytes of an index or archive that is remote. A download that is cut goes on where it was. Blocks.
  /// - Parameter limit: the most bytes that are taken.
  /// - Throws: `StoreError` (notFound, denied, unreachable), `CancellationError`.
  package func read(_ location: String, limit: Int) throws -> [UInt8] {
    switch Location(location) {
    case .http(let url):
      let place = place(url)
      guard let response = try place.response(place.start(limit: limit)) else {
        throw StoreError(.notFound, place.name, "not there")
      }
      return response.body
    case .path, .s3, .sftp, .ssh, .unknown: throw Self.unsupported(location)
    }
  }

  /// Puts a whole index, given in pieces, at a remote location. Blocks until the server has it.
  /// - Throws: `StoreError` (denied, unreachable), `CancellationError`.
  package func write(_ pieces: [[UInt8]], to location: String) throws {
    switch Location(location) {
    case .http(let url):
      let place = place(url)
      guard try place.response(place.start(.put, body: pieces)) != nil else {
        throw StoreError(.denied, place.name, "the server does not take files here (status 404)")
      }
    case .path, .s3, .sftp, .ssh, .unknown: throw Self.unsupported(location)
    }
  }

  private static func unsupported(_ location: String) -> StoreError {
    StoreError(.unsupported, name(location), "this kind of location is not supported here")
  }

  private func place(_ url: String) -> RemotePlace {
    RemotePlace(name: Self.name(url), url: url, client: http)
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
