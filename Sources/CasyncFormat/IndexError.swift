/// Why bytes are not an index file.
public struct IndexError: Error, Equatable, Sendable {
  public enum Code: Equatable, Sendable {
    /// The file ends before the tail of its table.
    case truncated
    /// The first record is not an INDEX record: no index file at all.
    case notAnIndex
    case unknownFeatures(FeatureFlags)
    case inconsistentFeatures(FeatureFlags)
    case chunkSizes
    case notATable
    /// A chunk ends at or before its predecessor's end.
    case emptyChunk(position: Int)
    /// A chunk is longer than the header allows.
    case chunkTooLong(position: Int, length: UInt64, limit: UInt64)
    case trailingBytes
    /// A chunk ends beyond what any file or device can hold.
    case tooLarge
  }

  public let code: Code
  /// Where in the file, in bytes.
  public let offset: Int

  init(_ code: Code, at offset: Int) {
    self.code = code
    self.offset = offset
  }
}

extension IndexError: CustomStringConvertible {
  public var description: String {
    switch code {
    case .truncated: "the index is cut short at byte \(offset)"
    case .notAnIndex: "not an index file (wrong magic at byte \(offset))"
    case .unknownFeatures(let flags):
      "the index uses features this version does not know (flags 0x\(String(flags.rawValue, radix: 16)))"
    case .inconsistentFeatures(let flags):
      "the feature flags of the index contradict each other (0x\(String(flags.rawValue, radix: 16)))"
    case .chunkSizes: "the chunk sizes in the index header are out of range or out of order"
    case .notATable: "the chunk table of the index does not start at byte \(offset)"
    case .emptyChunk(let position):
      "chunk \(position) of the index ends before it starts (byte \(offset))"
    case .chunkTooLong(let position, let length, let limit):
      "chunk \(position) of the index is \(length) bytes long, its header allows \(limit) (byte \(offset))"
    case .trailingBytes: "bytes follow the end of the index at byte \(offset)"
    case .tooLarge: "the index describes more than 8 EiB (byte \(offset))"
    }
  }
}
