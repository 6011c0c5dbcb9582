/// What `SegmentCutter.scan` found in one piece of a segment; its use is to be joined.
package struct Scan: Sendable {
  /// Where the piece starts in the segment.
  package let offset: UInt64
  /// The bytes of the piece.
  package let length: UInt64

  enum Content: Sendable {
    /// For `.stream` and `.byte`.
    case candidates(Candidates, ZeroBlocks)
    /// For `.block`.
    case hashes([UInt32], ZeroBlocks)
    case hole
  }

  let content: Content
}
