import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore

/// Index files as files: read whole, written under a temporary name.
enum IndexFile {
  /// The longest index that is read: 2^27 chunks, 5 GiB.
  private static let limit = (1 << 27) * 40 + 104

  /// Reads the index at a path, standard input (`-`), or, with somebody who reaches them, elsewhere. Blocks.
  /// - Throws: `JobError` (damaged) that names the file and the byte, `SystemError`, `StoreError`.
  static func read(_ location: String, _ opener: Stores? = nil) throws -> Index {
    try decode(bytes(of: location, opener), of: location)
  }

  /// - Parameter location: where the bytes are from.
  static func decode(_ bytes: [UInt8], of location: String) throws -> Index {
    let path = Stores.name(location)
    do throws(IndexError) {
      return try Index(decoding: bytes.rawSpan)
    } catch {
      let hint =
        error.code == .truncated ? "fetch or make the index again: it was not written to its end" : nil
      throw JobError(.damaged, "\(path): \(error)", hint: hint)
    }
  }
}

extension IndexFile {
  /// Writes the bytes of a whole index; it appears under its name when it is durable. Blocks.
  static func write(_ bytes: [UInt8], to location: String, _ opener: Stores) throws {
    guard !Location(location).isRemote else { return try opener.write([bytes], to: location) }
    let file = try OutputFile(location, mode: 0o666)
    try file.write(bytes.rawSpan)
    try file.finish()
  }

  static func bytes(of location: String, _ opener: Stores?) throws -> [UInt8] {
    guard let opener, Location(location).isRemote else {
      return try (location == "-" ? File.standardInput : File.open(location)).readAll(limit: limit)
    }
    let bytes = try opener.read(location, limit: limit)
    guard !HTTPStore.isWebPage(bytes) else {
      throw JobError(
        .damaged,
        "\(Stores.name(location)): the answer is a web page, not an index",
        hint: "a login page or a proxy answered instead of the server")
    }
    return bytes
  }
}

/// Writes an index while its chunks become known; it appears under its name only when it is whole and
/// durable.
final class IndexFileWriter {
  private enum Output {
    case standardOutput
    case file(File)
    case remote(Stores)
  }

  private let location: String
  private let output: Output
  private var encoder = IndexEncoder()
  private var digest = StreamDigest(.sha256)
  private var pending: [UInt8]
  /// What goes elsewhere is kept until it is whole.
  private var pieces: [[UInt8]] = []
  private var isFinished = false

  /// - Parameters:
  ///   - location: where the index will be; `-` writes it to standard output.
  ///   - mode: permission bits of what was cut; the index gets the read and write bits of them, less the
  ///     umask.
  ///   - opener: who reaches what is not local; without one `location` is a path.
  init(_ location: String, flags: FeatureFlags, chunker: Chunker, mode: UInt32, _ opener: Stores? = nil)
    throws
  {
    self.location = location
    pending = IndexEncoder.header(flags: flags, chunker: chunker)
    if location == "-" {
      output = .standardOutput
    } else if let opener, Location(location).isRemote {
      output = .remote(opener)
    } else {
      output = .file(
        try FileSystem.createTemporary(
          in: FileSystem.parent(of: location), prefix: ".#\(FileSystem.name(of: location))",
          mode: mode & 0o666))
    }
  }

  deinit {
    // Reached unfinished only after a failure, whose error is the one to report.
    if !isFinished, case .file(let file) = output { _ = try? FileSystem.remove(file.path) }
  }

  /// Number of chunks so far.
  var count: Int { encoder.count }

  /// The next chunk.
  func append(length: Int, id: ChunkID) throws {
    encoder.append(length: length, id: id, to: &pending)
    if pending.count >= 64 << 10 { try write() }
  }

  private func write() throws {
    let bytes = pending
    pending = []
    digest.update(bytes.rawSpan)
    switch output {
    case .standardOutput: try File.standardOutput.writeNext(bytes.rawSpan)
    case .file(let file): try file.writeNext(bytes.rawSpan)
    case .remote: pieces.append(bytes)
    }
  }

  /// Writes the tail, makes the index durable and gives it its name.
  /// - Returns: SHA-256 of the whole index.
  @discardableResult
  func finish() throws -> ChunkID {
    encoder.appendTail(to: &pending)
    try write()
    switch output {
    case .standardOutput: break
    case .remote(let opener): try opener.write(pieces, to: location)
    case .file(let file):
      try file.sync()
      try FileSystem.rename(file.path, to: location)
      isFinished = true
      try FileSystem.syncParent(of: location)
    }
    return digest.copy().finish()
  }
}
