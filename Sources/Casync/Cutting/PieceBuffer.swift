import CasyncIO

/// Memory for one piece of an image on its way through the cutter, with room before the piece for what its
/// predecessor left uncut.
struct PieceBuffer: Sendable {
  private let lease: BufferPool.Lease
  /// Bytes of room before the piece.
  let headroom: Int

  init(_ lease: BufferPool.Lease, headroom: Int) {
    self.lease = lease
    self.headroom = headroom
  }

  var buffer: Buffer { lease.buffer }
}
