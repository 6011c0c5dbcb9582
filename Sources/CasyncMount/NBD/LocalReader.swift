internal import Casync
internal import CasyncIO

/// Reads what lies in local files and is in the page cache, without waiting for a medium. Used by the
/// server's thread alone.
///
/// Memory is lent to who sends what was read, and used again when that is gone.
struct LocalReader {
  /// Bytes of one buffer: reads share it until it is full.
  private static let bufferLength = 1 << 20
  /// Shorter stretches are copied sooner than lent.
  private static let lentLength = 32 << 10
  /// Buffers that are kept.
  private static let keptLimit = 24

  private var buffers: [Buffer] = []
  /// The buffer that is being filled, and how far it is.
  private var current = Buffer(count: Self.bufferLength)
  private var filled = 0

  /// The bytes at `places`.
  /// - Parameter lendsFiles: whether long stretches may be sent from the files, without being read here.
  /// - Returns: `nil` when some are not in the page cache, or cannot be read.
  mutating func read(_ places: [Disk.Place], lendsFiles: Bool) -> [ReplyPart]? {
    var parts = [ReplyPart]()
    for place in places {
      guard let file = place.file else {
        parts.append(ReplyPart(place.range, .zeros))
        continue
      }
      if lendsFiles, place.range.count >= Self.lentLength, file.isCached(place.range) {
        parts.append(ReplyPart(place.range, .file(file)))
        continue
      }
      var start = place.range.lowerBound
      while start < place.range.upperBound {
        let end = min(place.range.upperBound, start + UInt64(Self.bufferLength))
        let length = Int(end - start)
        let offset = room(length)
        guard file.readWithoutWaiting(at: start, into: current, offset..<offset + length) else { return nil }
        filled = offset + length
        parts.append(ReplyPart(start..<end, .memory(current, start: offset)))
        start = end
      }
    }
    return parts
  }

  /// Room for `length` bytes in `current`.
  private mutating func room(_ length: Int) -> Int {
    if isKnownUniquelyReferenced(&current) { filled = 0 }
    guard filled + length > Self.bufferLength else { return filled }
    if buffers.count < Self.keptLimit { buffers.append(current) }
    let free = buffers.indices.first { isKnownUniquelyReferenced(&buffers[$0]) }
    current = free.map { buffers.remove(at: $0) } ?? Buffer(count: Self.bufferLength)
    filled = 0
    return 0
  }
}
