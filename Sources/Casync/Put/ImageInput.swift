import CasyncFormat
import CasyncIO

/// Where an image is read from: a file, a device, a pipe, or an NBD export. Blocks.
///
/// `@unchecked Sendable`: the state of a pipe is touched by the one thread that reads it.
final class ImageInput: @unchecked Sendable {
  private enum Kind {
    case file(File)
    case export(NBDExport)
    case pipe(File)
    case stream(ByteChannel)
    case disk(Disk)
  }

  private let kind: Kind
  private let cancellation: Cancellation
  /// What messages call it.
  let path: String
  /// Length in bytes; `nil` for a pipe.
  let size: UInt64?
  /// Permission bits of what is read, for the index made of it.
  let mode: UInt32
  let isDevice: Bool
  /// When a regular file was last written to before it was opened; `nil` for what does not tell.
  private let modified: Int64?

  /// A pipe's first bytes, kept because the layout is decided from them before they are cut.
  private var head: (bytes: Buffer, count: Int)?

  /// Opens `path`: a file, a block device, `-` for standard input, or an NBD URI.
  /// - Parameter extent: how much of it is the image.
  init(_ path: String, extent: PutRequest.Extent, _ cancellation: Cancellation) throws {
    self.path = path
    self.cancellation = cancellation
    if NBDExport.isURI(path) {
      let export = try NBDExport(path)
      kind = .export(export)
      size = try Self.limit(export.size, extent, path) { buffer in
        let count = min(buffer.count, Int(clamping: export.size))
        try export.read(at: 0, into: buffer, 0..<count)
        return count
      }
      mode = 0o666
      isDevice = true
      modified = nil
      return
    }
    let file = path == "-" ? File.standardInput : try File.open(path, .nonBlocking)
    let status = try file.status()
    mode = status.kind == .pipe ? 0o666 : status.mode
    isDevice = status.kind == .blockDevice
    modified = status.kind == .regular ? status.modified : nil
    switch status.kind {
    case .regular, .blockDevice:
      kind = .file(file)
      let full = isDevice ? try file.deviceSize() : status.size
      size = try Self.limit(full, extent, path) { buffer in
        try file.read(at: 0, into: buffer, 0..<buffer.count)
      }
    case .pipe, .characterDevice:
      kind = .pipe(file)
      guard extent == .whole else {
        throw JobError(.badRequest, "\(path): the size of a pipe cannot be limited")
      }
      size = nil
    case .directory, .other:
      throw JobError(
        .badRequest, "\(path) is no file or block device",
        hint: "an image is one file; directory trees are for make and .caidx")
    }
  }

  /// Takes what another thread makes.
  init(_ stream: ByteChannel, path: String, mode: UInt32, _ cancellation: Cancellation) {
    kind = .stream(stream)
    self.path = path
    self.mode = mode
    self.cancellation = cancellation
    size = nil
    isDevice = false
    modified = nil
  }

  /// Takes the first `size` bytes of a disk.
  init(_ disk: Disk, upTo size: UInt64, _ cancellation: Cancellation) {
    kind = .disk(disk)
    path = "the disk"
    self.size = size
    mode = 0o666
    isDevice = false
    modified = nil
    self.cancellation = cancellation
  }

  private static func limit(
    _ full: UInt64, _ extent: PutRequest.Extent, _ path: String, head read: (Buffer) throws -> Int
  ) throws -> UInt64 {
    switch extent {
    case .whole:
      return full
    case .bytes(let count):
      guard count <= full else {
        throw JobError(.badRequest, "\(path) holds \(full) bytes, fewer than the \(count) asked for")
      }
      return count
    case .fileSystem:
      let buffer = Buffer(count: 4096)
      let count = try read(buffer)
      let size = FileSystemSize.find(in: buffer.bytes.extracting(0..<count))
      return min(size ?? full, full)
    }
  }

  /// Whether it can be read at any offset, and knows its holes.
  var isSeekable: Bool {
    switch kind {
    case .file, .export, .disk: true
    case .pipe, .stream: false
    }
  }

  /// Whether `checkUnchanged` would see that it changed: it is a regular file.
  var showsChanges: Bool { modified != nil }

  /// - Throws: `JobError` if it is a regular file that was written to since it was opened.
  func checkUnchanged() throws {
    guard case .file(let file) = kind, let modified, try file.status().modified != modified else { return }
    throw JobError(
      .io, "\(path) changed while it was read",
      hint: "what was cut is of no one moment: run it again when nothing writes to it, or on a copy")
  }

  /// Fills `range` of `buffer` from `offset`; a pipe is read in order.
  /// - Returns: how many bytes there were; fewer than asked only at the end.
  func read(at offset: UInt64, into buffer: Buffer, _ range: Range<Int>) throws -> Int {
    let wanted = size.map { Int(clamping: min($0 - min(offset, $0), UInt64(range.count))) } ?? range.count
    let part = range.lowerBound..<range.lowerBound + wanted
    switch kind {
    case .file(let file):
      let count = try file.read(at: offset, into: buffer, part)
      guard count == wanted else {
        throw JobError(.io, "\(path) became shorter while it was read")
      }
      return count
    case .export(let export):
      try export.read(at: offset, into: buffer, part)
      return wanted
    case .disk(let disk):
      try disk.read(at: offset, into: buffer, part)
      return wanted
    case .pipe(let file):
      return try readAhead(at: offset, into: buffer, part) { rest in
        try file.readNext(into: buffer, rest, cancellation)
      }
    case .stream(let channel):
      return try readAhead(at: offset, into: buffer, part) { rest in
        try channel.read(into: buffer, rest)
      }
    }
  }

  /// Takes from `head` what it still has, the rest from the stream.
  private func readAhead(
    at offset: UInt64, into buffer: Buffer, _ range: Range<Int>, next: (Range<Int>) throws -> Int
  ) throws -> Int {
    var done = 0
    if let head, offset < UInt64(head.count) {
      done = min(range.count, head.count - Int(offset))
      buffer.copy(Int(offset)..<Int(offset) + done, of: head.bytes, to: range.lowerBound)
    }
    return try done + next(range.lowerBound + done..<range.upperBound)
  }

  /// The first bytes of the stream, at most as many as `buffer` holds; they are read again afterwards as if
  /// nobody had.
  func peek(into buffer: Buffer) throws -> Int {
    guard !isSeekable else { return try read(at: 0, into: buffer, 0..<buffer.count) }
    let bytes = Buffer(count: buffer.count)
    let count = try read(at: 0, into: bytes, 0..<bytes.count)
    buffer.copy(0..<count, of: bytes, to: 0)
    head = (bytes, count)
    return count
  }

  /// The first stretch of `range` that is not a hole; `nil` when all of it is one.
  func nextData(in range: Range<UInt64>) throws -> Range<UInt64>? {
    switch kind {
    case .file(let file): isDevice ? range : try file.nextData(in: range)
    case .export(let export): try export.nextData(in: range)
    case .disk(let disk): disk.nextData(in: range)
    case .pipe, .stream: range
    }
  }
}
