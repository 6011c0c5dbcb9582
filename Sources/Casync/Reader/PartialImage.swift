import CasyncChunking
package import CasyncFormat
import CasyncIO
import Synchronization

/// A local sparse file that holds part of an image at the image's own offsets, and in its tail a map of which
/// part (docs/formats/partial-image.md). Locked against other programs as long as it is open.
///
/// The map in the file never claims what is not durable: `commit` makes the bytes durable before it writes
/// the map. An overlay has another map beside it, which is written with every change: it survives a kill of
/// the program, but counts only until the next boot of the system.
final class PartialImage: Sendable {
  /// What such a file is for.
  enum Use: UInt64 {
    case cache = 1
    case overlay = 2

    var name: String { self == .cache ? "cache file" : "overlay" }
    var withArticle: String { self == .cache ? "a cache file" : "an overlay" }
  }

  /// What two files must have in common to be of the same image.
  struct Shape: Equatable, Sendable {
    let use: Use
    /// Bytes of the image.
    let size: UInt64
    let unitCount: Int
    /// Digest of the index's table.
    let digest: ChunkID

    /// What a cache file loses can be fetched again.
    var hasRecentMap: Bool { use == .overlay }
  }

  /// "casync-disk-map\n".
  private static let magic: (UInt64, UInt64) = (0x642d_636e_7973_6163, 0x0a70_616d_2d6b_7369)
  private static let version: UInt64 = 2
  private static let headerLength = 4096

  let file: File
  /// Changed by whoever puts something into the file, after it is there.
  let map: Mutex<UnitMap>
  private let mapStart: UInt64
  /// Where the recent map lies; `nil` where there is none.
  private let recentStart: UInt64?
  private struct Failure: Sendable { var error: (any Error)? }
  private let failure = Mutex(Failure())

  private init(_ file: File, _ shape: Shape, _ map: UnitMap) {
    self.file = file
    self.map = Mutex(map)
    mapStart = Self.mapStart(shape)
    recentStart = shape.hasRecentMap ? Self.recentStart(shape) : nil
  }

  /// Opens the file at `path`, and makes it if there is none, or an empty one. Blocks.
  /// - Throws: `JobError` (refused) when it is in use, is something else, or belongs to another image;
  ///   `SystemError`.
  static func open(_ path: String, _ shape: Shape) throws -> PartialImage {
    let name = shape.use.name
    let file = try File.open(path, [.readWrite, .create], mode: 0o600)
    guard try file.status().kind == .regular else {
      throw JobError(.refused, "\(path) is no file, so it cannot be the \(name)")
    }
    guard try file.tryLock(.exclusive) else {
      throw JobError(
        .refused, "the \(name) \(path) is in use by another program", hint: "each server needs its own")
    }
    let map: UnitMap
    switch try Contents(file) {
    case .nothing:
      try create(file, shape)
      map = try readMap(file, shape, at: mapStart(shape))
    case .header(let header):
      try header.check(shape, path)
      map = try readMap(file, shape, at: mapStart(shape))
    case .other:
      throw JobError(
        .refused, "\(path) is not \(shape.use.withArticle) of casync's, so it is left as it is",
        hint: "name a file that is not there yet")
    }
    let partial = PartialImage(file, shape, map)
    if shape.hasRecentMap { try partial.openRecentMap(shape) }
    return partial
  }

  private static func readMap(_ file: File, _ shape: Shape, at start: UInt64) throws -> UnitMap {
    let bytes = Buffer(count: UnitMap.length(count: shape.unitCount))
    guard try file.read(at: start, into: bytes, 0..<bytes.count) == bytes.count else {
      throw JobError(.damaged, "the \(shape.use.name) \(file.path) is shorter than its own header says")
    }
    return UnitMap(count: shape.unitCount, bytes: bytes.bytes)
  }

  // MARK: The recent map

  /// The bytes in front of the recent map name the boot of the system in which it was written: while that
  /// lasts, the map and all bytes that it speaks of are in the page cache, or on the medium.
  private func openRecentMap(_ shape: Shape) throws {
    let start = Self.recentStart(shape)
    let mark = Buffer(count: UnitMap.pageLength)
    let name = Array((FileSystem.text("/proc/sys/kernel/random/boot_id") ?? "").utf8.prefix(36))
    let isKnown = try !name.isEmpty && file.read(at: start - UInt64(mark.count), into: mark, 0..<36) == 36
    if isKnown, mark.bytes.extracting(0..<name.count).copy() == name {
      let recent = try Self.readMap(file, shape, at: start)
      return map.withLock { $0.become(recent) }
    }
    // Killed before the last step, the map is still another boot's.
    let pageCount = UnitMap.length(count: shape.unitCount) / UnitMap.pageLength
    try writeRecent(map.withLock { $0.pages(0..<pageCount) })
    mark.zero(0..<mark.count)
    mark.copy(name.rawSpan, to: 0)
    try file.write(mark, 0..<mark.count, at: start - UInt64(mark.count))
  }

  private func writeRecent(_ pages: [UnitMap.Page]) throws {
    guard let recentStart else { return }
    for page in pages {
      try file.write(page.bytes.rawSpan, at: recentStart + UInt64(page.number * UnitMap.pageLength))
    }
  }

  /// Changes the map, so that it also survives a kill. One call at a time. Blocks.
  func set(_ units: Range<Int>, to state: UnitMap.State) throws {
    let pages = map.withLock { map in
      let numbers = map.set(units, to: state)
      return map.pages(numbers)
    }
    try writeRecent(pages)
  }

  // MARK: Layout

  private static func mapStart(_ shape: Shape) -> UInt64 {
    let page = UInt64(UnitMap.pageLength)
    return (shape.size + page - 1) / page * page
  }

  /// Behind the map, and a page that names a boot.
  private static func recentStart(_ shape: Shape) -> UInt64 {
    mapStart(shape) + UInt64(UnitMap.length(count: shape.unitCount) + UnitMap.pageLength)
  }

  private static func headerStart(_ shape: Shape) -> UInt64 {
    let lastMap = shape.hasRecentMap ? recentStart(shape) : mapStart(shape)
    return lastMap + UInt64(UnitMap.length(count: shape.unitCount))
  }

  /// What a file is found to be.
  private enum Contents {
    case nothing, other
    case header(Header)

    init(_ file: File) throws {
      let size = try file.status().size
      let length = PartialImage.headerLength
      guard size > 0 else {
        self = .nothing
        return
      }
      let buffer = Buffer(count: length)
      guard size >= UInt64(length),
        try file.read(at: size - UInt64(length), into: buffer, 0..<length) == length,
        let header = Header(buffer.bytes)
      else {
        // A size without any data is what a kill leaves between the first two steps of `create`.
        self = try file.nextData(in: 0..<size) == nil ? .nothing : .other
        return
      }
      self = .header(header)
    }
  }

  /// The last page of the file, as it was found.
  private struct Header {
    let version: UInt64
    let use: UInt64
    let size: UInt64
    let unitCount: UInt64
    let digest: ChunkID

    init?(_ bytes: RawSpan) {
      guard bytes.word(at: 0) == magic.0, bytes.word(at: 8) == magic.1, let version = bytes.word(at: 16),
        let use = bytes.word(at: 24), let size = bytes.word(at: 32), let unitCount = bytes.word(at: 40),
        let digest = ChunkID(bytes, at: 48)
      else { return nil }
      (self.version, self.use, self.size, self.unitCount, self.digest) = (
        version, use, size, unitCount, digest
      )
    }

    func check(_ shape: Shape, _ path: String) throws {
      let name = shape.use.name
      guard version == PartialImage.version, let use = Use(rawValue: use) else {
        throw JobError(.refused, "\(path) was made by another version of casync")
      }
      guard use == shape.use else {
        throw JobError(.refused, "\(path) is \(use.withArticle), not \(shape.use.withArticle)")
      }
      guard digest == shape.digest, size == shape.size, unitCount == UInt64(shape.unitCount) else {
        throw JobError(
          .refused, "the \(name) \(path) belongs to another image",
          hint: use == .cache
            ? "remove it, or name another" : "serve the index it was begun with, or name another overlay")
      }
    }
  }

  /// Gives an empty file its size, then its header. Until the header is durable it counts as empty.
  private static func create(_ file: File, _ shape: Shape) throws {
    let headerStart = headerStart(shape)
    var header = [UInt8]()
    for word in [
      magic.0, magic.1, version, shape.use.rawValue, shape.size, UInt64(shape.unitCount),
    ] {
      header.append(word: word)
    }
    header.append(shape.digest)
    header += [UInt8](repeating: 0, count: headerLength - header.count)
    try file.setSize(headerStart + UInt64(headerLength))
    try file.write(header.rawSpan, at: headerStart)
    try file.sync()
    try FileSystem.syncParent(of: file.path)
  }

  // MARK: Durability

  /// Makes everything durable that the map says now: the bytes, then the map. One call at a time. Blocks.
  ///
  /// After a failure every further call fails: the kernel tells only once that it lost something.
  func commit() throws {
    if let error = failure.withLock(\.error) { throw error }
    do {
      let pages = map.withLock { $0.takeChanged() }
      try file.syncData()
      guard !pages.isEmpty else { return }
      for page in pages {
        try file.write(page.bytes.rawSpan, at: mapStart + UInt64(page.number * UnitMap.pageLength))
      }
      try file.syncData()
    } catch {
      failure.withLock { $0.error = error }
      throw error
    }
  }
}

extension Index {
  /// Who the image is: SHA-256 of the items of the table, as they stand in the file.
  package var tableDigest: ChunkID {
    var digest = StreamDigest(.sha256)
    digest.update(items.rawSpan)
    return digest.finish()
  }
}
