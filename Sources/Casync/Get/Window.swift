import CasyncChunking
import CasyncIO

/// Memory that stands for a stretch of an image: the byte at `offset` of the image lies at `offset - start`.
///
/// `start` is a multiple of 4096 from the target's first byte and the memory is aligned alike, so that whole
/// blocks of it can be read and written past the page cache.
struct Window: Sendable {
  let buffer: Buffer
  let start: UInt64
  /// What returns the buffer to its pool when the last copy of the window is gone.
  private let lease: BufferPool.Lease?

  init(buffer: Buffer, start: UInt64) {
    self.buffer = buffer
    self.start = start
    lease = nil
  }

  init(_ lease: BufferPool.Lease, start: UInt64) {
    buffer = lease.buffer
    self.start = start
    self.lease = lease
  }

  /// Where `range` of the image lies in the buffer.
  func place(_ range: Range<UInt64>) -> Range<Int> {
    Int(range.lowerBound - start)..<Int(range.upperBound - start)
  }

  /// Whether the bytes at `place` of the buffer are all zero.
  func isZero(_ place: Range<Int>) -> Bool {
    CasyncChunking.isZero(buffer.bytes.extracting(place))
  }
}

extension Range<UInt64> {
  /// The part that both ranges share; empty when there is none.
  func intersection(_ other: Range<UInt64>) -> Range<UInt64> {
    let start = Swift.max(lowerBound, other.lowerBound)
    return start..<Swift.max(start, Swift.min(upperBound, other.upperBound))
  }

  var length: UInt64 { upperBound - lowerBound }
}
