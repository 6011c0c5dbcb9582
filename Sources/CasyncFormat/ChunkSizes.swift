/// The three sizes in an index header, in bytes: minimum, average and maximum of a chunk.
public struct ChunkSizes: Equatable, Sendable {
  /// The largest size that any of the three may have (casync's CHUNK_SIZE_LIMIT_MAX): 128 MiB.
  public static let limit = 128 << 20

  public let min: Int
  public let average: Int
  public let max: Int

  /// casync's default for `make`: 16 KiB, 64 KiB, 256 KiB.
  public static let standard = ChunkSizes(unchecked: 16 << 10, 64 << 10, 256 << 10)

  private init(unchecked min: Int, _ average: Int, _ max: Int) {
    self.min = min
    self.average = average
    self.max = max
  }

  /// `nil` unless 1 <= min <= average <= max <= `limit`.
  public init?(min: Int, average: Int, max: Int) {
    guard 1 <= min, min <= average, average <= max, max <= Self.limit else { return nil }
    self.init(unchecked: min, average, max)
  }

  /// The sizes that casync derives from an average alone: a quarter and four times of it, clamped.
  public init?(average: Int) {
    guard 1 <= average, average <= Self.limit else { return nil }
    self.init(min: Swift.max(average / 4, 1), average: average, max: Swift.min(average * 4, Self.limit))
  }
}

extension ChunkSizes: CustomStringConvertible {
  public var description: String { "\(min):\(average):\(max)" }
}
