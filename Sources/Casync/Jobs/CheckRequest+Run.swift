import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore

extension CheckRequest {
  /// Reads every chunk of the store and compares it with its name. Blocks.
  /// - Throws: `SystemError`, `StoreError`; a bad chunk is no error: the summary tells of it.
  public func run(_ progress: Progress) throws -> CheckSummary {
    let store = try Stores(connection, progress.cancellation).collectable(self.store)
    guard !repair || store is LocalStore else {
      throw JobError(.badRequest, "\(store.name): bad chunks can be moved aside in a local store only")
    }
    let lock = repair ? try store.lockForRemoving() : nil
    defer { withExtendedLifetime(lock) {} }
    var chunks = 0
    var bytes: UInt64 = 0
    var bad = [CheckSummary.Bad]()
    let isLocal = store is LocalStore
    let count = workers ?? (isLocal ? WorkerPool<Checker>.processorCount : Self.remoteWorkers)
    try WorkerPool.with(count: count, context: { Checker() }) { pool in
      var jobs = Fifo<(LocalStore.Entry, Job<Checker.Result>)>()
      func finishNext() throws {
        guard let (entry, job) = jobs.popFirst() else { return }
        let result = try job.wait()
        chunks += 1
        bytes += UInt64(result.storedBytes)
        progress.advance(result.storedBytes)
        guard let reason = result.reason else { return }
        let movedTo = repair ? try moveAside(entry) : nil
        bad.append(CheckSummary.Bad(path: entry.name, reason: reason, movedTo: movedTo))
      }
      progress.begin(.verifying, total: 0)
      try store.forEachEntry(
        { entry in
          try progress.cancellation.check()
          jobs.append((entry, pool.submit { checker in try checker.check(entry, in: store) }))
          while let (_, job) = jobs.first, job.isFinished { try finishNext() }
          if jobs.count > 64 { try finishNext() }
        }, stray: { _ in }, directory: { _ in })
      while !jobs.isEmpty { try finishNext() }
    }
    return CheckSummary(chunks: chunks, bytes: bytes, bad: bad)
  }

  /// More than there are processors, since a server is waited for.
  private static let remoteWorkers = 16

  /// Gives a bad chunk a name that nobody takes for a chunk's.
  private func moveAside(_ entry: LocalStore.Entry) throws -> String {
    let name = entry.name + LocalStore.asideSuffix
    try FileSystem.rename("\(store)/\(entry.name)", to: "\(store)/\(name)")
    return name
  }
}

/// Checks chunks by either digest, since a store does not say which one named them. Not shared.
private final class Checker {
  struct Result: Sendable {
    let storedBytes: Int
    /// Why the file is not the chunk; `nil` when it is.
    let reason: String?
  }

  private let digesters = DigestAlgorithm.allCases.map { Digester($0) }
  private let loader = ChunkLoader()

  func check(_ entry: LocalStore.Entry, in store: any CollectableStore) throws -> Result {
    switch try store.load(entry, using: loader) {
    case .missing: return Result(storedBytes: 0, reason: "it is empty, or no regular file")
    case .bad(let reason): return Result(storedBytes: 0, reason: reason)
    case .loaded(let bytes, let storedBytes):
      let matches = digesters.contains { $0.digest(bytes.rawSpan) == entry.id }
      return Result(storedBytes: storedBytes, reason: matches ? nil : "its content does not match its name")
    }
  }
}
