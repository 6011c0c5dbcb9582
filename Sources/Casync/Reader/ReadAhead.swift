/// Notices who reads front to back, and says what such a reader will want next. Guarded by its owner.
///
/// Several connections may share one sequential reader's work, so a read counts as the next of a stream when
/// it begins near the stream's end, before or after it.
struct ReadAhead {
  private struct Stream {
    /// The greatest offset that was read.
    var end: UInt64 = 0
    /// Bytes read since the stream began.
    var run: UInt64 = 0
    /// Up to where was read ahead.
    var ahead: UInt64 = 0
    var lastUse = 0
  }

  /// How far from a stream's end its next read may begin.
  private static let slack: UInt64 = 1 << 20

  private var streams: [Stream] = []
  private var clock = 0
  private let window: UInt64

  /// - Parameter window: most bytes ahead of a reader.
  init(window: Int) { self.window = UInt64(max(0, window)) }

  /// Takes note of a read.
  /// - Returns: what to load before it is asked for: nothing for a new stream, then as much as was read so
  ///   far.
  mutating func next(after range: Range<UInt64>) -> Range<UInt64>? {
    clock += 1
    let found = streams.indices.first { index in
      let end = streams[index].end
      return range.lowerBound + Self.slack >= end && range.lowerBound <= end + Self.slack
    }
    guard let found else {
      begin(range)
      return nil
    }
    streams[found].lastUse = clock
    streams[found].run += range.upperBound - range.lowerBound
    let end = max(streams[found].end, range.upperBound)
    streams[found].end = end
    let wanted = end + min(window, streams[found].run)
    let start = max(end, streams[found].ahead)
    // Small steps would only cost locks: the next one comes when a quarter of the distance is used up.
    guard wanted > start, wanted - start >= min(window, streams[found].run) / 4 else { return nil }
    streams[found].ahead = wanted
    return start..<wanted
  }

  private mutating func begin(_ range: Range<UInt64>) {
    let stream = Stream(
      end: range.upperBound, run: range.upperBound - range.lowerBound, ahead: range.upperBound, lastUse: clock
    )
    if streams.count < 16 {
      streams.append(stream)
    } else if let oldest = streams.indices.min(by: { streams[$0].lastUse < streams[$1].lastUse }) {
      streams[oldest] = stream
    }
  }
}
