public import CasyncChunking
public import CasyncFormat
public import CasyncStore

/// What `put` is asked to do.
public struct PutRequest: Sendable {
  /// How much of a device is the image.
  public enum Extent: Equatable, Sendable {
    /// All of it.
    case whole
    /// As far as the file system on it goes, by its superblock.
    case fileSystem
    /// The first so many bytes.
    case bytes(UInt64)
  }

  /// A file, a block device, `-` (standard input), or an NBD URI (`nbd://…`, `nbd+unix://…`).
  public var input: String
  /// Path or URL of the index to write; `-` is standard output.
  public var index: String
  /// Directory or URL of the store.
  public var store: String
  public var chunker: Chunker = .imageDefault
  public var digest: DigestAlgorithm = .sha256
  public var compression: Compression = .zstd
  /// `nil` is the compression's default.
  public var compressionLevel: Int?
  public var extent: Extent = .whole
  /// The flags for the index header beyond the digest's; casync's `--with=` and `--exclude-…=`.
  public var flags: FeatureFlags?
  /// How a remote store and index are reached.
  public var connection = ConnectionSettings()
  /// Threads that search, digest and compress; `nil` is one for each processor.
  public var workers: Int?
  /// Whether the whole image gets a digest of its own: a pass over all of it that no second core can share.
  public var digestsImage = false

  public init(input: String, index: String, store: String) {
    self.input = input
    self.index = index
    self.store = store
  }
}

/// What `put` did.
public struct PutSummary: Sendable {
  /// SHA-256 of the index, which names the image: whoever pins it pins every byte.
  public let indexDigest: ChunkID
  /// Digest of the whole image, if it was asked for.
  public let imageDigest: ChunkID?
  /// Length of the image in bytes.
  public let size: UInt64
  /// Chunks in the index.
  public let chunks: Int
  /// Chunks of zeros, and their bytes.
  public let zeroChunks: Int
  public let zeroBytes: UInt64
  /// Bytes that were not read because they are holes of the input.
  public let holeBytes: UInt64
  /// Chunks that are new in the store, their bytes, and their bytes as stored.
  public let newChunks: Int
  public let newBytes: UInt64
  public let storedBytes: UInt64
  public let duration: Duration
}
