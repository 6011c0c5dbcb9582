package import CasyncFormat

/// Feeds an archive that comes in pieces of any length to a decoder.
package struct ArchiveReader {
  /// Where a step ended, and what the archive holds.
  package struct Position: Sendable {
    /// Offset in the archive of the byte after the step's.
    package let offset: UInt64
    package let features: FeatureFlags
  }

  package private(set) var decoder = CatarDecoder()
  /// The front of a record whose end has not come yet.
  private var pending: [UInt8] = []

  package init() {}

  /// Takes the next bytes of the archive; what follows its end is ignored, as casync does.
  /// - Parameter handle: gets each event (`nil`: a record of a node) with the bytes it came from.
  /// - Throws: `CatarError`, and what `handle` throws.
  package mutating func push(
    _ bytes: RawSpan, _ handle: (_ event: CatarDecoder.Event?, _ bytes: RawSpan, Position) throws -> Void
  ) throws {
    var offset = 0
    while !decoder.isAtEnd {
      if pending.isEmpty {
        let rest = bytes.extracting(offset..<bytes.byteCount)
        if let step = try decoder.step(rest) {
          try handle(step.event, rest.extracting(0..<step.consumed), position)
          offset += step.consumed
          continue
        }
      } else {
        let record = pending
        if let step = try decoder.step(record.rawSpan) {
          pending.removeFirst(step.consumed)
          try handle(step.event, record.rawSpan.extracting(0..<step.consumed), position)
          continue
        }
      }
      guard offset < bytes.byteCount else { return }
      let wanted = try decoder.wanted(pending.rawSpan)
      let count = min(max(0, wanted - pending.count), bytes.byteCount - offset)
      pending += bytes.extracting(offset..<offset + count).copy()
      offset += count
    }
  }

  private var position: Position { Position(offset: decoder.offset, features: decoder.features ?? []) }

  /// The archive has no more bytes.
  /// - Throws: `CatarError` (truncated) when it is not at its end.
  package func finish() throws {
    guard decoder.isAtEnd else {
      throw CatarError(.truncated, at: decoder.offset + UInt64(pending.count))
    }
  }
}
