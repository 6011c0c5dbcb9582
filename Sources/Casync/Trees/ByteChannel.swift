import CasyncIO

/// Bytes that one thread makes and another takes, at most 4 MiB of them in between.
final class ByteChannel: Sendable {
  private struct State {
    var pieces = Fifo<Piece>()
    /// Bytes of the first piece that were taken.
    var taken = 0
    var isFinished = false
    var failure: (any Error)?
    var isClosed = false
  }

  private struct Piece: Sendable {
    let lease: BufferPool.Lease
    let count: Int
  }

  private static let pieceLength = 512 << 10
  private let buffers = BufferPool(bufferLength: pieceLength, capacity: 8)
  private let state = Monitor(State())

  /// Passes `bytes` on. Blocks while 4 MiB wait to be taken.
  /// - Throws: `CancellationError` when nobody takes them any more.
  func write(_ bytes: RawSpan) throws {
    var offset = 0
    while offset < bytes.byteCount {
      let count = min(Self.pieceLength, bytes.byteCount - offset)
      let lease = buffers.waitForOne()
      lease.buffer.copy(bytes.extracting(offset..<offset + count), to: 0)
      try state.withLock { state in
        if state.isClosed { throw CancellationError() }
        state.pieces.append(Piece(lease: lease, count: count))
      }
      offset += count
    }
  }

  /// No more bytes come.
  /// - Parameter failure: why, if that is not the end.
  func finish(_ failure: (any Error)?) {
    state.withLock { state in
      state.isFinished = true
      state.failure = failure
    }
  }

  /// Nobody takes bytes any more.
  func close() {
    state.withLock { state in
      state.isClosed = true
      state.pieces = Fifo()
    }
  }

  /// Fills `range` of `buffer`. Blocks until it is full or the bytes are at their end.
  /// - Returns: how many bytes there were.
  /// - Throws: what the other thread failed with.
  func read(into buffer: Buffer, _ range: Range<Int>) throws -> Int {
    var done = 0
    while done < range.count {
      guard let (piece, from) = try next() else { break }
      let count = min(range.count - done, piece.count - from)
      buffer.copy(from..<from + count, of: piece.lease.buffer, to: range.lowerBound + done)
      state.withLock { state in
        state.taken += count
        guard state.taken == piece.count else { return }
        state.taken = 0
        _ = state.pieces.popFirst()
      }
      done += count
    }
    return done
  }

  /// The piece at the front and where in it to go on; `nil` at the end.
  private func next() throws -> (Piece, Int)? {
    let found: Result<(Piece, Int)?, any Error> = state.wait { state in
      if let piece = state.pieces.first { return .success((piece, state.taken)) }
      if let failure = state.failure { return .failure(failure) }
      return state.isFinished ? .success(nil) : nil
    }
    return try found.get()
  }

  /// Runs `produce` on a thread of its own; what it writes to the channel `consume` takes from it.
  ///
  /// Returns or throws as `consume` does, when the thread is gone.
  static func run<Result>(
    _ produce: @escaping @Sendable (ByteChannel) throws -> Void,
    consume: (ByteChannel) throws -> Result
  ) throws -> Result {
    let channel = ByteChannel()
    let thread = Threads(count: 1) {
      do {
        try produce(channel)
        channel.finish(nil)
      } catch {
        channel.finish(error)
      }
    }
    defer {
      channel.close()
      thread.join()
    }
    return try consume(channel)
  }

  /// Passes all bytes to `body`, piece by piece.
  func forEach(_ body: (RawSpan) throws -> Void) throws {
    while let (piece, from) = try next() {
      let buffer = piece.lease.buffer
      try body(buffer.bytes.extracting(from..<piece.count))
      state.withLock { state in
        state.taken = 0
        _ = state.pieces.popFirst()
      }
    }
  }
}
