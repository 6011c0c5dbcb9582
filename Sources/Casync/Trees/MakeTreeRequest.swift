public import CasyncArchive
import CasyncChunking
public import CasyncFormat
import CasyncIO
import Synchronization

// make of a tree: directory → TreeEncoder (a thread of its own) → ByteChannel → the pipeline of put, or the
// archive's file.

/// Archive a directory tree and cut the archive into a store: `put`, with a tree for an image.
public struct MakeTreeRequest: Sendable {
  /// What to do with the archive; its `input` is the directory.
  public var put: PutRequest
  public var options: TreeOptions

  public init(put: PutRequest, options: TreeOptions) {
    self.put = put
    self.options = options
  }

  /// Archives the tree, stores its chunks and writes the index. Blocks until all of it is durable.
  /// - Throws: `ArchiveError`, and as `PutRequest.run`.
  public func run(_ progress: Progress) throws -> PutSummary {
    let mode = try File.open(put.input, .directory).status().mode
    var put = put
    put.flags = options.features
    put.digest = options.features.digest
    put.digestsImage = true
    let cancellation = progress.cancellation
    return try ByteChannel.run { [put, options] channel in
      try TreeEncoder(options, cancellation) { try channel.write($0) }.encode(put.input)
    } consume: { [put] channel in
      try put.run(ImageInput(channel, path: put.input, mode: mode, cancellation), progress)
    }
  }
}

/// Archive a directory tree into a file.
public struct MakeArchiveRequest: Sendable {
  public var directory: String
  /// Path of the archive to write; `-` is standard output.
  public var archive: String
  public var options: TreeOptions

  public init(directory: String, archive: String, options: TreeOptions) {
    self.directory = directory
    self.archive = archive
    self.options = options
  }

  /// Writes the archive. Blocks until it is durable under its name.
  /// - Returns: the digest of the archive.
  /// - Throws: `ArchiveError`, `SystemError`, `CancellationError`. After an error there is no archive.
  public func run(_ progress: Progress) throws -> ChunkID {
    let mode = try File.open(directory, .directory).status().mode
    let output = try OutputFile(archive, mode: mode)
    progress.begin(.working, total: 0)
    let digest = Mutex(StreamDigest(options.features.digest))
    let source = TreeSource.directory(path: directory, options: options)
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
  private let file: File
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
