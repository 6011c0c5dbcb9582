public import CasyncStore

/// What `get` is asked to do.
public struct GetRequest: Sendable {
  /// A device or file to take chunks from.
  public struct Seed: Sendable {
    public var path: String
    /// Path or URL of an index of its content; without one `PATH.caibx` or the state directory's is tried,
    /// then the seed is cut.
    public var index: String?

    public init(path: String, index: String? = nil) {
      self.path = path
      self.index = index
    }
  }

  /// Path or HTTP(S) URL of the index to read; `-` is standard input.
  public var index: String
  /// A block device, a file, `-` (standard output, written strictly in order), or an NBD URI.
  public var target: String
  /// Directories or HTTP(S) URLs of the stores: the local ones are asked in order, then the remote ones.
  public var stores: [String]
  public var seeds: [Seed] = []
  /// A store asked before all others, into which what was fetched from them is put.
  public var cache: String?
  /// Bytes that the cache may have: what was used longest ago makes room. `nil` is no bound.
  public var cacheLimit: UInt64?
  /// Take only this entry of the image's partition table (1, 2, …).
  public var partition: Int?
  /// Update an existing regular file where it stands, like a device.
  public var inPlace = false
  /// Whether the target's old content may serve as a source (`--seed-output=`).
  public var useTarget = true
  /// Read back what was written to a device.
  public var verify = true
  /// Share blocks with seeds where the file system can (`--reflink=`).
  public var reflink = true
  /// Directory that keeps the indexes of what was got onto devices; `nil` for none.
  public var stateDirectory: String? = "/var/lib/casync"
  /// Go on where a mismatch of sector sizes would stop.
  public var force = false
  /// How remote stores and indexes are reached.
  public var connection = ConnectionSettings()
  /// casync's `extract`: a missing seed is reported and ignored.
  public var ignoreMissingSeeds = false
  /// Threads that load and verify; `nil` is one for each processor.
  public var workers: Int?

  public init(index: String, target: String, stores: [String]) {
    self.index = index
    self.target = target
    self.stores = stores
  }
}

/// What `get` did.
public struct GetSummary: Sendable {
  /// What came from one source.
  public struct Share: Sendable {
    public internal(set) var chunks = 0
    public internal(set) var bytes: UInt64 = 0

    /// Counts one more chunk of `length` bytes.
    mutating func add(_ length: Int) {
      chunks += 1
      bytes += UInt64(length)
    }
  }

  /// Length of the image, or of the partition taken, in bytes.
  public internal(set) var size: UInt64 = 0
  public internal(set) var chunks = 0
  /// By `Source.rawValue`.
  public internal(set) var shares = [Share](repeating: Share(), count: Source.allCases.count)
  /// Bytes written to the target, zeros written as data included.
  public internal(set) var writtenBytes: UInt64 = 0
  /// Bytes zeroed without writing them.
  public internal(set) var zeroedBytes: UInt64 = 0
  /// Bytes not written because they were already right.
  public internal(set) var skippedBytes: UInt64 = 0
  /// Bytes read from stores as stored: the download.
  public internal(set) var fetchedBytes: UInt64 = 0
  /// Bytes received from servers: indexes, chunks and headers, tries that failed included.
  public internal(set) var receivedBytes: UInt64 = 0
  /// Bytes shared with a seed instead of copied.
  public internal(set) var clonedBytes: UInt64 = 0
  /// Bytes read back from the medium and compared.
  public internal(set) var verifiedBytes: UInt64 = 0
  /// What the user should know although the job succeeded, a line each.
  public internal(set) var warnings: [String] = []
  public internal(set) var duration: Duration = .zero

  public func share(of source: Source) -> Share { shares[source.rawValue] }

  /// A chunk that was counted comes from elsewhere after all.
  mutating func retract(_ bytes: UInt64, from source: Source) {
    shares[source.rawValue].chunks -= 1
    shares[source.rawValue].bytes -= bytes
    skippedBytes -= bytes
  }

  mutating func add(_ share: Share, from source: Source) {
    shares[source.rawValue].chunks += share.chunks
    shares[source.rawValue].bytes += share.bytes
  }
}
