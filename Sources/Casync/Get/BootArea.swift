import CasyncChunking
import CasyncFormat
import CasyncIO

/// The parts of an image by which firmware and kernel recognise it: its first 1 MiB and, for a GPT,
/// everything from the backup entry array to the end.
///
/// They are zeroed before the rest is written and written after it, so that at no moment a valid header, old
/// or new, stands before a body that is neither.
struct BootArea {
  private static let headLength: UInt64 = 1 << 20
  /// A backup table further from the end is not taken for one.
  private static let longestTail: UInt64 = 16 << 20

  /// Ascending; whole blocks of the target but for the image's end.
  let ranges: [Range<UInt64>]

  /// - Parameters:
  ///   - extent: what is written of the image.
  ///   - layout: the image's, when all of it is written.
  init(_ extent: Range<UInt64>, layout: ImageLayout?, target: Target) {
    let headEnd = min(extent.upperBound, extent.lowerBound + Self.headLength)
    var ranges = [extent.lowerBound..<headEnd]
    if case .gpt(let gpt) = layout?.table, let offset = gpt.backupOffset, offset < extent.upperBound {
      let start = max(target.alignDown(offset), headEnd)
      if start < extent.upperBound, extent.upperBound - start <= Self.longestTail {
        ranges.append(start..<extent.upperBound)
      }
    }
    self.ranges = ranges
  }

  /// What lies between and behind.
  func body(of extent: Range<UInt64>) -> Range<UInt64> {
    let start = ranges[0].upperBound
    let end = ranges.count > 1 ? ranges[1].lowerBound : extent.upperBound
    return start..<max(start, end)
  }

  /// The boot area in the order in which it is written: the block by which most images are recognised comes
  /// last and alone, since a longer write may be torn; before it the rest, the superblocks that stand further
  /// in last.
  var piecesInOrder: [Range<UInt64>] {
    let head = ranges[0]
    let cuts = [0, 4096, 128 << 10, Self.headLength].map { min(head.upperBound, head.lowerBound + $0) }
    let pieces = zip(cuts, cuts.dropFirst()).map { $0..<$1 } + ranges.dropFirst()
    return pieces.filter { !$0.isEmpty }.reversed()
  }

  /// Keeps what the boot area holds as a source, then zeroes it durably.
  func clear(_ target: Target, keepingIn old: OldContent) throws {
    for range in ranges {
      let blocks = target.alignDown(range.lowerBound)..<target.alignUp(range.upperBound)
      try old.keepArea(blocks)
      let window = Window(
        buffer: Buffer(count: Int(range.length) + Int(target.blockSize)), start: blocks.lowerBound)
      // Bytes after the image's end keep their value.
      let tail = range.upperBound..<blocks.upperBound
      if !tail.isEmpty { _ = try old.read(at: tail.lowerBound, into: window.buffer, window.place(tail)) }
      try target.write(blocks, from: window)
    }
    try target.flush()
  }
}
