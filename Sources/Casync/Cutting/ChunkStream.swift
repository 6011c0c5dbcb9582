import CasyncChunking
import CasyncFormat
import CasyncIO

/// A chunk of an image while its bytes are in memory.
struct CutChunk {
  /// Where it starts in the image.
  let offset: UInt64
  let length: Int
  /// Where its bytes lie in the batch's buffer; `nil` for a chunk of zeros.
  let range: Range<Int>?
}

/// Chunks cut from one piece, and the memory they lie in.
struct ChunkBatch: Sendable {
  let chunks: [CutChunk]
  let memory: PieceBuffer?
}

/// Cuts an image: reads pieces, has workers search them for cuts, joins the cuts in order, and hands batches
/// of chunks to the workers again.
///
///     read ─ piece → scan (workers) → join ─ batch → work (workers) → in order
///
/// One thread reads, joins and takes the results; the number of pieces in memory bounds how far it runs
/// ahead.
struct ChunkStream {
  let chunker: Chunker
  let cancellation: Cancellation

  /// How many pieces may be in memory: 8, or fewer where chunks, and so the buffers, are large.
  private var depth: Int {
    let buffer = PieceReader.pieceLength + headroom
    return max(3, min(8, (24 << 20) / buffer))
  }

  /// Room for what is uncut before a piece, in whole pages.
  private var headroom: Int {
    let kinds: [SegmentKind] = if case .buzhash = chunker { [.stream] } else { [.block, .byte] }
    let uncut = kinds.map { SegmentCutter(kind: $0, chunker: chunker).uncutBound }.reduce(0, max)
    return (uncut + Buffer.alignment - 1) / Buffer.alignment * Buffer.alignment
  }

  /// Cuts all of `input`, or what of it begins at a cut.
  /// - Parameters:
  ///   - from: where to begin, and the kind of the segment that this lies in; it counts as the segment's
  ///     start.
  ///   - piece: sees each piece before it is searched, in order, on the calling thread.
  ///   - work: done with each batch, on any worker.
  ///   - inOrder: gets what `work` gave, in the order of the image, on the calling thread.
  /// - Returns: bytes that were holes and not read.
  func cut<Context, Value: Sendable>(
    _ input: ImageInput, from start: (offset: UInt64, kind: SegmentKind)? = nil, pool: WorkerPool<Context>,
    piece see: (Piece) throws -> Void = { _ in },
    work: @escaping @Sendable (Context, ChunkBatch) throws -> Value,
    inOrder: (Value) throws -> Void
  ) throws -> UInt64 {
    let headroom = headroom
    let buffers = BufferPool(bufferLength: headroom + PieceReader.pieceLength, capacity: depth)
    var reader =
      try start.map { PieceReader(input, chunker: chunker, from: $0.offset, $0.kind) }
      ?? PieceReader(input, chunker: chunker)
    var joint = Joint(chunkStart: start?.offset ?? 0)
    var scans = Fifo<(piece: Piece, scan: Job<Scan>)>()
    var works = Fifo<Job<Value>>()

    func joinNext() throws {
      guard let (piece, scan) = scans.popFirst() else { return }
      for batch in try joint.join(piece, scan.wait()) {
        works.append(pool.submit { context in try work(context, batch) })
      }
    }
    func finishNext() throws {
      if let job = works.popFirst() { try inOrder(job.wait()) }
    }

    while !reader.isAtEnd {
      try cancellation.check()
      while let (_, scan) = scans.first, scan.isFinished { try joinNext() }
      while let job = works.first, job.isFinished { try finishNext() }
      let lease: BufferPool.Lease
      if let free = buffers.take() {
        lease = free
      } else if works.isEmpty, scans.isEmpty {
        lease = buffers.waitForOne()
      } else {
        // Whichever is first: a scan whose batches wait to be worked on, or a batch whose memory is wanted.
        pool.wait(until: { scans.first?.scan.isFinished ?? false || works.first?.isFinished ?? false })
        continue
      }
      guard let piece = try reader.next(into: PieceBuffer(lease, headroom: headroom)) else { break }
      try see(piece)
      scans.append((piece, pool.submit { _ in Self.scan(piece) }))
    }
    while !scans.isEmpty { try joinNext() }
    for batch in joint.finish() {
      works.append(pool.submit { context in try work(context, batch) })
    }
    while !works.isEmpty {
      try cancellation.check()
      try finishNext()
    }
    return reader.holeBytes
  }

  private static func scan(_ piece: Piece) -> Scan {
    let offset = piece.offset - piece.segmentStart
    guard let memory = piece.data else { return piece.cutter.scanHole(length: piece.length, offset: offset) }
    let lookbehind = Int(min(UInt64(SegmentCutter.lookbehind), offset))
    let end = memory.headroom + Int(piece.length)
    let buffer = memory.buffer
    return piece.cutter.scan(
      buffer.bytes.extracting(memory.headroom - lookbehind..<end), lookbehind: lookbehind, offset: offset)
  }
}

/// Joins the cuts of pieces in order and finds the bytes of each chunk.
private struct Joint {
  private var segment = -1
  private var segmentStart: UInt64 = 0
  private var cutter: SegmentCutter?
  /// Where the chunk that is being cut starts in the image.
  private var chunkStart: UInt64
  /// The last data piece: its memory, where in the image the memory's headroom ends, and its end.
  private var memory: PieceBuffer?
  private var memoryStart: UInt64 = 0
  private var memoryEnd: UInt64 = 0

  init(chunkStart: UInt64) { self.chunkStart = chunkStart }

  mutating func join(_ piece: Piece, _ scan: Scan) -> [ChunkBatch] {
    var batches = [ChunkBatch]()
    if piece.segment != segment {
      batches += finish()
      segment = piece.segment
      segmentStart = piece.segmentStart
      cutter = piece.cutter
    }
    if let data = piece.data { carry(into: data, piece) }
    var cuts = [Cut]()
    cutter?.join(scan, into: &cuts)
    batches += batch(cuts)
    return batches
  }

  /// The segment, and perhaps the image, ends here.
  mutating func finish() -> [ChunkBatch] {
    var cuts = [Cut]()
    cutter?.finish(into: &cuts)
    cutter = nil
    defer { memory = nil }
    return batch(cuts)
  }

  /// Copies what is uncut before the piece into its headroom, so that every chunk lies in one piece.
  private mutating func carry(into data: PieceBuffer, _ piece: Piece) {
    if let memory, chunkStart < memoryEnd, memoryEnd == piece.offset {
      let uncut = Int(memoryEnd - chunkStart)
      let end = memory.headroom + Int(memoryEnd - memoryStart)
      data.buffer.copy(end - uncut..<end, of: memory.buffer, to: data.headroom - uncut)
    }
    memory = data
    memoryStart = piece.offset
    memoryEnd = piece.offset + piece.length
  }

  private mutating func batch(_ cuts: [Cut]) -> [ChunkBatch] {
    guard !cuts.isEmpty else { return [] }
    var chunks = [CutChunk]()
    chunks.reserveCapacity(cuts.count)
    for cut in cuts {
      let end = segmentStart + cut.end
      let length = Int(end - chunkStart)
      var range: Range<Int>?
      if !cut.isZero, let memory {
        precondition(end <= memoryEnd, "a chunk reaches beyond the bytes in memory")
        let start = memory.headroom + Int(Int64(bitPattern: chunkStart &- memoryStart))
        range = start..<start + length
      }
      chunks.append(CutChunk(offset: chunkStart, length: length, range: range))
      chunkStart = end
    }
    return [ChunkBatch(chunks: chunks, memory: memory)]
  }
}
