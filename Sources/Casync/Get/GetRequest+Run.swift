import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore

// get: index → plan → for each chunk the cheapest source → verify its digest → coalesced write → flush → boot
// area → read back.
//
// Everything that can be refused is refused before the first write. The plan is made and the steps are handed
// out on the calling thread; reading, decompressing and hashing are the workers'; writing has a thread of its
// own.

extension GetRequest {
  /// Reassembles the image on its target. Blocks until it is durable and, on a device, read back.
  /// - Throws: `JobError`, `SystemError`, `StoreError`. After an error a device may be neither the old nor
  ///   the new image, but has no valid header then; the same request goes on where this one stopped.
  public func run(_ progress: Progress) throws -> GetSummary {
    let start = ContinuousClock.now
    let copies = cache.map { "\($0)/.indexes" } ?? stateDirectory.map { "\($0)/indexes" }
    let opener = Stores(connection, progress.cancellation, copies: copies, stores: stores)
    let index = try IndexFile.read(index, opener)
    let fetcher =
      index.count == 0 ? nil : try ChunkFetcher(stores: stores, cache: cache, cacheLimit: cacheLimit, opener)
    let extent = try extent(of: index, fetcher)
    let opened = try OpenedTarget.open(
      target, size: extent.length, base: extent.lowerBound, inPlace: inPlace, progress.cancellation)
    do {
      var job = try GetJob(self, index, extent, opened, opener, progress)
      if let fetcher { try job.run(fetcher) }
      try job.finish()
      job.summary.receivedBytes = opener.receivedBytes
      job.summary.duration = start.duration(to: .now)
      return job.summary
    } catch {
      throw Self.explained(error, opened)
    }
  }

  /// The state directory, if one is to be used.
  var state: StateDirectory? { stateDirectory.map { StateDirectory(path: $0) } }

  /// The part of the image that is wanted: all of it, or one partition.
  private func extent(of index: Index, _ fetcher: ChunkFetcher?) throws -> Range<UInt64> {
    guard let partition else { return 0..<index.size }
    let layout = try fetcher.map { try ImageHead.layout(of: index, $0) }
    guard let entry = layout?.segments.first(where: { $0.partition == partition }), entry.start < index.size
    else {
      let known = layout?.segments.compactMap(\.partition).map(String.init).joined(separator: ", ") ?? ""
      throw JobError(
        .badRequest, "\(self.index): the image has no partition \(partition)",
        hint: known.isEmpty ? "it has no partition table" : "its partitions are \(known)")
    }
    return entry.start..<min(entry.end ?? index.size, index.size)
  }

  /// Adds to an error how to go on.
  private static func explained(_ error: any Error, _ opened: OpenedTarget) -> any Error {
    let resumable = opened.target.wasWritten && opened.target.kind != .stream
    let resume =
      opened.part?.abandon() ?? (resumable ? "the same command goes on where this one stopped" : nil)
    switch error {
    case is CancellationError: return JobError(.interrupted, "interrupted", hint: resume)
    case let error as JobError:
      return error.hint == nil ? JobError(error.code, error.message, hint: resume) : error
    default: return resume.map { JobError(.io, "\(error)", hint: $0) } ?? error
    }
  }
}

/// The first bytes of an image, got from the stores before anything else is known.
enum ImageHead {
  static func layout(of index: Index, _ fetcher: ChunkFetcher) throws -> ImageLayout {
    let length = Int(min(index.size, UInt64(ImageLayout.headLength)))
    let head = Buffer(count: length)
    let loader = ChunkLoader()
    let digester = Digester(index.digest)
    let positions = 0..<index.position(of: UInt64(length) - 1) + 1
    let requested = fetcher.request(positions.map { (index.id(of: $0), index.length(of: $0)) })
    for position in positions {
      let chunk = Buffer(count: index.length(of: position))
      let id = index.id(of: position)
      let isThere = try fetcher.fetch(id, into: chunk, 0..<chunk.count, using: loader, requested) != nil
      if !isThere || digester.digest(chunk.bytes) != id {
        _ = try fetcher.fetchVerified(id, into: chunk, 0..<chunk.count, using: loader, digester)
      }
      let start = Int(index.start(of: position))
      head.copy(0..<min(chunk.count, length - start), of: chunk, to: start)
    }
    return ImageLayout(head: head.bytes)
  }
}
