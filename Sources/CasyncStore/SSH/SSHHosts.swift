internal import CasyncIO
internal import Synchronization

/// Everything that one run reaches by SSH: an index and a store on the same host share a connection.
final class SSHHosts: Sendable {
  private struct State {
    /// Clients by the location of their store.
    var clients: [String: SSHClient] = [:]
    /// Where chunks lie until the index is pushed, with the location of their store.
    var spool: (location: String, spool: ChunkSpool)?
  }

  private let settings: ConnectionSettings
  private let cancellation: Cancellation
  private let traffic: Traffic
  /// Stores that will be read, known before the index is.
  private let expected: [String]
  private let state = Mutex(State())

  init(
    _ settings: ConnectionSettings, _ cancellation: Cancellation, _ traffic: Traffic, stores: [String]
  ) {
    self.traffic = traffic
    expected = stores
    self.settings = settings
    self.cancellation = cancellation
  }

  private var programs: SSHAddress.Programs {
    SSHAddress.Programs(ssh: settings.sshProgram, remote: settings.remoteProgram)
  }

  // MARK: Reading

  /// A store to read from. The host is not asked yet.
  /// - Throws: `StoreError` (unsupported) for a bad address, `SystemError`.
  func store(_ location: String) throws -> SSHStore {
    try SSHStore(name: location, client(location, try SSHAddress(location), nil))
  }

  /// The bytes of an index or, by its suffix, an archive. Blocks.
  func read(_ location: String, limit: Int) throws -> [UInt8] {
    let address = try SSHAddress(location)
    let neighbour = expected.first { store in
      // A store whose address is bad is told of when it is opened.
      guard case .ssh = Location(store), let other = try? SSHAddress(store) else { return false }
      return other.isBeside(address)
    }
    let client = try client(neighbour, address, location)
    switch client.start(.file(limit: limit), cost: 0).wait() {
    case .file(let bytes): return bytes
    case .failed(let code, let reason, let hint): throw StoreError(code, location, reason, hint: hint)
    case .cancelled: throw CancellationError()
    case .chunk, .missing: throw StoreError(.notFound, location, "not there")
    }
  }

  /// - Parameters:
  ///   - store: location of a store that the client is to read.
  ///   - file: location of an index or archive that it is to read first, on the host of `address`.
  private func client(_ store: String?, _ address: SSHAddress, _ file: String?) throws -> SSHClient {
    if file == nil, let store, let known = state.withLock({ $0.clients[store] }) { return known }
    var target = SSHTarget(address: address, programs: programs, name: file ?? store ?? "")
    if file?.hasSuffix(".catar") ?? false {
      target.archive = address.path
    } else if file != nil {
      target.index = address.path
    }
    target.store = try store.map { try SSHAddress($0).path }
    let client = try SSHClient(
      target, settings.settings(for: target.name), cancellation, traffic)
    if let store { state.withLock { $0.clients[store] = client } }
    return client
  }

  // MARK: Writing

  /// Where to put the chunks that go to a store; they are pushed with the index that names them.
  func writer(_ location: String) throws -> any StoreWriter {
    _ = try SSHAddress(location)
    let spool = try ChunkSpool(in: settings.temporaryDirectory)
    state.withLock { $0.spool = (location, spool) }
    return spool.writer
  }

  /// Pushes an index and the chunks that were put aside for the store beside it. Blocks until the host has
  /// them.
  func write(_ pieces: [[UInt8]], to location: String) throws {
    let address = try SSHAddress(location)
    let spool = state.withLock { $0.spool }
    // Of an index without chunks nobody has said where its store is, and it needs none.
    let directory = address.path.lastIndex(of: "/").map { address.path[...$0] } ?? ""
    let store = try spool.map { try SSHAddress($0.location).path } ?? "\(directory)default.castr"
    let target = SSHTarget(
      address: address, index: address.path, store: store, programs: programs, name: location)
    try SSHPush(
      target: target, settings: settings.settings(for: location), cancellation: cancellation,
      index: Self.split(pieces),
      chunks: spool?.spool.writer.store
    ).run()
  }

  /// The same bytes in pieces that a message can carry; the first still holds the header.
  private static func split(_ pieces: [[UInt8]]) -> [[UInt8]] {
    pieces.flatMap { piece in
      stride(from: 0, to: piece.count, by: pieceLength).map { start in
        Array(piece[start..<min(piece.count, start + pieceLength)])
      }
    }
  }

  private static let pieceLength = 256 << 10

  /// Refuses what the protocol cannot write: an index without its store, or the other way round.
  static func checkWriting(index: String, store: String) throws {
    let hint = "put both on the same host, as in put HOST:dir/NAME.caibx IMAGE"
    switch (Location(index), Location(store)) {
    case (.sftp, _), (_, .sftp):
      throw StoreError(
        .unsupported, Stores.name(index), "by SFTP indexes and stores are only read",
        hint: "write ssh:// instead")
    case (.ssh, .ssh):
      guard try SSHAddress(index).isBeside(SSHAddress(store)) else {
        throw StoreError(
          .unsupported, store, "by SSH an index goes only to the host of its store", hint: hint)
      }
    case (.ssh, _):
      throw StoreError(.unsupported, index, "by SSH an index goes only to the host of its store", hint: hint)
    case (_, .ssh):
      throw StoreError(.unsupported, store, "by SSH chunks go only together with an index there", hint: hint)
    default: break
    }
  }
}

/// A store of our own in a temporary directory, gone when nobody has it any more.
final class ChunkSpool: Sendable {
  let writer: LocalStoreWriter

  init(in directory: String) throws {
    let path = "\(directory)/casync-\(String(UInt64.random(in: .min ... .max), radix: 16)).castr"
    try FileSystem.makeDirectory(path, mode: 0o700)
    writer = try LocalStoreWriter(LocalStore(path))
  }

  deinit {
    // What cannot be removed lies in a directory for temporary files.
    try? Self.remove(writer.store.path)
  }

  private static func remove(_ path: String) throws {
    for prefix in try FileSystem.names(in: path) {
      for name in try FileSystem.names(in: "\(path)/\(prefix)") {
        try FileSystem.remove("\(path)/\(prefix)/\(name)")
      }
      _ = try FileSystem.removeEmptyDirectory("\(path)/\(prefix)")
    }
    _ = try FileSystem.removeEmptyDirectory(path)
  }
}
