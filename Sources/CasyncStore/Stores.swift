package import CasyncIO
internal import Glibc
internal import Synchronization

/// Opens stores and reads and writes indexes wherever they are (`Location`): what is asked of a place goes
/// through here, and what kind of place it is matters nowhere else.
///
///     open         a store to read chunks from; `A|B` is a group of which one is asked until it fails
///     writer       a store to add chunks to
///     collectable  a store to list and to remove chunks from
///     read         an index or archive as a whole
///     stream       an archive, piece by piece
///     write        an index as a whole, when its chunks are durable
///
/// Places that are reached alike share one client, made when it is first needed.
package final class Stores: Sendable {
  private let settings: ConnectionSettings
  private let cancellation: Cancellation
  private let copies: IndexCopies?
  private let traffic = Traffic()

  private struct State {
    var clients: [ConnectionSettings: HTTPClient] = [:]
    /// By URL and settings: an index and chunks of one bucket know of each other.
    var buckets: [BucketKey: S3Bucket] = [:]
  }

  private struct BucketKey: Hashable {
    let url: String
    let settings: ConnectionSettings
  }

  private let state = Mutex(State())
  private let hosts: SSHHosts

  /// - Parameters:
  ///   - cancellation: ends what waits for a server.
  ///   - copies: directory in which copies of remote indexes are kept, so that one that has not changed is
  ///     not downloaded again.
  ///   - stores: locations of stores that will be read, where they are known before the index that goes with
  ///     them is read: what lies on one host comes over one connection.
  package init(
    _ settings: ConnectionSettings, _ cancellation: Cancellation = Cancellation(), copies: String? = nil,
    stores: [String] = []
  ) {
    self.settings = settings
    self.cancellation = cancellation
    self.copies = copies.map { IndexCopies(directory: $0) }
    hosts = SSHHosts(settings, cancellation, traffic, stores: stores)
  }

  /// Bytes that were received from servers so far.
  package var receivedBytes: UInt64 { traffic.received }

  /// Whether a location is remote and of a kind that is known here.
  package static func reaches(_ location: String) -> Bool {
    switch Location(location) {
    case .http, .s3, .sftp, .ssh: true
    case .path, .unknown: false
    }
  }

  /// The members of a group `A|B` of stores, one of which is a URL; else the location alone.
  package static func members(_ location: String) -> [String] {
    let members = location.split(separator: "|").map(String.init)
    return members.contains { $0.contains("://") } ? members : [location]
  }

  /// How a location is named in messages: a URL without user, password and arguments, which may be secrets.
  package static func name(_ location: String) -> String {
    let members = members(location)
    guard members.count == 1 else { return members.map(name).joined(separator: "|") }
    guard Location(location).isRemote, let scheme = location.firstRange(of: "://") else { return location }
    let end = location.firstIndex { "?;#".contains($0) } ?? location.endIndex
    let rest = location[..<end][scheme.upperBound...]
    let authority = rest.prefix { $0 != "/" }
    let host = authority.lastIndex(of: "@").map { authority[authority.index(after: $0)...] } ?? authority
    return "\(location[..<scheme.upperBound])\(host)\(rest[authority.endIndex...])"
  }

  // MARK: Stores

  /// Opens a store to read from. A remote one is not asked yet.
  /// - Throws: `StoreError` when a local store is not there, `SystemError`.
  package func open(_ location: String) throws -> any ChunkStore {
    let members = Self.members(location)
    guard members.count == 1 else { return FailoverStore(try members.map(open)) }
    switch Location(location) {
    case .path(let path): return try LocalStore(path)
    case .http, .s3, .sftp: return try remoteStore(location)
    case .ssh(let address): return try hosts.store(address)
    case .unknown: throw Self.unsupported(location)
    }
  }

  /// Opens a store to add chunks to; a local one is made when it is not there. Blocks: a local one for a
  /// collection that is under way.
  /// - Throws: `StoreError`, `SystemError`, `CancellationError`.
  package func writer(_ location: String) throws -> any StoreWriter {
    guard Self.members(location).count == 1 else {
      throw StoreError(.unsupported, Self.name(location), "chunks are written to one store, not to a group")
    }
    switch Location(location) {
    case .path(let path): return try LocalStoreWriter(LocalStore.create(path))
    case .http, .s3: return try HTTPStoreWriter(remoteStore(location))
    case .ssh(let address): return try hosts.writer(address)
    case .sftp, .unknown: throw Self.unsupported(location)
    }
  }

  /// Opens a store to go through it.
  /// - Throws: `StoreError` (unsupported) where chunks cannot be listed, `SystemError`.
  package func collectable(_ location: String) throws -> any CollectableStore {
    switch Location(location) {
    case .path(let path): return try LocalStore(path)
    case .s3:
      let (address, bucket, client) = try s3(location)
      return S3Listing(
        try remoteStore(location), bucket, key: address.key, suffix: LocalStore.standardSuffix,
        client: client, now: Int64(time(nil)))
    case .http, .sftp, .ssh, .unknown:
      throw StoreError(
        .unsupported, Self.name(location), "the chunks of such a store cannot be listed",
        hint: "run it where the store is a directory")
    }
  }

  private func remoteStore(_ location: String) throws -> HTTPStore {
    HTTPStore(try place(HTTPStore.base(location)), suffix: LocalStore.standardSuffix)
  }

  // MARK: Indexes

  /// The bytes of an index or archive that is remote. A download that is cut goes on where it was. Blocks.
  /// - Parameter limit: the most bytes that are taken.
  /// - Throws: `StoreError` (notFound, denied, unreachable), `CancellationError`.
  package func read(_ location: String, limit: Int) throws -> [UInt8] {
    switch Location(location) {
    case .http, .s3, .sftp: return try read(place(location), limit: limit)
    case .ssh(let address): return try hosts.read(address, limit: limit)
    case .path, .unknown: throw Self.unsupported(location)
    }
  }

  private func read(_ place: RemotePlace, limit: Int) throws -> [UInt8] {
    let copy = copies?.copy(of: place.url, limit: limit)
    let headers = copy.map { ["If-None-Match: \($0.validator)"] } ?? []
    let ticket = place.start(limit: limit, headers: headers)
    if let copy, case .unchanged = ticket.wait() { return copy.bytes }
    guard let response = try place.response(ticket) else {
      throw StoreError(.notFound, place.name, "not there")
    }
    if let validator = response.validator { copies?.keep(response.body, validator, of: place.url) }
    return response.body
  }

  /// Passes on the bytes of a remote archive, in their order, without holding more than a few pieces. Blocks.
  /// - Throws: as `read`, and what `body` throws.
  package func stream(_ location: String, _ body: (RawSpan) throws -> Void) throws {
    switch Location(location) {
    case .http, .s3: try place(location).stream(body)
    case .path, .sftp, .ssh, .unknown: throw Self.unsupported(location)
    }
  }

  /// Puts a whole index, given in pieces, at a remote location. Blocks until the server has it.
  /// - Throws: `StoreError` (denied, unreachable), `CancellationError`.
  package func write(_ pieces: [[UInt8]], to location: String) throws {
    switch Location(location) {
    case .http, .s3:
      let place = try place(location)
      try place.finishPut(place.start(.put, body: pieces))
    case .ssh(let address): try hosts.write(pieces, to: address)
    case .path, .sftp, .unknown: throw Self.unsupported(location)
    }
  }

  /// Refuses an index and a store to write that do not go together.
  /// - Throws: `StoreError` (unsupported).
  package static func checkWriting(index: String, store: String) throws {
    try SSHHosts.checkWriting(index: index, store: store)
  }

  private static func unsupported(_ location: String) -> StoreError {
    StoreError(.unsupported, name(location), "this kind of location is not supported here")
  }

  // MARK: Places

  private func place(_ location: String) throws -> RemotePlace {
    switch Location(location) {
    case .s3: break
    case .sftp:
      return RemotePlace(name: Self.name(location), url: location, client: try sftpClient(location))
    default:
      return RemotePlace(
        name: Self.name(location), url: location, client: client(for: settings.settings(for: location)))
    }
    let (address, bucket, client) = try s3(location)
    let url = address.key.isEmpty ? bucket.url : "\(bucket.url)/\(address.key)"
    return RemotePlace(name: Self.name(location), url: url, client: client, bucket: bucket)
  }

  private func s3(_ location: String) throws -> (S3Address, S3Bucket, HTTPClient) {
    let settings = settings.settings(for: location)
    let profile = try AWSProfile(settings)
    guard let address = S3Address(location, endpoint: profile.endpoint, region: profile.region) else {
      throw StoreError(
        .unsupported, Self.name(location), "no bucket is named",
        hint: "write s3://BUCKET/PREFIX or s3+https://HOST/BUCKET/PREFIX")
    }
    let client = client(for: settings)
    let bucket = state.withLock { state in
      let key = BucketKey(url: address.bucketURL, settings: settings)
      if let bucket = state.buckets[key] { return bucket }
      let signature = profile.credentials.map { S3Signature(credentials: $0, region: profile.region) }
      let bucket = S3Bucket(url: address.bucketURL, signature)
      state.buckets[key] = bucket
      return bucket
    }
    return (address, bucket, client)
  }

  /// sshd lets only few in at one time who have not shown a key yet.
  private static let sftpConnections = 6

  private func sftpClient(_ location: String) throws -> HTTPClient {
    var settings = settings.settings(for: location)
    settings.connections = Self.sftpConnections
    let keys = ["id_ed25519", "id_ecdsa", "id_rsa"].map { "\(settings.sshDirectory)/\($0)" }
    settings.sshKey = try settings.sshKey ?? keys.first { try File.status($0) != nil }
    return client(for: settings)
  }

  private func client(for settings: ConnectionSettings) -> HTTPClient {
    state.withLock { state in
      if let client = state.clients[settings] { return client }
      let client = HTTPClient(settings, cancellation, traffic)
      state.clients[settings] = client
      return client
    }
  }
}
