internal import CasyncChunking
package import CasyncFormat
package import CasyncIO
internal import Glibc

/// A chunk store in a directory (docs/formats/store.md):
///
///     <store>/<first 4 hex digits of the ID>/<64 hex digits>.cacnk    compressed
///     <store>/<first 4 hex digits of the ID>/<64 hex digits>          uncompressed
///
/// Reading a chunk takes either form, whichever is good. A writer goes through `LocalStoreWriter`. All calls
/// block; a store may be shared between threads.
package final class LocalStore: ChunkStore {
  /// Path of the directory.
  package let path: String
  /// What the name of a compressed chunk ends in.
  package let suffix: String
  private let directory: File

  package var name: String { path }
  package var isRemote: Bool { false }
  package var forms: [ChunkForm] { ChunkForm.allCases }

  /// casync's suffix, or what `$CASYNC_COMPRESSED_CHUNK_SUFFIX` says instead.
  package static var standardSuffix: String {
    // SAFETY: the environment is not changed while the program runs.
    unsafe getenv("CASYNC_COMPRESSED_CHUNK_SUFFIX").map { unsafe String(cString: $0) } ?? ".cacnk"
  }

  /// Opens the store.
  /// - Throws: `StoreError` when there is none, `SystemError`.
  package init(_ path: String, suffix: String = LocalStore.standardSuffix) throws {
    self.path = path
    self.suffix = suffix
    do {
      directory = try File.open(path, .directory)
    } catch let error as SystemError where error.isNotFound {
      throw StoreError(.noStore, path, "no such store", hint: "name the store's directory with --store=")
    }
  }

  /// Opens the store, made when it is not there; its parent must be.
  package static func create(_ path: String, suffix: String = LocalStore.standardSuffix) throws -> LocalStore
  {
    try FileSystem.makeDirectory(path)
    return try LocalStore(path, suffix: suffix)
  }

  /// The name of a chunk's file below the store.
  static func name(of id: ChunkID, suffix: String = "") -> String {
    let hex = id.hex
    // Of bytes: to count four characters takes as long as the rest.
    return String(Substring(hex.utf8.prefix(4))) + "/" + hex + suffix
  }

  /// The chunk's file; `nil` when it is missing. A file of 0 bytes, what a power cut may leave of another
  /// program's write, counts as missing, and so does a symbolic link.
  private func status(of id: ChunkID) throws -> (name: String, status: File.Status)? {
    let name = Self.name(of: id)
    for form in [name + suffix, name] {
      if let status = try directory.status(below: form), status.kind == .regular, status.size > 0 {
        return (form, status)
      }
    }
    return nil
  }

  /// Length in bytes of the chunk as stored; `nil` when it is missing.
  package func storedSize(of id: ChunkID) throws -> UInt64? {
    try status(of: id)?.status.size
  }

  package func storedSizes(of ids: [ChunkID]) throws -> [UInt64?] { try ids.map(storedSize) }

  package func request(_ id: ChunkID, length: Int, onMiss: (@Sendable () -> Void)?) -> ChunkRequest? { nil }

  /// Whether the chunk is there; if so it is marked as used now, when the mark is older than half the grace
  /// that a collection gives.
  func use(_ id: ChunkID) throws -> Bool {
    guard let (name, status) = try status(of: id) else { return false }
    let age = Int64(time(nil)) - status.modified / 1_000_000_000
    // A chunk of another owner cannot be touched; then its owner's collection decides, as with casync.
    if age > Self.grace / 2 { directory.touch(below: name) }
    return true
  }

  /// Marks a chunk as used now, when the mark is older than so many seconds.
  func touch(_ id: ChunkID, olderThan seconds: Int64) throws {
    guard let (name, status) = try status(of: id) else { return }
    if Int64(time(nil)) - status.modified / 1_000_000_000 > seconds { directory.touch(below: name) }
  }

  /// Seconds for which a collection spares a chunk without a reference where other programs may write: a day.
  package static let grace: Int64 = 24 * 60 * 60
}

// MARK: - Reading

extension LocalStore {
  package typealias Form = ChunkForm
  package typealias Load = ChunkLoad

  /// What became of loading a chunk whose length is not known.
  package enum LoadAny: Sendable {
    case loaded([UInt8], storedBytes: Int)
    case missing
    case bad(String)
  }

  package func load(
    _ id: ChunkID, _ form: Form, into buffer: Buffer, _ range: Range<Int>, using loader: ChunkLoader,
    _ request: ChunkRequest?
  ) throws -> Load {
    try load(id, form, into: buffer, range, using: loader)
  }

  /// The same; nothing is requested of a local store beforehand.
  package func load(
    _ id: ChunkID, _ form: Form, into buffer: Buffer, _ range: Range<Int>, using loader: ChunkLoader
  ) throws -> Load {
    guard let file = try open(id, form) else { return .missing }
    return try loader.load(file, compressed: form == .compressed, into: buffer, range)
  }

  /// Reads and decompresses one form of a chunk of any length. Its digest is not compared.
  package func load(_ id: ChunkID, _ form: Form, using loader: ChunkLoader) throws -> LoadAny {
    guard let file = try open(id, form) else { return .missing }
    return try loader.load(file, compressed: form == .compressed)
  }

  /// The bytes of one form of a chunk as they are stored; `nil` when it is missing, or longer than any chunk.
  package func stored(_ id: ChunkID, _ form: Form, using loader: ChunkLoader) throws -> [UInt8]? {
    guard let file = try open(id, form) else { return nil }
    return try loader.stored(file)
  }

  /// The file that holds a form of the chunk; `nil` when there is none, or a symbolic link.
  private func open(_ id: ChunkID, _ form: Form) throws -> File? {
    do {
      let name = Self.name(of: id, suffix: form == .compressed ? suffix : "")
      return try directory.open(below: name, .noFollow)
    } catch let error as SystemError where error.isNotFound || error.number == ELOOP {
      return nil
    }
  }
}

/// What a thread needs to load chunks: a decompressor and memory for what is compressed. Not shared between
/// threads.
package final class ChunkLoader {
  private let decompressor = Decompressor()
  private var scratch = Buffer(count: 64 << 10)
  private let keepsStored: Bool
  /// The chunk loaded last as the store has it, if that is wanted and it is compressed there.
  package private(set) var stored: [UInt8]?

  /// - Parameter keepsStored: whether `stored` is wanted.
  package init(keepsStored: Bool = false) { self.keepsStored = keepsStored }

  /// Fills `range` of `buffer` with the chunk in `file`.
  fileprivate func load(
    _ file: File, compressed: Bool, into buffer: Buffer, _ range: Range<Int>
  ) throws -> LocalStore.Load {
    if compressed {
      guard let stored = try read(file) else { return .bad("\(file.path): longer than any chunk") }
      if stored == 0 { return .missing }
      let scratch = scratch
      return load(scratch.bytes.extracting(0..<stored), of: file.path, into: buffer, range)
    }
    stored = nil
    let count = try file.read(at: 0, into: buffer, range)
    if count == 0 { return .missing }
    let size = try file.status().size
    guard size == UInt64(range.count) else {
      return .bad("\(file.path): \(size) bytes long instead of \(range.count)")
    }
    return .loaded(storedBytes: count)
  }

  /// Fills `range` of `buffer` with the chunk that `compressed` holds.
  /// - Parameter subject: what it came from, for the reason.
  func load(
    _ compressed: RawSpan, of subject: String, into buffer: Buffer, _ range: Range<Int>
  ) -> ChunkLoad {
    do throws(CompressionError) {
      try buffer.write(in: range) { output throws(CompressionError) in
        try decompressor.decompress(compressed, into: &output)
      }
    } catch {
      return .bad("\(subject): \(error)")
    }
    if keepsStored { stored = compressed.copy() }
    return .loaded(storedBytes: compressed.byteCount)
  }

  /// The chunk in `file`, whatever its length.
  fileprivate func load(_ file: File, compressed: Bool) throws -> LocalStore.LoadAny {
    guard let stored = try read(file) else { return .bad("longer than any chunk") }
    if stored == 0 { return .missing }
    let scratch = scratch
    return loadAny(scratch.bytes.extracting(0..<stored), compressed: compressed)
  }

  /// The chunk that `bytes` hold, whatever its length.
  func loadAny(_ bytes: RawSpan, compressed: Bool) -> LocalStore.LoadAny {
    guard compressed else { return .loaded(bytes.copy(), storedBytes: bytes.byteCount) }
    do throws(CompressionError) {
      return .loaded(
        try decompressor.decompress(bytes, limit: ChunkSizes.limit), storedBytes: bytes.byteCount)
    } catch {
      return .bad("\(error)")
    }
  }

  fileprivate func stored(_ file: File) throws -> [UInt8]? {
    guard let count = try read(file), count > 0 else { return nil }
    let scratch = scratch
    return scratch.bytes.extracting(0..<count).copy()
  }

  /// What `compressed` holds, of any length that a chunk may have; `nil` when it cannot be decompressed.
  package func decompressed(_ compressed: RawSpan) -> [UInt8]? {
    try? decompressor.decompress(compressed, limit: ChunkSizes.limit)
  }

  /// The whole file into `scratch`, grown as needed; `nil` when it is longer than a chunk file may be.
  private func read(_ file: File) throws -> Int? {
    var count = try file.read(at: 0, into: scratch, 0..<scratch.count)
    while count == scratch.count {
      guard scratch.count <= ChunkSizes.limit else { return nil }
      let larger = Buffer(count: scratch.count * 4)
      larger.copy(0..<count, of: scratch, to: 0)
      scratch = larger
      count += try file.read(at: UInt64(count), into: scratch, count..<scratch.count)
    }
    return count
  }
}

// MARK: - Locking

extension LocalStore {
  /// Takes the lock under which chunks are added, until the returned file is let go. Waits for a collection
  /// to end.
  package func lockForWriting() throws -> File {
    let lock = try File.open(path, .directory)
    try lock.waitForLock(.shared)
    return lock
  }

  /// Takes the lock under which chunks are removed, until the returned file is let go.
  /// - Throws: `StoreError` (busy), naming who writes.
  package func lockForRemoving() throws -> File? {
    let lock = try File.open(path, .directory)
    guard try lock.tryLock(.exclusive) else {
      let holders = try Self.lockHolders(of: lock.status())
      let who = holders.isEmpty ? "another program" : holders.joined(separator: ", ")
      throw StoreError(.busy, path, "the store is being written by \(who)", hint: "try again when it is done")
    }
    return lock
  }

  /// Processes that hold a flock on a file, as "name (pid)"; /proc/locks gives them by inode number.
  private static func lockHolders(of status: File.Status) -> [String] {
    (FileSystem.text("/proc/locks") ?? "").split(separator: "\n").compactMap { line in
      // 1: FLOCK ADVISORY READ 4711 00:21:12345 0 EOF; a line with "->" is one that waits.
      let fields = line.split(separator: " ")
      guard fields.count >= 6, fields[1] == "FLOCK", fields[5].split(separator: ":").last == "\(status.inode)"
      else {
        return nil
      }
      let name =
        FileSystem.text("/proc/\(fields[4])/comm").map { String($0.filter { $0 != "\n" }) } ?? "process"
      return "\(name) (process \(fields[4]))"
    }
  }
}
