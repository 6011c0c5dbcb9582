/// The GOODBYE of a directory as its readers see it: found at the directory's end, its items read one by one.
/// Whatever the bytes are, every range that comes out lies inside the directory.
package struct CatarTable: Sendable {
  /// Where the whole record lies in the archive.
  package let range: Range<UInt64>
  /// Where the directory's ENTRY starts.
  package let entry: UInt64
  /// Number of items.
  package let count: UInt64

  /// Bytes at the end of a directory that `init` wants to see.
  package static let tailLength = UInt64(CatarRecord.goodbyeItemLength)
  /// Bytes of an item.
  package static let itemLength = UInt64(CatarRecord.goodbyeItemLength)

  /// - Parameters:
  ///   - tail: the last bytes of the directory.
  ///   - end: where the directory ends.
  ///   - entry: where its ENTRY starts.
  package init(tail: RawSpan, endingAt end: UInt64, entry: UInt64) throws(CatarError) {
    let at = end - min(end, Self.tailLength)
    guard let distance = tail.word(at: 0), let size = tail.word(at: 8),
      tail.word(at: 16) == CatarRecord.goodbyeMarker
    else { throw CatarError(.badRecord("a directory does not end with its table"), at: at) }
    let fixed = UInt64(CatarRecord.headerLength) + Self.tailLength
    guard size >= fixed, (size - fixed) % Self.itemLength == 0, size <= end - min(end, entry) else {
      throw CatarError(.recordSize, at: at)
    }
    let start = end - size
    guard distance == start - entry else {
      throw CatarError(.badRecord("the end of a directory does not match it"), at: at)
    }
    range = start..<end
    self.entry = entry
    count = (size - fixed) / Self.itemLength
  }

  /// Where the items from `first` on lie, at most `limit` of them.
  package func place(ofItems first: UInt64, limit: UInt64) -> Range<UInt64> {
    let items = range.lowerBound + UInt64(CatarRecord.headerLength)
    let (from, to) = (min(first, count), min(first, count) + min(limit, count - min(first, count)))
    return items + from * Self.itemLength..<items + to * Self.itemLength
  }

  /// A child of the directory.
  package struct Item: Sendable {
    /// From its FILENAME to its end.
    package let range: Range<UInt64>
    /// SipHash of its name.
    package let hash: UInt64
  }

  /// The item in `bytes`, at `offset` there.
  package func item(_ bytes: RawSpan, at offset: Int = 0) throws(CatarError) -> Item {
    guard let distance = bytes.word(at: offset), let length = bytes.word(at: offset + 8),
      let hash = bytes.word(at: offset + 16), distance <= range.lowerBound - entry,
      length <= distance, length > 0
    else { throw CatarError(.badRecord("a child outside its directory"), at: range.lowerBound) }
    let start = range.lowerBound - distance
    return Item(range: start..<start + length, hash: hash)
  }

  /// The hash under which a name is found.
  package static func hash(_ name: [UInt8]) -> UInt64 { SipHash.hash(name) }
}

/// A FILENAME, by itself.
package enum CatarName {
  /// Bytes that are enough to see any.
  package static let limit = CatarRecord.filename.sizes.upperBound

  /// The name at the front of `bytes`, and the bytes of its record.
  package static func decode(_ bytes: RawSpan, at offset: UInt64) throws(CatarError) -> (name: [UInt8], Int) {
    guard let size = bytes.word(at: 0), bytes.word(at: 8) == CatarRecord.filename.rawValue else {
      throw CatarError(.unexpectedRecord, at: offset)
    }
    guard CatarRecord.filename.sizes.contains(size), size <= UInt64(bytes.byteCount) else {
      throw CatarError(.recordSize, at: offset)
    }
    let body = bytes.extracting(CatarRecord.headerLength..<Int(size))
    return (try CatarDecoder.name(body, at: offset), Int(size))
  }
}
