package import Casync
internal import CasyncIO

/// A stretch of the answer to a read.
package struct ReplyPart: Sendable {
  enum Source: Sendable {
    case zeros
    /// Bytes from `start` of the buffer.
    case memory(Buffer, start: Int)
    /// Bytes that the file has at the offset that they have in the image.
    case file(File)
  }

  /// Offset in the image in bytes.
  let offset: UInt64
  let length: Int
  let source: Source

  /// - Precondition: the range is not longer than a request may be.
  init(_ range: Range<UInt64>, _ source: Source) {
    offset = range.lowerBound
    length = Int(range.upperBound - range.lowerBound)
    self.source = source
  }

  package init(_ piece: ImagePiece) {
    offset = piece.offset
    length = piece.length
    source = piece.buffer.map { .memory($0, start: piece.start) } ?? .zeros
  }

  var isZeros: Bool {
    if case .zeros = source { true } else { false }
  }
}
