internal import CasyncChunking
package import CasyncIO

/// What whoever attaches an image wants to know of it.
extension ImageReader {
  /// The bytes in `range`. Blocks until they are there.
  /// - Precondition: `range` lies inside the image and is not empty.
  package func readNow(_ range: Range<UInt64>) throws -> Buffer {
    let arrived = Monitor<Result<[ImagePiece], any Error>?>(nil)
    let pieces =
      try read(range) { result in arrived.withLock { $0 = result } } ?? arrived.wait { $0 }.get()
    let buffer = Buffer(count: Int(range.upperBound - range.lowerBound))
    for piece in pieces {
      guard let source = piece.buffer else { continue }
      buffer.copy(
        piece.start..<piece.start + piece.length, of: source, to: Int(piece.offset - range.lowerBound))
    }
    return buffer
  }

  /// The sector size for which the image was made: 4096 if its GPT says so, else 512. Blocks, and reads the
  /// first MiB.
  package func sectorSize() throws -> Int {
    let head = try readNow(0..<min(size, UInt64(ImageLayout.headLength)))
    guard case .gpt(let gpt) = ImageLayout(head: head.bytes).table else { return 512 }
    return gpt.sectorSize
  }
}
