import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore

// put of what was written over an image: the cuts of the base are kept but for the neighbourhood of what
// changed. There the new content is cut from a cut of the base on, until a cut of the base is met again:
//
//     base      │────│──────│───│─────│──────│───│────│─────│
//     changed                     ░░░░░
//     cut again        from │───│────────│───│───│ to            what is read, and what is new
//
// A cut depends on what stands shortly before and after it, and on where its chunk begins. So a cut that base
// and new content have in common, with nothing changed around it, is one of the whole new image, and what
// follows it is alike up to the next change. Where no common cut is found more is cut again, in the end the
// whole segment.

/// What `put` of an overlay is asked to do: the index of an image as clients of `mkdev` changed it.
public struct PutOverlayRequest: Sendable {
  /// Index, store, compression, workers and connection. Chunker, digest and flags are those of the base.
  public var put: PutRequest
  /// Path or URL of the index of the image below; its chunks are in the store.
  public var base: String
  /// Path of the overlay, which nobody else has open.
  public var overlay: String

  public init(_ put: PutRequest, base: String, overlay: String) {
    self.put = put
    self.base = base
    self.overlay = overlay
  }

  /// Cuts what changed, stores its chunks and writes the index. Blocks until all of it is durable.
  /// - Throws: as `PutRequest.run` does.
  public func run(_ progress: Progress) throws -> PutSummary {
    let index = try IndexFile.read(base, Stores(put.connection, progress.cancellation))
    // To be opened, not made.
    _ = try File.open(overlay)
    return try ChunkSupply.with(memory: 16 << 20, loads: 4, report: { _ in }) { supply in
      let reader = try ImageReader(
        index: base, stores: [put.store], cache: nil, put.connection, cancellation: progress.cancellation,
        supply)
      let disk = Disk(reader, try Overlay(overlay, size: reader.size, digest: index.tableDigest))
      var request = put
      request.chunker = index.chunker
      request.digest = index.digest
      request.flags = index.flags
      // Of an image that is no whole sector the disk is longer.
      guard disk.size == index.size else {
        return try request.run(ImageInput(disk, upTo: disk.size, progress.cancellation), progress)
      }
      return try OverlayPut(request, index, disk, below: Disk(reader), progress).run()
    }
  }
}

/// One put of an overlay.
private struct OverlayPut {
  private let request: PutRequest
  private let base: Index
  private let disk: Disk
  private let below: Disk
  private let progress: Progress
  /// A cut depends on no byte that is further away than this, but for the start of its chunk.
  private let margin: UInt64

  init(_ request: PutRequest, _ base: Index, _ disk: Disk, below: Disk, _ progress: Progress) {
    self.request = request
    self.base = base
    self.disk = disk
    self.below = below
    self.progress = progress
    // docs/formats/image-chunker.md, radius: A / 8192 - 1 blocks, and one for runs of zeros.
    if case .image(let average) = base.chunker { margin = UInt64(average / 2) } else { margin = 4096 }
  }

  func run() throws -> PutSummary {
    let start = ContinuousClock.now
    let opener = Stores(request.connection, progress.cancellation)
    let index = try IndexFileWriter(
      request.index, flags: base.flags, chunker: base.chunker, mode: 0o666, opener)
    let writer = try opener.writer(request.store)
    progress.begin(.working, total: disk.size)
    let storer = try ChunkStorer(request, writer)
    let count = request.workers ?? WorkerPool<ChunkStorer.Context>.processorCount
    let recuts = try WorkerPool.with(count: count, context: { storer.context() }) { pool in
      try recut(storer, pool)
    }
    var tally = PutTally()
    var position = 0
    let zeros = ZeroChunks(of: base)
    for recut in recuts + [Recut(range: base.size..<base.size, chunks: [])] {
      try keep(position..<base.position(of: recut.range.lowerBound), index, writer, zeros, &tally)
      for chunk in recut.chunks {
        try index.append(length: chunk.length, id: chunk.id)
        tally.add(chunk)
        progress.advance(chunk.length)
      }
      position = base.position(of: recut.range.upperBound)
    }
    progress.begin(.flushing, total: 0)
    try writer.close()
    return tally.summary(try index.finish(), nil, chunks: index.count, start.duration(to: .now))
  }

  /// Takes chunks of the base into the new index.
  private func keep(
    _ positions: Range<Int>, _ index: IndexFileWriter, _ writer: any StoreWriter, _ zeros: ZeroChunks,
    _ tally: inout PutTally
  ) throws {
    for first in stride(from: positions.lowerBound, to: positions.upperBound, by: 1024) {
      try progress.cancellation.check()
      let part = first..<min(first + 1024, positions.upperBound)
      let ids = part.map { base.id(of: $0) }
      for (known, id) in zip(try writer.contains(ids), ids) where !known {
        throw JobError(
          .missingChunk, "chunk \(id) of the base is not in the store \(Stores.name(request.store))",
          hint: "put into the store that has the base's chunks")
      }
      for position in part {
        let (id, length) = (base.id(of: position), base.length(of: position))
        try index.append(length: length, id: id)
        let isZero = zeros.contains(id, length: length)
        tally.add(StoredChunk(id: id, length: length, isZero: isZero, storedBytes: nil))
        progress.advance(length)
      }
    }
  }

  // MARK: Cutting again

  /// Chunks that replace those of the base in a range.
  struct Recut {
    let range: Range<UInt64>
    let chunks: [StoredChunk]
    var cluster: Cluster?
  }

  /// Changes that stand near each other, within one segment.
  struct Cluster {
    var range: Range<UInt64>
    let segment: Range<UInt64>
    let kind: SegmentKind
  }

  private func recut(_ storer: ChunkStorer, _ pool: WorkerPool<ChunkStorer.Context>) throws -> [Recut] {
    var done = [Recut]()
    var rest = Array(try clusters().reversed())
    while var cluster = rest.popLast() {
      var reach = UInt64(base.chunker.maximumChunk) + margin
      while true {
        try progress.cancellation.check()
        let range = surroundings(of: cluster, reach)
        let cut = try chunks(in: range, cluster.kind, storer, pool)
        guard let recut = accepted(cut, range, cluster) else {
          reach *= 4
          continue
        }
        if let next = rest.last, next.segment == cluster.segment,
          recut.range.upperBound + margin > next.range.lowerBound
        {
          rest.removeLast()
          cluster.range = cluster.range.lowerBound..<next.range.upperBound
        } else if let last = done.last, let previous = last.cluster,
          recut.range.lowerBound < last.range.upperBound
        {
          done.removeLast()
          cluster.range = previous.range.lowerBound..<cluster.range.upperBound
        } else {
          done.append(recut)
          break
        }
      }
    }
    return done
  }

  /// From a cut of the base to one of the base, or the ends of the segment, `reach` around a cluster.
  private func surroundings(of cluster: Cluster, _ reach: UInt64) -> Range<UInt64> {
    let segment = cluster.segment
    var start = segment.lowerBound
    if cluster.range.lowerBound > segment.lowerBound + reach {
      var position = base.position(of: cluster.range.lowerBound - reach)
      // Blocks count from the segment's start.
      while base.start(of: position) > segment.lowerBound,
        (base.start(of: position) - segment.lowerBound) % 4096 != 0, cluster.kind != .stream
      {
        position -= 1
      }
      start = max(start, base.start(of: position))
    }
    var end = segment.upperBound
    if cluster.range.upperBound + reach < segment.upperBound {
      end = min(end, base.end(of: base.position(of: cluster.range.upperBound + reach - 1)))
    }
    return start..<end
  }

  /// Cuts the new content of `range` and stores its chunks.
  private func chunks(
    in range: Range<UInt64>, _ kind: SegmentKind, _ storer: ChunkStorer,
    _ pool: WorkerPool<ChunkStorer.Context>
  ) throws -> [StoredChunk] {
    let input = ImageInput(disk, upTo: range.upperBound, progress.cancellation)
    let stream = ChunkStream(chunker: base.chunker, cancellation: progress.cancellation)
    var chunks = [StoredChunk]()
    _ = try stream.cut(
      input, from: (range.lowerBound, kind), pool: pool,
      work: { context, batch in try storer.store(batch, context) }, inOrder: { chunks += $0 })
    return chunks
  }

  /// The chunks between a cut before the cluster and one after it that base and new content have in common;
  /// `nil` when there are none such.
  private func accepted(_ chunks: [StoredChunk], _ range: Range<UInt64>, _ cluster: Cluster) -> Recut? {
    var first: (offset: UInt64, number: Int)?
    if range.lowerBound == cluster.segment.lowerBound { first = (range.lowerBound, 0) }
    var offset = range.lowerBound
    for (number, chunk) in chunks.enumerated() {
      offset += UInt64(chunk.length)
      let isCommon = base.start(of: base.position(of: offset)) == offset
      if let first, offset >= cluster.range.upperBound {
        let isCertain = offset >= cluster.range.upperBound + margin && offset + margin <= range.upperBound
        if isCommon && isCertain || offset == cluster.segment.upperBound {
          return Recut(
            range: first.offset..<offset, chunks: Array(chunks[first.number...number]), cluster: cluster)
        }
      } else if isCommon, offset >= range.lowerBound + margin, offset + margin <= cluster.range.lowerBound {
        // The last one, so that the least is new.
        first = (offset, number + 1)
      }
    }
    return nil
  }

  // MARK: What changed

  private func clusters() throws -> [Cluster] {
    let distance = 4 * (UInt64(base.chunker.maximumChunk) + margin)
    let changes = disk.changes
    var clusters = [Cluster]()
    for segment in try segments(changes) {
      let (range, kind) = (segment.range, segment.kind)
      if segment.isNew {
        clusters.append(Cluster(range: range, segment: range, kind: kind))
        continue
      }
      for change in changes {
        let part = change.clamped(to: range)
        guard !part.isEmpty else { continue }
        if let last = clusters.last, last.segment == range,
          part.lowerBound < last.range.upperBound + distance
        {
          clusters[clusters.count - 1].range = last.range.lowerBound..<part.upperBound
        } else {
          clusters.append(Cluster(range: part, segment: range, kind: kind))
        }
      }
    }
    return clusters
  }

  /// A segment of the new image.
  private struct Segment {
    let range: Range<UInt64>
    let kind: SegmentKind
    /// Whether the base does not have it, or one of another kind: then all of it is cut again.
    var isNew = false
  }

  /// The segments that have changes.
  private func segments(_ changes: [Range<UInt64>]) throws -> [Segment] {
    guard case .image = base.chunker else { return [Segment(range: 0..<base.size, kind: .stream)] }
    let layout = try layout(of: disk)
    var old = layout
    if Self.isTouched(0..<UInt64(ImageLayout.headLength), changes) { old = try self.layout(of: below) }
    var segments = [Segment]()
    for range in layout {
      let isKnown = old.contains(range)
      guard !isKnown || Self.isTouched(range, changes) else { continue }
      let kind = try kind(of: range, on: disk)
      var isNew = !isKnown
      if isKnown, Self.isTouched(head(of: range), changes) {
        isNew = try self.kind(of: range, on: below) != kind
      }
      segments.append(Segment(range: range, kind: kind, isNew: isNew))
    }
    return segments
  }

  private static func isTouched(_ range: Range<UInt64>, _ changes: [Range<UInt64>]) -> Bool {
    changes.contains { $0.overlaps(range) }
  }

  private func layout(of disk: Disk) throws -> [Range<UInt64>] {
    let head = try disk.buffer(0..<min(disk.size, UInt64(ImageLayout.headLength)))
    return ImageLayout(head: head.bytes).segments.compactMap { segment in
      let range = min(segment.start, disk.size)..<min(segment.end ?? disk.size, disk.size)
      return range.isEmpty ? nil : range
    }
  }

  private func kind(of segment: Range<UInt64>, on disk: Disk) throws -> SegmentKind {
    let head = try disk.buffer(head(of: segment))
    return SegmentKind(head: head.bytes)
  }

  private func head(of segment: Range<UInt64>) -> Range<UInt64> {
    segment.lowerBound..<min(segment.upperBound, segment.lowerBound + UInt64(SegmentKind.headLength))
  }
}
