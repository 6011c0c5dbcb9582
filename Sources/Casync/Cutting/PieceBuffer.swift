import CasyncIO

/// Memory for one piece of an image on its way through the cutter, with room before the piece for what its predecessor
/// left uncut; returned to its pool with the last reference.
final class PieceBuffer: Sendable {
  let buffer: Buffer
  /// Bytes of room before the piece.
  let headroom: Int
  private let pool: Pool

  fileprivate init(_ buffer: Buffer, headroom: Int, pool: Pool) {
    self.buffer = buffer
    self.headroom = headroom
    self.pool = pool
  }

  deinit {
    pool.release(buffer)
  }

  /// A bounded number of buffers of one size. They are allocated when first needed and then used again.
  final class Pool: Sendable {
    private struct State {
      var free: [Buffer] = []
      var lent = 0
    }

    private let state = Monitor(State())
    private let pieceLength: Int
    private let headroom: Int
    private let capacity: Int

    init(pieceLength: Int, headroom: Int, capacity: Int) {
      self.pieceLength = pieceLength
      self.headroom = (headroom + Buffer.alignment - 1) / Buffer.alignment * Buffer.alignment
      self.capacity = capacity
    }

    /// A buffer; `nil` when all are lent.
    func take() -> PieceBuffer? {
      state.withLock { take(&$0) }
    }

    /// A buffer, as soon as there is one. Blocks.
    func waitForOne() -> PieceBuffer {
      state.wait { take(&$0) }
    }

    private func take(_ state: inout State) -> PieceBuffer? {
      guard state.lent < capacity else { return nil }
      state.lent += 1
      return PieceBuffer(
        state.free.popLast() ?? Buffer(count: headroom + pieceLength), headroom: headroom, pool: self)
    }

    fileprivate func release(_ buffer: Buffer) {
      state.withLock { state in
        state.lent -= 1
        state.free.append(buffer)
      }
    }
  }
}
