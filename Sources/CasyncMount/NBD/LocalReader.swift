internal import Casync
internal import CasyncIO

/// Reads what lies in local files and is in the page cache, without waiting for a medium. Used by the
/// server's thread alone.
///
/// Memory is lent to who sends what was read, and used again when that is gone.
struct LocalReader {
  /// Bytes of one buffer: reads share it until it is full.
  private static let bufferLength = 1 << 20
  /// Buffers that are kept.
  private static let keptLimit = 24

  private var buffers: [Buffer] = []
  /// The buffer that is being filled, and how far it is.
  private var current = Buffer(count: Self.bufferLength)
  private var filled = 0

  /// The bytes at `places`.
  /// - Returns: `nil` when some are not in the page cache, or cannot be read.
  mutating func read(_ places: [Disk.Place]) -> [ImagePiece]? {
    var pieces = [ImagePiece]()
    for place in places {
      guard let file = place.file else {
        pieces.append(ImagePiece(zerosAt: place.range))
        continue
      }
      var start = place.range.lowerBound
      while start < place.range.upperBound {
        let length = Int(min(place.range.upperBound - start, UInt64(Self.bufferLength)))
        let offset = room(length)
        guard file.readWithoutWaiting(at: start, into: current, offset..<offset + length) else { return nil }
        filled = offset + length
        pieces.append(ImagePiece(offset: start, length: length, buffer: current, start: offset))
        start += UInt64(length)
      }
    }
    return pieces
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
