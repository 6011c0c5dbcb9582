public import CasyncArchive
import CasyncFormat
import CasyncIO
public import CasyncStore

/// Where the bytes of an archive come from: paths and URLs.
public enum TreeSource: Sendable {
  /// A directory, archived as `options` say while it is read.
  case directory(path: String, options: TreeOptions)
  /// A tar archive, made an archive of ours as `options` say; `-` is standard input. Content waits for its
  /// turn in a file in the directory `temporary`.
  case tar(path: String, options: TreeOptions, temporary: String)
  /// An archive; `-` is standard input.
  case archive(path: String)
  /// An archive elsewhere.
  case remoteArchive(url: String, ConnectionSettings = ConnectionSettings())
  /// An index and the stores that hold its chunks.
  case index(path: String, stores: [String], ConnectionSettings = ConnectionSettings())

  /// What messages call it.
  var path: String {
    switch self {
    case .directory(let path, _), .tar(let path, _, _), .archive(let path), .remoteArchive(let path, _),
      .index(let path, _, _):
      path
    }
  }

  /// Passes the bytes of the archive on, made on another thread. Blocks.
  /// - Parameter index: what `index` gave.
  func forEach(_ index: Index?, _ progress: Progress, _ body: (RawSpan) throws -> Void) throws {
    switch self {
    case .directory, .tar:
      let cancellation = progress.cancellation
      progress.begin(.working, total: 0)
      try ByteChannel.run { channel in
        try archive(into: channel, cancellation)
      } consume: { channel in
        try channel.forEach(body)
      }
    case .archive(let path): try Self.read(path, progress, body)
    case .remoteArchive(let url, let connection):
      progress.begin(.working, total: 0)
      try Stores(connection, progress.cancellation).stream(url) { bytes in
        try progress.cancellation.check()
        try body(bytes)
        progress.advance(bytes.byteCount)
      }
    case .index(_, let stores, let connection):
      guard let index, index.count > 0 else { throw CatarError(.truncated, at: 0) }
      let fetcher = try ChunkFetcher(
        stores: stores, cache: nil, Stores(connection, progress.cancellation))
      try ByteChannel.run { channel in
        try Assembler.stream(index, fetcher, to: "the archive", progress) { try channel.write($0, $1) }
      } consume: { channel in
        try channel.forEach(body)
      }
    }
  }

  /// Makes the archive of a directory or tar archive on the calling thread. Blocks.
  func archive(into channel: ByteChannel, _ cancellation: Cancellation) throws {
    switch self {
    case .directory(let path, let options):
      try TreeEncoder(options, cancellation) {
        try channel.write($0)
      } content: {
        try channel.write(contentOf: $0.file, size: $0.size)
      }.encode(path)
    case .tar(let path, let options, let temporary):
      try TarTree(path, options, spoolingIn: temporary, cancellation).encode { try channel.write($0) }
    case .archive, .remoteArchive, .index: preconditionFailure("an archive is there already")
    }
  }

  /// What goes into an archive that is made.
  var options: TreeOptions? {
    switch self {
    case .directory(_, let options), .tar(_, let options, _): options
    case .archive, .remoteArchive, .index: nil
    }
  }

  /// Permission bits of what an archive is made of.
  func mode() throws -> UInt32 {
    guard path != "-" else { return 0o666 }
    return try File.open(path).status().mode
  }

  /// The index, where there is one; read once, since it may come from a pipe.
  func index() throws -> Index? {
    guard case .index(let path, _, let connection) = self else { return nil }
    return try IndexFile.read(path, Stores(connection))
  }

  private static func read(_ path: String, _ progress: Progress, _ body: (RawSpan) throws -> Void) throws {
    let file = path == "-" ? File.standardInput : try File.open(path)
    progress.begin(.working, total: try file.status().size)
    let buffer = Buffer(count: 1 << 20)
    while true {
      let count = try file.readNext(into: buffer, 0..<buffer.count, progress.cancellation)
      try body(buffer.bytes.extracting(0..<count))
      progress.advance(count)
      if count < buffer.count { return }
    }
  }
}
