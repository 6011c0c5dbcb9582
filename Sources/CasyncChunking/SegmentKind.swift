/// How a segment is cut.
package enum SegmentKind: Sendable, Equatable {
  /// casync's chunker over everything (`Chunker.buzhash`, its fixed mode included): the stream is one
  /// segment.
  case stream
  /// The image chunker, cutting by the byte.
  case byte
  /// The image chunker, cutting between blocks of 4 KiB.
  case block

  /// The bytes from a segment's start that decide its kind: all of them when it is shorter.
  package static let headLength = 65_684

  /// The image chunker's kind for the segment that starts with `head`: `.block` where it holds a file system
  /// whose blocks are 4 KiB or more, else `.byte` (the table in docs/formats/image-chunker.md).
  package init(head: RawSpan) {
    let isBlock =
      Self.isExt(head) || Self.isXFS(head) || Self.isBtrfs(head) || Self.isErofs(head) || Self.isF2FS(head)
    self = isBlock ? .block : .byte
  }

  /// ext2/3/4: block size 1024 << word.
  private static func isExt(_ head: RawSpan) -> Bool {
    guard head.byte(at: 1080) == 0x53, head.byte(at: 1081) == 0xef else { return false }
    return head.word32(at: 1048).map { 2...6 ~= $0 } ?? false
  }

  /// XFS: "XFSB", big-endian block size.
  private static func isXFS(_ head: RawSpan) -> Bool {
    guard head.word32(at: 0)?.byteSwapped == 0x5846_5342 else { return false }
    return head.word32(at: 4).map { 4096...65536 ~= $0.byteSwapped } ?? false
  }

  /// btrfs: "_BHRfS_M", sector size.
  private static func isBtrfs(_ head: RawSpan) -> Bool {
    guard head.word(at: 65_600)?.byteSwapped == 0x5f42_4852_6653_5f4d else { return false }
    return head.word32(at: 65_680).map { 4096...65536 ~= $0 } ?? false
  }

  /// erofs: block size as a power of two.
  private static func isErofs(_ head: RawSpan) -> Bool {
    guard head.word32(at: 1024) == 0xe0f5_e1e2 else { return false }
    return head.byte(at: 1036).map { 12...16 ~= $0 } ?? false
  }

  /// f2fs: block size as a power of two.
  private static func isF2FS(_ head: RawSpan) -> Bool {
    guard head.word32(at: 1024) == 0xf2f5_2010 else { return false }
    return head.word32(at: 1040).map { 12...16 ~= $0 } ?? false
  }
}
