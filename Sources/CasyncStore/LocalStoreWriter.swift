package import CasyncFormat
internal import CasyncIO
internal import Glibc
internal import Synchronization

/// Adds chunks to a local store so that a final name never stands for bytes that are not durable.
///
/// A chunk is written under a temporary name. When a batch is full, one syncfs makes its bytes durable and
/// then its files get their final names. `close` does that for the last batch and makes the names durable
/// too: after it the index may appear. Chunks of a batch count as present for `contains`, so that a stream
/// does not store a chunk twice.
///
/// `add` and `contains` may be called by several threads at once; `commit` by one.
package final class LocalStoreWriter: StoreWriter {
  /// A batch is due when it holds this many bytes: what is committed while chunks are still made need not be
  /// waited for at the end. Each commit writes the file system's bitmaps and tables anew and stops those who
  /// make files meanwhile: with a quarter of this put takes a twelfth longer.
  private static let batchBytes = 128 << 20
  /// Or when it is this old.
  private static let batchAge = Duration.seconds(10)

  private struct Batch {
    var files: [(id: ChunkID, temporary: String)] = []
    var bytes = 0
    var started = ContinuousClock.now
  }

  private struct State {
    var batch = Batch()
    /// Chunks under a temporary name, of this batch and of the one being committed.
    var pending: Set<ChunkID> = []
    var directories: Set<UInt16> = []
    /// Read when the first chunk is added: who adds none does not pay for it.
    var known: StoreDirectories?

    /// Whether the chunk is in the store, or will be; `nil` where only the disk can tell.
    func holds(_ id: ChunkID) -> Bool? {
      guard let known else { return nil }
      guard known.mayHold(id) else { return false }
      return pending.contains(id) ? true : nil
    }

    /// - Returns: false for a chunk that is being added.
    mutating func insert(_ id: ChunkID, in store: LocalStore) throws -> Bool {
      var known = try self.known.take() ?? StoreDirectories(names: FileSystem.names(in: store.path))
      known.insert(id)
      self.known = known
      return pending.insert(id).inserted
    }
  }

  package let store: LocalStore
  private let state: Mutex<State>
  /// Makes this run's temporary names its own.
  private let run = UInt64.random(in: .min ... .max)
  private let nameCount = Atomic<UInt64>(0)
  private let lock: File

  /// Starts writing to `store`; waits for a collection that is under way.
  package init(_ store: LocalStore) throws {
    self.store = store
    lock = try store.lockForWriting()
    state = Mutex(State())
  }

  deinit {
    // Reached with chunks left only after a failure: nobody may see them, and nobody needs them.
    for file in state.withLock({ $0.batch.files }) {
      // What cannot be removed is a temporary file that `gc` removes.
      _ = try? FileSystem.remove(file.temporary)
    }
  }

  package func contains(_ ids: [ChunkID]) throws -> [Bool] {
    var missing = Set<ChunkID>()
    return try ids.map { id in
      if missing.contains(id) { return true }
      if try state.withLock({ $0.holds(id) }) ?? store.use(id) { return true }
      missing.insert(id)
      return false
    }
  }

  /// Writes a compressed chunk under a temporary name.
  package func add(_ id: ChunkID, compressed: RawSpan) throws -> Bool {
    guard try state.withLock({ try $0.insert(id, in: store) }) else { return false }
    do {
      try write(id, compressed)
    } catch {
      state.withLock { _ = $0.pending.remove(id) }
      throw error
    }
    return true
  }

  private func write(_ id: ChunkID, _ bytes: RawSpan) throws {
    let path = "\(store.path)/\(LocalStore.name(of: id))"
    let prefix = UInt16(truncatingIfNeeded: id.words[0])
    if state.withLock({ $0.directories.insert(prefix).inserted }) {
      try FileSystem.makeDirectory(FileSystem.parent(of: path))
    }
    let file: File
    do {
      file = try createTemporary(beside: path)
    } catch let error as SystemError where error.isNotFound {
      // Another thread knows of the directory and is just making it, or a collection removed it: once more.
      try FileSystem.makeDirectory(FileSystem.parent(of: path))
      file = try createTemporary(beside: path)
    }
    do {
      try file.writeNext(bytes)
    } catch {
      // The write's error is the one to report.
      _ = try? FileSystem.remove(file.path)
      throw error
    }
    let count = bytes.byteCount
    state.withLock { state in
      if state.batch.files.isEmpty { state.batch.started = .now }
      state.batch.files.append((id, file.path))
      state.batch.bytes += count
    }
  }

  private func createTemporary(beside path: String) throws -> File {
    let number = run &+ nameCount.wrappingAdd(1, ordering: .relaxed).newValue
    let temporary = "\(path).\(String(number, radix: 16)).tmp"
    do {
      return try File.open(temporary, [.write, .create, .exclusive], mode: 0o444)
    } catch let error as SystemError {
      throw SystemError("create a file in", FileSystem.parent(of: path), errno: error.number)
    }
  }

  /// Whether a batch is full or old enough to be committed.
  package var isCommitDue: Bool {
    state.withLock { state in
      state.batch.bytes >= Self.batchBytes
        || !state.batch.files.isEmpty && state.batch.started.duration(to: .now) >= Self.batchAge
    }
  }

  /// Makes the chunks added so far durable and gives them their names. Blocks for the disk.
  package func commit() throws {
    let batch = state.withLock { state in
      defer { state.batch = Batch() }
      return state.batch
    }
    guard !batch.files.isEmpty else { return }
    var renamed = 0
    do {
      try lock.syncFileSystem()
      for file in batch.files {
        try FileSystem.rename(
          file.temporary, to: "\(store.path)/\(LocalStore.name(of: file.id))\(store.suffix)")
        renamed += 1
      }
    } catch {
      // The files without a name are removed in `deinit`.
      state.withLock { $0.batch.files.append(contentsOf: batch.files[renamed...]) }
      throw error
    }
    state.withLock { state in
      for file in batch.files { state.pending.remove(file.id) }
    }
  }

  /// Commits what is left and makes the names durable. Nothing is added after it.
  package func close() throws {
    try commit()
    try lock.syncFileSystem()
  }
}
