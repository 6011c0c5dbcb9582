import CasyncArchive
import CasyncChunking
public import CasyncFormat
import CasyncIO
import Synchronization

// make of a tree: directory or tar → TreeEncoder (a thread of its own) → ByteChannel → the pipeline of put,
// or the archive's file.

/// Archive a directory tree and cut the archive into a store: `put`, with a tree for an image.
public struct MakeTreeRequest: Sendable {
  /// What to do with the archive.
  public var put: PutRequest
  /// A directory or tar archive.
  public var source: TreeSource

  public init(put: PutRequest, source: TreeSource) {
    self.put = put
    self.source = source
  }

  /// Archives the tree, stores its chunks and writes the index. Blocks until all of it is durable.
  /// - Throws: `ArchiveError`, and as `PutRequest.run`.
  public func run(_ progress: Progress) throws -> PutSummary {
    guard let options = source.options else {
      throw JobError(.badRequest, "\(source.path): an archive already")
    }
    let mode = try source.mode()
    var put = put
    put.flags = options.features
    put.digest = options.features.digest
    put.digestsImage = true
    let cancellation = progress.cancellation
    return try ByteChannel.run { [source] channel in
      try source.archive(into: channel, cancellation)
    } consume: { [put] channel in
      try put.run(ImageInput(channel, path: source.path, mode: mode, cancellation), progress)
    }
  }
}

/// Cut an archive that is there into a store: `put`, of an archive.
public struct PutArchiveRequest: Sendable {
  /// What to do with the archive, which is its `input`; its flags are the archive's.
  public var put: PutRequest

  public init(put: PutRequest) { self.put = put }

  /// Stores the chunks of the archive and writes the index. Blocks until all of it is durable.
  /// - Throws: `JobError` (damaged) for what is no archive, or a part of one; as `PutRequest.run`.
  public func run(_ progress: Progress) throws -> PutSummary {
    let file = put.input == "-" ? File.standardInput : try File.open(put.input)
    let head = Buffer(count: 64)
    let count = try file.readNext(into: head, 0..<head.count, progress.cancellation)
    var reader = ArchiveReader()
    var put = put
    do {
      try reader.push(head.bytes.extracting(0..<count)) { _, _, _ in }
      guard let features = reader.decoder.features else { throw CatarError(.truncated, at: UInt64(count)) }
      put.flags = features
      put.digest = features.digest
    } catch let error as CatarError {
      throw JobError(.damaged, "\(put.input): \(error)")
    }
    let mode = try file.status().mode
    let (path, cancellation) = (put.input, progress.cancellation)
    return try ByteChannel.run { channel in
      try Self.pass(head, count, file, to: channel, path, cancellation)
    } consume: { [put] channel in
      try put.run(ImageInput(channel, path: path, mode: mode, cancellation), progress)
    }
  }

  /// Passes on the archive and sees that it is one to its end; what follows that is left out.
  private static func pass(
    _ head: Buffer, _ headCount: Int, _ file: File, to channel: ByteChannel, _ path: String,
    _ cancellation: Cancellation
  ) throws {
    var reader = ArchiveReader()
    let buffer = Buffer(count: 512 << 10)
    var count = headCount
    buffer.copy(0..<count, of: head, to: 0)
    var end: UInt64 = 0
    do {
      while count > 0, !reader.decoder.isAtEnd {
        try reader.push(buffer.bytes.extracting(0..<count)) { _, _, _ in }
        end += UInt64(count)
        let excess = reader.decoder.isAtEnd ? Int(end - reader.decoder.offset) : 0
        try channel.write(buffer.bytes.extracting(0..<count - excess))
        count = try file.readNext(into: buffer, 0..<buffer.count, cancellation)
      }
      try reader.finish()
    } catch let error as CatarError {
      throw JobError(.damaged, "\(path): \(error)")
    }
  }
}

/// Archive a directory tree or tar archive into a file.
public struct MakeArchiveRequest: Sendable {
  /// A directory or tar archive.
  public var source: TreeSource
  /// Path of the archive to write; `-` is standard output.
  public var archive: String

  public init(source: TreeSource, archive: String) {
    self.source = source
    self.archive = archive
  }

  /// Writes the archive. Blocks until it is durable under its name.
  /// - Returns: the digest of the archive.
  /// - Throws: `ArchiveError`, `SystemError`, `CancellationError`. After an error there is no archive.
  public func run(_ progress: Progress) throws -> ChunkID {
    guard let options = source.options else {
      throw JobError(.badRequest, "\(source.path): an archive already")
    }
    let mode = try source.mode()
    let output = try OutputFile(archive, mode: mode)
    progress.begin(.working, total: 0)
    let digest = Mutex(StreamDigest(options.features.digest))
    try source.forEach(nil, progress) { bytes in
      digest.withLock { $0.update(bytes) }
      try output.write(bytes)
      progress.advance(bytes.byteCount)
    }
    try output.finish()
    return digest.withLock { $0.copy() }.finish()
  }
}

/// A file that appears under its name only when it is whole and durable; `-` is standard output.
package final class OutputFile {
  private let path: String
  let file: File
  private var isFinished = false

  /// - Parameter mode: permission bits of what it is made from; it gets the read and write bits, less the
  ///   umask.
  package init(_ path: String, mode: UInt32) throws {
    self.path = path
    file =
      path == "-"
      ? .standardOutput
      : try FileSystem.createTemporary(
        in: FileSystem.parent(of: path), prefix: ".#\(FileSystem.name(of: path))", mode: mode & 0o666)
  }

  deinit {
    // Reached unfinished only after a failure, whose error is the one to report.
    if !isFinished, path != "-" { _ = try? FileSystem.remove(file.path) }
  }

  package func write(_ bytes: RawSpan) throws { try file.writeNext(bytes) }

  package func finish() throws {
    guard path != "-" else { return }
    try file.sync()
    try FileSystem.rename(file.path, to: path)
    isFinished = true
    try FileSystem.syncParent(of: path)
  }
}
