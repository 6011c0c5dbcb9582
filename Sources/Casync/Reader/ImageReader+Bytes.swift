internal import CasyncIO

extension ImageReader {
  /// The bytes in `range`, as soon as they are there. Nothing else is loaded. Blocks.
  /// - Throws: why they cannot be had.
  /// - Precondition: `range` lies inside the image.
  package func bytes(in range: Range<UInt64>) throws -> [UInt8] {
    guard !range.isEmpty else { return [] }
    let result = Monitor<Result<[ImagePiece], any Error>?>(nil)
    let pieces =
      try read(range, ahead: 0..<0) { arrived in result.withLock { $0 = arrived } }
      ?? result.wait { $0 }.get()
    var bytes = [UInt8]()
    bytes.reserveCapacity(Int(range.upperBound - range.lowerBound))
    for piece in pieces {
      if let buffer = piece.buffer {
        bytes += buffer.bytes.extracting(piece.start..<piece.start + piece.length).copy()
      } else {
        bytes += repeatElement(0, count: piece.length)
      }
    }
    return bytes
  }
}
