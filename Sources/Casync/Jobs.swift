public import CasyncFormat

/// A stretch of an image that differs from its index.
public struct Difference: Sendable {
  public let range: Range<UInt64>
}

/// What `verify` found.
public struct VerifySummary: Sendable {
  public let size: UInt64
  public let differences: [Difference]
  public var isIdentical: Bool { differences.isEmpty }
}

/// What `diff` found, for the whole image and for each of its partitions.
public struct DiffSummary: Sendable {
  public struct Part: Sendable {
    /// "image", or the partition's name, such as "partition 2".
    public let name: String
    public let kept: GetSummary.Share
    public let added: GetSummary.Share
    public let dropped: GetSummary.Share
    /// Bytes to fetch, compressed; `nil` without a store.
    public let download: UInt64?
    /// Added chunks that the store does not hold.
    public let missing: Int
  }
  public let parts: [Part]
}

/// What an index says of itself.
public struct IndexSummary: Sendable {
  public let index: Index
  public let distinctChunks: Int
  public let zeroBytes: UInt64
}

/// What `gc` removed or would remove.
public struct CollectionSummary: Sendable {
  public let references: Int
  public let usedChunks: Int
  public let removed: [String]
  public let removedBytes: UInt64
  public let removedDirectories: Int
  public let remaining: Int
  /// Chunks without a reference that are too young to go (`--grace`).
  public let spared: Int
  /// Names in the store that are no chunks, skipped.
  public let warnings: [String]
}

/// What `check` found.
public struct CheckSummary: Sendable {
  public struct Bad: Sendable {
    /// Path of the file below the store.
    public let path: String
    public let reason: String
    /// Where it was moved by `--repair`.
    public let movedTo: String?
  }
  public let chunks: Int
  public let bytes: UInt64
  public let bad: [Bad]
}
