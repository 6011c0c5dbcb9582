/// An index file (`.caibx`, `.caidx`) in memory: what a stream is made of.
///
///     INDEX record   48 bytes   size, type, feature flags, minimum, average and maximum chunk size
///     TABLE header   16 bytes   size (all ones), type
///     TABLE items    40 bytes   end offset of the chunk in the stream, its ID; once for each chunk
///     TABLE tail     40 bytes   0, 0, 48, size of the table, marker
///
/// All integers are little-endian 64-bit words (docs/formats/index.md). The items are kept as they stand in
/// the file, so an index costs 40 bytes a chunk.
public struct Index: Sendable {
  static let indexType: UInt64 = 0x9682_4d9c_7b12_9ff9
  static let tableType: UInt64 = 0xe75b_9e11_2f17_417d
  static let tailMarker: UInt64 = 0x4b4f_050e_5549_ecd1
  static let headerLength = 64
  static let itemLength = 40
  /// No file or device is longer than what a signed 64-bit offset reaches; beyond it an index is refused.
  static let streamLimit = UInt64(Int64.max)

  public let flags: FeatureFlags
  public let sizes: ChunkSizes
  /// Number of chunks.
  public let count: Int
  /// Items as in the file, 40 bytes each.
  package let items: [UInt8]

  /// Which chunker cut the stream.
  public var chunker: Chunker { Chunker(headerSizes: sizes) }

  /// The digest that names the chunks.
  public var digest: DigestAlgorithm { flags.digest }

  /// Length of the stream in bytes.
  public var size: UInt64 { count == 0 ? 0 : end(of: count - 1) }

  /// Offset in the stream at which the chunk at `position` ends.
  /// - Precondition: 0 <= position < count.
  public func end(of position: Int) -> UInt64 {
    guard let end = items.rawSpan.word(at: position * Self.itemLength) else {
      preconditionFailure("position \(position) of an index with \(count) chunks")
    }
    return end
  }

  /// Offset in the stream at which the chunk at `position` starts.
  public func start(of position: Int) -> UInt64 {
    position == 0 ? 0 : end(of: position - 1)
  }

  /// Where the chunk at `position` lies in the stream.
  public func range(of position: Int) -> Range<UInt64> {
    start(of: position)..<end(of: position)
  }

  /// Length of the chunk at `position` in bytes; at most `ChunkSizes.limit`.
  public func length(of position: Int) -> Int {
    Int(end(of: position) - start(of: position))
  }

  /// Name of the chunk at `position`.
  public func id(of position: Int) -> ChunkID {
    guard let id = ChunkID(items.rawSpan, at: position * Self.itemLength + 8) else {
      preconditionFailure("position \(position) of an index with \(count) chunks")
    }
    return id
  }

  /// Position of the chunk that holds the byte at `offset`; `count` when that is past the end.
  public func position(of offset: UInt64) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if end(of: middle) <= offset { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

// MARK: - Reading

extension Index {
  /// Decodes a whole index file, with every check of casync's reader.
  /// - Throws: `IndexError`, naming the byte at which `bytes` stop being an index.
  public init(decoding bytes: RawSpan) throws(IndexError) {
    (flags, sizes) = try Self.header(bytes)
    let limit = UInt64(Chunker(headerSizes: sizes).maximumChunk)
    var offset = Self.headerLength
    var end: UInt64 = 0
    var position = 0
    while true {
      guard let next = bytes.word(at: offset), bytes.byteCount - offset >= Self.itemLength else {
        throw IndexError(.truncated, at: bytes.byteCount)
      }
      if Self.isTail(bytes, at: offset) { break }
      guard next > end else { throw IndexError(.emptyChunk(position: position), at: offset) }
      guard next - end <= limit else {
        throw IndexError(
          .chunkTooLong(position: position, length: next - end, limit: limit), at: offset)
      }
      guard next <= Self.streamLimit else { throw IndexError(.tooLarge, at: offset) }
      end = next
      position += 1
      offset += Self.itemLength
    }
    guard bytes.byteCount == offset + Self.itemLength else {
      throw IndexError(.trailingBytes, at: offset + Self.itemLength)
    }
    count = position
    items = bytes.extracting(Self.headerLength..<offset).copy()
  }

  static func header(
    _ bytes: RawSpan
  ) throws(IndexError) -> (FeatureFlags, ChunkSizes) {
    guard let size = bytes.word(at: 0), let type = bytes.word(at: 8) else {
      throw IndexError(.truncated, at: bytes.byteCount)
    }
    guard size == 48, type == indexType else { throw IndexError(.notAnIndex, at: 0) }
    guard let rawFlags = bytes.word(at: 16), let min = bytes.word(at: 24), let average = bytes.word(at: 32),
      let max = bytes.word(at: 40), let tableSize = bytes.word(at: 48), let tableType = bytes.word(at: 56)
    else { throw IndexError(.truncated, at: bytes.byteCount) }

    let flags = FeatureFlags(rawValue: rawFlags)
    guard flags.isSubset(of: .known) else { throw IndexError(.unknownFeatures(flags), at: 16) }
    guard flags == flags.normalized else { throw IndexError(.inconsistentFeatures(flags), at: 16) }
    guard let min = Int(exactly: min), let average = Int(exactly: average), let max = Int(exactly: max),
      let sizes = ChunkSizes(min: min, average: average, max: max)
    else { throw IndexError(.chunkSizes, at: 24) }
    guard tableSize == .max, tableType == Self.tableType else { throw IndexError(.notATable, at: 48) }
    return (flags, sizes)
  }

  /// A tail is known by its content: no item ends at offset 0.
  private static func isTail(_ bytes: RawSpan, at offset: Int) -> Bool {
    bytes.word(at: offset) == 0 && bytes.word(at: offset + 8) == 0 && bytes.word(at: offset + 16) == 48
      && bytes.word(at: offset + 24) == UInt64(offset - 48 + itemLength)
      && bytes.word(at: offset + 32) == tailMarker
  }
}
