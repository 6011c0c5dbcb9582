import CasyncIO
import Synchronization

/// What an image is written onto: a device, a file, standard output, or an NBD export. Blocks; shared by the
/// workers.
///
/// All offsets are those of the image; `base` is the one that lies at the target's first byte (a partition of
/// the image taken alone starts somewhere inside it).
final class Target: Sendable {
  enum Kind: Sendable, Equatable {
    case device, file, export, stream
  }

  /// Takes the bytes in a part of a window's buffer, which stay as they are while somebody has the window.
  typealias Sink = @Sendable (Window, Range<Int>) throws -> Void

  let kind: Kind
  let path: String
  let base: UInt64
  /// Everything is written in multiples of it, at multiples of it from `base`.
  let blockSize: UInt64
  /// Bytes the target holds; `nil` where it takes any number.
  let capacity: UInt64?
  /// Whether what the target holds may be part of the image already.
  let hasOldContent: Bool
  /// Whether writes and the reads of `readMedium` pass the page cache.
  let isDirect: Bool

  /// For writing, and for reading what is on the medium.
  private let file: File?
  /// For reading through the page cache.
  private let cached: File?
  private let export: NBDExport?
  /// Takes the bytes of a stream, in order.
  private let sink: Sink?
  /// Whether zeros must be written because the device cannot make them.
  private let writesZeros: Atomic<Bool>
  private let changed = Atomic(false)

  init(
    kind: Kind, path: String, base: UInt64, blockSize: Int = 1, capacity: UInt64? = nil,
    hasOldContent: Bool = false,
    isDirect: Bool = false, writesZeros: Bool = false, file: File? = nil, cached: File? = nil,
    export: NBDExport? = nil
  ) {
    self.kind = kind
    self.path = path
    self.base = base
    self.blockSize = UInt64(blockSize)
    self.capacity = capacity
    self.hasOldContent = hasOldContent
    self.isDirect = isDirect
    self.writesZeros = Atomic(writesZeros)
    self.file = file
    self.cached = cached
    self.export = export
    sink = nil
  }

  /// A target that is written strictly in order and cannot be read.
  init(streamTo path: String, base: UInt64, _ sink: @escaping Sink) {
    kind = .stream
    self.path = path
    self.base = base
    blockSize = 1
    capacity = nil
    hasOldContent = false
    isDirect = false
    writesZeros = Atomic(true)
    file = nil
    cached = nil
    export = nil
    self.sink = sink
  }

  /// The block boundary at or before `offset`.
  func alignDown(_ offset: UInt64) -> UInt64 {
    base + (offset - base) / blockSize * blockSize
  }

  /// The block boundary at or after `offset`.
  func alignUp(_ offset: UInt64) -> UInt64 {
    base + (offset - base + blockSize - 1) / blockSize * blockSize
  }

  /// Where the memory for a stretch that starts at `offset` starts.
  func windowStart(_ offset: UInt64) -> UInt64 {
    base + (offset - base) / UInt64(Buffer.alignment) * UInt64(Buffer.alignment)
  }
}

// MARK: - Reading

extension Target {
  /// Whether it can be read.
  var isReadable: Bool { kind != .stream }

  /// Fills `place` of `buffer` with the target's bytes from `offset` of the image, through the page cache.
  /// - Returns: whether there were so many.
  func read(at offset: UInt64, into buffer: Buffer, _ place: Range<Int>) throws -> Bool {
    if let export {
      guard offset - base + UInt64(place.count) <= export.size else { return false }
      try export.read(at: offset - base, into: buffer, place)
      return true
    }
    guard let cached else { return false }
    return try cached.read(at: offset - base, into: buffer, place) == place.count
  }

  /// Fills the window with the bytes of `range`, widened to whole blocks, as they are on the medium.
  /// - Returns: whether there were so many.
  func readMedium(_ range: Range<UInt64>, into window: Window) throws -> Bool {
    guard isDirect, let file else {
      return try read(at: range.lowerBound, into: window.buffer, window.place(range))
    }
    let blocks = alignDown(range.lowerBound)..<alignUp(range.upperBound)
    let place = window.place(blocks)
    return try file.read(at: blocks.lowerBound - base, into: window.buffer, place)
      >= Int(
        range.upperBound - blocks.lowerBound)
  }

  /// Drops cached pages, so that what is read next comes from the medium where O_DIRECT does not see to it.
  func dropCaches() throws {
    guard !isDirect else { return }
    if kind == .device { try cached?.dropDeviceCache() }
    if kind == .file { cached?.dropCache() }
  }

  /// Whether all of `range` is a hole of a file, which reads as zeros.
  func isHole(_ range: Range<UInt64>) throws -> Bool {
    guard kind == .file, let cached, try cached.status().size >= range.upperBound - base else { return false }
    return try cached.nextData(in: range.lowerBound - base..<range.upperBound - base) == nil
  }
}

// MARK: - Writing

extension Target {
  /// Pieces in which the device gets its zeros.
  private static let zeroPiece: UInt64 = 32 << 20
  /// Pieces in which it gets its data.
  private static let writePiece = 2 << 20

  /// Whether anything was written.
  var wasWritten: Bool { changed.load(ordering: .relaxed) }

  /// Writes `range`, whole blocks, out of the window. A stream must be written in order, and takes only
  /// bytes.
  func write(_ range: Range<UInt64>, from window: Window) throws {
    changed.store(true, ordering: .relaxed)
    var place = window.place(range)
    var offset = range.lowerBound - base
    while !place.isEmpty {
      let piece = place.lowerBound..<min(place.upperBound, place.lowerBound + Self.writePiece)
      switch kind {
      case .stream: try sink?(window, piece)
      case .export: try export?.write(window.buffer, piece, at: offset)
      case .device: try file?.write(window.buffer, piece, at: offset)
      case .file:
        try file?.write(window.buffer, piece, at: offset)
        // What is written early need not be waited for at the end.
        if !isDirect { file?.startWriteOut(offset..<offset + UInt64(piece.count)) }
      }
      place = piece.upperBound..<place.upperBound
      offset += UInt64(piece.count)
    }
  }

  /// Makes `range`, whole blocks, read as zeros.
  func zero(_ range: Range<UInt64>) throws {
    changed.store(true, ordering: .relaxed)
    var offset = range.lowerBound
    while offset < range.upperBound {
      let piece = offset..<min(range.upperBound, offset + Self.zeroPiece)
      if writesZeros.load(ordering: .relaxed) {
        try writeZeros(piece)
      } else {
        try zeroPiece(piece)
      }
      offset = piece.upperBound
    }
  }

  private func zeroPiece(_ range: Range<UInt64>) throws {
    let place = range.lowerBound - base..<range.upperBound - base
    do {
      switch kind {
      case .device: try file?.zeroOut(place)
      case .file: if hasOldContent { try file?.punchHole(place) }
      case .export: try export?.zero(place)
      case .stream: break
      }
    } catch let error as SystemError where error.isUnsupported {
      writesZeros.store(true, ordering: .relaxed)
      try writeZeros(range)
    }
  }

  /// Writes zeros where the target does not hold them already.
  private func writeZeros(_ range: Range<UInt64>) throws {
    let zeros = Window(buffer: Buffer(count: Self.writePiece), start: 0)
    let old = Window(buffer: Buffer(count: isReadable ? Self.writePiece : 0), start: 0)
    var offset = range.lowerBound
    while offset < range.upperBound {
      let piece = offset..<min(range.upperBound, offset + UInt64(Self.writePiece))
      let place = 0..<Int(piece.length)
      offset = piece.upperBound
      if isReadable, try read(at: piece.lowerBound, into: old.buffer, place), old.isZero(place) { continue }
      try write(piece, from: Window(buffer: zeros.buffer, start: piece.lowerBound))
    }
  }

  /// Whether the file system lets this file share blocks with another: tried on a file of their own.
  func canShareBlocks(with source: File) -> Bool {
    guard kind == .file, let file, let here = try? file.status(), let there = try? source.status(),
      there.kind == .regular, here.device == there.device, there.size >= UInt64(Buffer.alignment)
    else { return false }
    do {
      let probe = try FileSystem.createTemporary(
        in: FileSystem.parent(of: file.path), prefix: ".casync-clone-")
      try FileSystem.remove(probe.path)
      try probe.clone(source, from: 0, length: UInt64(Buffer.alignment), to: 0)
      return true
    } catch {
      // A file system that cannot, or may not, is copied to.
      return false
    }
  }

  /// Lets `range` share the blocks of `source` that start at `offset` of it.
  func clone(_ source: File, from offset: UInt64, to range: Range<UInt64>) throws {
    changed.store(true, ordering: .relaxed)
    try file?.clone(source, from: offset, length: range.length, to: range.lowerBound - base)
  }

  /// Makes everything written so far durable.
  func flush() throws {
    if let export { return try export.flush() }
    if kind != .stream { try file?.sync() }
  }

  /// After a whole disk was written: lets the kernel see its new partitions.
  func rereadPartitionTable() throws {
    try file?.rereadPartitionTable()
  }
}
