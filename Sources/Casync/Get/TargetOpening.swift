import CasyncIO

/// An opened target, and what becomes of it at the end.
struct OpenedTarget {
  let target: Target
  /// The unfinished file beside `path` that gets its name when the image is whole.
  var part: PartFile?
  /// What the device is called in the state directory.
  var stableName: String?
  /// Whether it is a whole disk, whose partitions the kernel must read again.
  var isWholeDisk = false
  /// What the user should know.
  var warnings: [String] = []
}

extension OpenedTarget {
  /// Opens `path` for an image, or a part of one, of `size` bytes whose first byte is at `base`.
  ///
  /// Nothing is written. A device is held exclusively from here on.
  /// - Throws: `JobError` (refused) with the reason when the target is in use, too small, or not there.
  static func open(
    _ path: String, size: UInt64, base: UInt64, inPlace: Bool, _ cancellation: Cancellation
  ) throws -> OpenedTarget {
    if path == "-" { return stream(to: .standardOutput, base: base, cancellation) }
    if NBDExport.isURI(path) { return try openExport(path, size: size, base: base) }
    guard let status = try File.status(path) else {
      let parent = FileSystem.parent(of: path)
      if (FileSystem.resolved(parent) ?? parent).split(separator: "/").first == "dev" {
        throw JobError(.refused, "there is no device \(path)", hint: "a new file is never made below /dev")
      }
      return try openFile(path, size: size, base: base)
    }
    switch status.kind {
    case .blockDevice:
      return try openDevice(path, status, size: size, base: base, cancellation)
    case .regular where inPlace:
      return try openInPlace(path, status, size: size, base: base)
    case .regular:
      return try openFile(path, size: size, base: base)
    case .characterDevice, .pipe:
      return stream(to: try File.open(path, .write), base: base, cancellation)
    case .directory, .other:
      throw JobError(.refused, "\(path) is no file or block device")
    }
  }

  private static func stream(to file: File, base: UInt64, _ cancellation: Cancellation) -> OpenedTarget {
    let target = Target(streamTo: file.path, base: base) { window, range in
      let buffer = window.buffer
      try file.writeNext(buffer.bytes.extracting(range), cancellation)
    }
    return OpenedTarget(target: target)
  }

  private static func openExport(_ uri: String, size: UInt64, base: UInt64) throws -> OpenedTarget {
    let export = try NBDExport(uri)
    guard !export.isReadOnly else { throw JobError(.refused, "\(uri) is read-only") }
    try checkRoom(export.size, size, uri)
    return OpenedTarget(
      target: Target(
        kind: .export, path: uri, base: base, blockSize: export.blockSize, capacity: export.size,
        hasOldContent: true, writesZeros: !export.canZero, export: export))
  }

  private static func checkRoom(_ capacity: UInt64, _ size: UInt64, _ path: String) throws {
    guard capacity >= size else {
      throw JobError(.refused, "\(path) holds \(capacity) bytes, the image has \(size)")
    }
  }
}

// MARK: - Devices

extension OpenedTarget {
  private static func openDevice(
    _ path: String, _ status: File.Status, size: UInt64, base: UInt64,
    _ cancellation: Cancellation
  ) throws -> OpenedTarget {
    let device = BlockDevice(status.target)
    if let use = DeviceUse.ofDevice(status.target, path: path) ?? DeviceUse.ofBackingFile(status, path: path)
    {
      throw JobError(.refused, "\(path) is in use: \(use.reason)", hint: use.hint)
    }
    let cached: File
    do {
      cached = try File.open(path, [.readWrite, .exclusive])
    } catch let error as SystemError where error.isBusy {
      throw JobError(
        .refused, "\(path) is in use by another program or mount namespace",
        hint: "fuser \(path) may tell by whom")
    }
    // udev holds a lock while it looks at a device that was just made or written.
    guard try cached.patientLock(.exclusive, cancellation) else {
      throw JobError(.refused, "\(path) is locked by another program")
    }
    let capacity = try cached.deviceSize()
    try checkRoom(capacity, size, path)
    var opened = OpenedTarget(
      target: try deviceTarget(path, device, cached, capacity: capacity, base: base),
      stableName: device.stableName, isWholeDisk: !device.isPartition)
    if !opened.target.isDirect {
      opened.warnings.append("\(path) does not take direct I/O: it was written through the page cache")
    }
    return opened
  }

  private static func deviceTarget(
    _ path: String, _ device: BlockDevice, _ cached: File, capacity: UInt64, base: UInt64
  ) throws -> Target {
    let blockSize = try cached.logicalBlockSize()
    var direct: File?
    do {
      // The descriptor above holds the device exclusively; a second one of ours needs no O_EXCL.
      direct = try File.open(path, [.readWrite, .direct])
    } catch let error as SystemError where error.isUnsupported {
      try cached.dropDeviceCache()
    }
    return Target(
      kind: .device, path: path, base: base, blockSize: blockSize, capacity: capacity, hasOldContent: true,
      isDirect: direct != nil, writesZeros: device.writeZeroesLimit == 0, file: direct ?? cached,
      cached: cached)
  }
}

// MARK: - Files

extension OpenedTarget {
  private static func openInPlace(
    _ path: String, _ status: File.Status, size: UInt64, base: UInt64
  ) throws -> OpenedTarget {
    if let use = DeviceUse.ofBackingFile(status, path: path) {
      throw JobError(.refused, "\(path) is in use: \(use.reason)", hint: use.hint)
    }
    let file = try File.open(path, .readWrite)
    guard try file.tryLock(.exclusive) else {
      throw JobError(.refused, "\(path) is locked by another program")
    }
    if status.size < size { try file.setSize(size) }
    return OpenedTarget(
      target: Target(
        kind: .file, path: path, base: base, hasOldContent: status.size > 0, file: file, cached: file))
  }

  private static func openFile(_ path: String, size: UInt64, base: UInt64) throws -> OpenedTarget {
    let part = try PartFile(for: path, size: size)
    return OpenedTarget(
      target: Target(
        kind: .file, path: path, base: base, blockSize: part.direct == nil ? 1 : Buffer.alignment,
        hasOldContent: part.isResumed, isDirect: part.direct != nil, file: part.direct ?? part.file,
        cached: part.file),
      part: part)
  }
}

/// The file that an image grows in, `.NAME.casync-part` beside its name: kept when the job is interrupted, so
/// that the same command goes on where it stopped.
///
/// While it grows it is as long as whole pages, which direct I/O takes.
final class PartFile {
  let file: File
  /// The same file past the page cache; `nil` where the file system cannot.
  let direct: File?
  /// Whether an earlier run left something in it.
  let isResumed: Bool
  private let path: String
  private let final: String
  private let size: UInt64
  private var isFinished = false

  /// Opens or makes the file, and locks it.
  init(for name: String, size: UInt64) throws {
    // A link stays one: what it names is replaced.
    let path = FileSystem.resolved(name) ?? name
    final = path
    self.size = size
    let directory = FileSystem.parent(of: path)
    let name = ".\(FileSystem.name(of: path)).casync-part"
    self.path = directory == "." ? name : "\(directory)/\(name)"
    file = try File.open(self.path, [.readWrite, .create])
    guard try file.tryLock(.exclusive) else {
      throw JobError(.refused, "\(self.path) is being written by another casync")
    }
    direct = try? File.open(self.path, [.readWrite, .direct])
    isResumed = try file.status().size > 0
    let page = UInt64(Buffer.alignment)
    try file.setSize((size + page - 1) / page * page)
  }

  /// Whether the file is worth keeping after a failure.
  private var holdsData: Bool {
    // A file system that cannot tell has no holes: then everything counts as data, and the file is kept.
    (try? file.nextData(in: 0..<size)) ?? nil != nil
  }

  /// What to tell the user when the job failed: how to go on; `nil` when there is nothing to go on with.
  func abandon() -> String? {
    guard !isFinished else { return nil }
    if holdsData { return "what is done is kept in \(path): the same command goes on from there" }
    // An empty file that stays behind is found and used by the next run.
    _ = try? FileSystem.remove(path)
    return nil
  }

  /// Makes the file durable and gives it its name.
  func finish() throws {
    try file.setSize(size)
    try file.sync()
    try FileSystem.rename(path, to: final)
    isFinished = true
    try FileSystem.syncParent(of: final)
  }
}
