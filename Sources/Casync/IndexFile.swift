import CasyncFormat
import CasyncIO

/// Index files as files: read whole, written under a temporary name.
enum IndexFile {
  /// The longest index that is read: 2^27 chunks, 5 GiB.
  private static let limit = (1 << 27) * 40 + 104

  /// Reads the index at `path`; `-` is standard input. Blocks.
  /// - Throws: `JobError` (damaged) that names the file and the byte, `SystemError`.
  static func read(_ path: String) throws -> Index {
    let file = path == "-" ? File.standardInput : try File.open(path)
    let bytes = try file.readAll(limit: limit)
    do throws(IndexError) {
      return try Index(decoding: bytes.rawSpan)
    } catch {
      let hint =
        error.code == .truncated ? "fetch or make the index again: it was not written to its end" : nil
      throw JobError(.damaged, "\(path): \(error)", hint: hint)
    }
  }
}

/// Writes an index while its chunks become known; it appears under its name only when it is whole and durable.
final class IndexFileWriter {
  private let path: String
  private let file: File
  private var encoder = IndexEncoder()
  private var pending: [UInt8]
  private var isFinished = false

  /// - Parameters:
  ///   - path: where the index will be; `-` writes it to standard output.
  ///   - mode: permission bits of what was cut; the index gets the read and write bits of them, less the umask.
  init(_ path: String, flags: FeatureFlags, chunker: Chunker, mode: UInt32) throws {
    self.path = path
    pending = IndexEncoder.header(flags: flags, chunker: chunker)
    if path == "-" {
      file = .standardOutput
    } else {
      file = try FileSystem.createTemporary(
        in: FileSystem.parent(of: path), prefix: ".#\(FileSystem.name(of: path))", mode: mode & 0o666)
    }
  }

  deinit {
    // Reached unfinished only after a failure, whose error is the one to report.
    if !isFinished, path != "-" { _ = try? FileSystem.remove(file.path) }
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
    try file.writeNext(bytes.rawSpan)
  }

  /// Writes the tail, makes the file durable and gives it its name.
  func finish() throws {
    encoder.appendTail(to: &pending)
    try write()
    guard path != "-" else { return }
    try file.sync()
    try FileSystem.rename(file.path, to: path)
    isFinished = true
    try FileSystem.syncParent(of: path)
  }
}
