/// Makes the bytes of an index file, front to back, while its chunks become known.
///
/// The three parts are to be written in order: `header`, one `item` a chunk, `tail`.
public struct IndexEncoder: Sendable {
  /// Number of items encoded so far.
  public private(set) var count = 0
  private var end: UInt64 = 0

  public init() {}

  /// INDEX record and TABLE header: 64 bytes.
  public static func header(flags: FeatureFlags, chunker: Chunker) -> [UInt8] {
    let sizes = chunker.headerSizes
    var bytes = [UInt8]()
    bytes.append(word: 48)
    bytes.append(word: Index.indexType)
    bytes.append(word: flags.normalized.rawValue)
    for size in [sizes.min, sizes.average, sizes.max] { bytes.append(word: UInt64(size)) }
    bytes.append(word: .max)
    bytes.append(word: Index.tableType)
    return bytes
  }

  /// Appends the item of the chunk that follows and is `length` bytes long: 40 bytes.
  /// - Precondition: `length` is positive, and the stream stays within 64 bits.
  public mutating func append(length: Int, id: ChunkID, to bytes: inout [UInt8]) {
    precondition(length > 0, "an index holds no empty chunk")
    end += UInt64(length)
    count += 1
    bytes.append(word: end)
    bytes.append(id)
  }

  /// Appends the tail of the table: 40 bytes, the last of the file.
  public func appendTail(to bytes: inout [UInt8]) {
    bytes.append(word: 0)
    bytes.append(word: 0)
    bytes.append(word: 48)
    bytes.append(word: UInt64(16 + Index.itemLength * count + Index.itemLength))
    bytes.append(word: Index.tailMarker)
  }
}
