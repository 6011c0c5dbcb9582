/// Which content-defined chunker cut a stream, with its sizes; read off an index header.
public enum Chunker: Equatable, Sendable {
  /// casync's rolling hash (docs/formats/buzhash.md).
  case buzhash(ChunkSizes)
  /// The image chunker, version 1, with its average in bytes (docs/formats/image-chunker.md).
  case image(average: Int)

  /// The image chunker's default average: 32 KiB.
  public static let imageDefault = Chunker.image(average: 32 << 10)

  /// The image chunker of this average; `nil` unless it is a multiple of 8 KiB from 16 KiB to 1 MiB.
  public static func image(checking average: Int) -> Chunker? {
    guard average % 8192 == 0, (16 << 10)...(1 << 20) ~= average else { return nil }
    return .image(average: average)
  }

  /// The chunker that the sizes of an index header name.
  package init(headerSizes sizes: ChunkSizes) {
    if sizes.min == 4096, sizes.max == 4 * sizes.average + 1,
      let image = Chunker.image(checking: sizes.average)
    {
      self = image
    } else {
      self = .buzhash(sizes)
    }
  }

  /// The sizes that this chunker writes into an index header.
  package var headerSizes: ChunkSizes {
    switch self {
    case .buzhash(let sizes): return sizes
    case .image(let average):
      guard let sizes = ChunkSizes(min: 4096, average: average, max: 4 * average + 1) else {
        preconditionFailure("the image chunker's average is checked where it enters")
      }
      return sizes
    }
  }

  /// The longest chunk it cuts, in bytes.
  public var maximumChunk: Int {
    switch self {
    case .buzhash(let sizes): sizes.max
    case .image(let average): 4 * average
    }
  }
}
