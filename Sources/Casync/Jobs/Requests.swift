public import CasyncFormat
public import CasyncStore

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

/// Compare a device or file with an index.
public struct VerifyRequest: Sendable {
  public var index: String
  /// A block device, a file, or an NBD URI.
  public var target: String
  public var workers: Int?
  /// How a remote index is reached.
  public var connection = ConnectionSettings()

  public init(index: String, target: String) {
    self.index = index
    self.target = target
  }
}

/// The digest of a file, a device (as far as its file system goes), standard input, or the image of an index.
public struct DigestRequest: Sendable {
  public var input: String
  public var stores: [String]
  /// For a plain input; the image of an index always gets SHA-512/256, as casync does.
  public var digest: DigestAlgorithm = .sha512_256
  /// How remote stores and indexes are reached.
  public var connection = ConnectionSettings()
  /// Whether the input is an index whose image is digested.
  public var isIndex: Bool

  public init(input: String, isIndex: Bool, stores: [String]) {
    self.input = input
    self.isIndex = isIndex
    self.stores = stores
  }
}

/// What an update from one index to another costs.
public struct DiffRequest: Sendable {
  public var old: String
  public var new: String
  /// Where the compressed sizes are looked up; none gives no download size.
  public var stores: [String]
  /// How remote stores and indexes are reached.
  public var connection = ConnectionSettings()

  public init(old: String, new: String, stores: [String]) {
    self.old = old
    self.new = new
    self.stores = stores
  }
}

/// Remove from a store what no index names.
public struct CollectionRequest: Sendable {
  public var indexes: [String]
  public var store: String
  public var dryRun = false
  /// Chunks younger than this stay, for a writer that does not lock the store; `nil`: all may go.
  public var grace: Duration?
  /// How remote stores and indexes are reached.
  public var connection = ConnectionSettings()

  public init(indexes: [String], store: String) {
    self.indexes = indexes
    self.store = store
  }
}

/// Compare every chunk of a store with its name.
public struct CheckRequest: Sendable {
  public var store: String
  /// Move bad chunks aside.
  public var repair = false
  /// How a remote store is reached.
  public var connection = ConnectionSettings()
  public var workers: Int?

  public init(store: String) {
    self.store = store
  }
}
