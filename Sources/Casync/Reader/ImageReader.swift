package import CasyncArchive
package import CasyncFormat
package import CasyncIO
package import CasyncStore
internal import Synchronization

/// Random access to an image that is not there: an index and its stores, or a raw file. Shared between
/// threads.
package final class ImageReader: Sendable {
  private enum Content: Sendable {
    case chunks(ChunkedImage)
    case file(File, number: Int)
  }

  /// An image in chunks, and what is kept of it here.
  struct ChunkedImage: Sendable {
    let index: Index
    let zeros: ZeroChunks
    let fetcher: ChunkFetcher
    let cacheFile: CacheFile?
    let profile: Profile?
  }

  /// What is kept of an image in local files, and fetched before it is asked for.
  package struct Keeping: Sendable {
    /// Path of the file in which fetched chunks are kept.
    package var cacheFile: String?
    /// Path of the file that keeps the order in which chunks are read.
    package var profile: String?
    package var prefetch = Prefetch.none

    package init() {}
  }

  /// Bytes in a block of a raw file.
  private static let blockLength: UInt64 = 64 << 10

  /// Size in bytes: that of the image, rounded up to whole sectors of 512 bytes as casync does it.
  package let size: UInt64
  /// Bytes that the index or file gives; what is behind them are zeros.
  package let contentSize: UInt64
  private let content: Content
  let supply: ChunkSupply
  private let ahead: Mutex<ReadAhead>
  private let plan = Mutex<PrefetchPlan?>(nil)

  private init(_ content: Content, size: UInt64, name: String, _ supply: ChunkSupply) throws {
    guard size > 0 else { throw JobError(.badRequest, "\(name) is empty") }
    guard size <= UInt64(Int64.max) - 511 else { throw JobError(.badRequest, "\(name) is too large") }
    self.content = content
    self.supply = supply
    contentSize = size
    self.size = Self.rounded(size)
    ahead = Mutex(ReadAhead(window: min(supply.memory / 8, 8 << 20)))
  }

  /// Reads the index at `index` (`-` is standard input). Blocks.
  /// - Parameters:
  ///   - stores: the stores, asked in order.
  ///   - cache: a store asked before all others, into which what was fetched is put.
  ///   - seeds: directories, files and devices in which chunks are looked for first; they are cut before this
  ///     returns. One that cannot be used is told of by the supply.
  ///   - shift: of the owners in those directories.
  ///   - keeping: local files. With a cache file that is complete stores and cache are left alone.
  ///   - cancellation: ends what waits for a server.
  /// - Throws: `JobError`, `StoreError`, `SystemError`.
  package convenience init(
    index path: String, stores: [String], cache: String?, cacheLimit: UInt64? = nil,
    seeds: [String] = [], shift: UIDShift = .none, keeping: Keeping = Keeping(),
    _ connection: ConnectionSettings,
    cancellation: Cancellation = Cancellation(), _ supply: ChunkSupply
  ) throws {
    let opener = Stores(connection, cancellation, stores: stores)
    let index = try IndexFile.read(path, opener)
    let zeros = ZeroChunks(of: index)
    let cacheFile = try keeping.cacheFile.map {
      try CacheFile($0, of: index, size: Self.rounded(index.size), zeros, report: { supply.tell($0) })
    }
    let isComplete = cacheFile?.isComplete ?? false
    let seedStore =
      seeds.isEmpty || isComplete
      ? nil : try SeedStore(seeds, of: index, shift, cancellation, warn: { supply.tell($0) })
    let image = ChunkedImage(
      index: index, zeros: zeros,
      fetcher: try ChunkFetcher(
        stores: isComplete ? [] : stores, cache: isComplete ? nil : cache, cacheLimit: cacheLimit,
        seeds: seedStore,
        opener),
      cacheFile: cacheFile, profile: try keeping.profile.map { try Profile($0, of: index) })
    try self.init(.chunks(image), size: index.size, name: path, supply)
    startPrefetch(image, keeping.prefetch)
  }

  private static func rounded(_ size: UInt64) -> UInt64 { (size + 511) / 512 * 512 }

  /// Opens a raw image: a file or device.
  /// - Parameter number: tells it from other raw images of the same supply.
  package convenience init(file path: String, number: Int, _ supply: ChunkSupply) throws {
    let file = try File.open(path)
    let size: UInt64
    switch try file.status().kind {
    case .regular: size = try file.status().size
    case .blockDevice: size = try file.deviceSize()
    default: throw JobError(.badRequest, "\(path) is neither a file nor a block device")
    }
    try self.init(.file(file, number: number), size: size, name: path, supply)
  }

  /// Who the image is: SHA-256 of its index's table; `nil` for a raw file.
  package var digest: ChunkID? {
    guard case .chunks(let image) = content else { return nil }
    return image.index.tableDigest
  }

  /// What the index says that its chunks are made of; `nil` for a raw file.
  package var flags: FeatureFlags? {
    guard case .chunks(let image) = content else { return nil }
    return image.index.flags
  }

  /// Makes what is kept durable. After the supply's threads are gone. Blocks.
  package func close() throws {
    guard case .chunks(let image) = content else { return }
    try image.fetcher.close()
    try image.cacheFile?.close()
    try image.profile?.close()
  }

  // MARK: Prefetching

  private func startPrefetch(_ image: ChunkedImage, _ mode: Prefetch) {
    guard mode != .none || image.profile != nil else { return }
    plan.withLock {
      $0 = PrefetchPlan(
        mode, profile: image.profile?.positions ?? [], count: image.index.count,
        budget: image.cacheFile == nil ? supply.memory / 4 * 3 : .max)
    }
    supply.add { [self] room in feed(image, room) }
  }

  /// What is to be prefetched next.
  private func feed(_ image: ChunkedImage, _ room: Int) -> ChunkSupply.Feed {
    // A profile that cannot be written is only shorter.
    try? image.profile?.write()
    let isIdle = !supply.tally.isWaiting
    return plan.withLock { plan in
      guard var current = plan else { return ChunkSupply.Feed() }
      var loads = [ChunkSupply.Load]()
      let positions = current.next(room, isIdle: isIdle) { position in
        guard var load = load(at: position, image), load.isFromStore else { return nil }
        load.isKept = image.cacheFile == nil
        loads.append(load)
        return load.length
      }
      plan = current.isDone ? nil : current
      return ChunkSupply.Feed(loads: loads, hasMore: !positions.isEmpty || plan != nil)
    }
  }

  // MARK: Reading

  /// The bytes in `range`.
  /// - Parameters:
  ///   - bounds: what may be loaded before it is asked for, of who reads front to back; empty for nothing.
  ///   - completion: called once, unless the pieces are returned: with the pieces, or with why they cannot be
  ///     had. It is called on a thread that loads, or on this one, and must not block.
  /// - Returns: the pieces in their order, when all are in memory; `nil` when they will come.
  /// - Precondition: `range` lies inside the image and is not empty.
  package func read(
    _ range: Range<UInt64>, ahead bounds: Range<UInt64> = 0..<UInt64.max,
    _ completion: @escaping @Sendable (Result<[ImagePiece], any Error>) -> Void
  ) -> [ImagePiece]? {
    precondition(!range.isEmpty && range.upperBound <= size, "a range outside the image")
    note(range)
    var pieces = [ImagePiece?]()
    let needs = needs(of: range, keepsPieces: true, &pieces)
    let waiting = supply.provide(needs, into: &pieces, completion)
    if !bounds.isEmpty, let next = ahead.withLock({ $0.next(after: range) }) {
      expect(next.clamped(to: bounds))
    }
    guard let waiting else { return pieces.compactMap { $0 } }
    waiting.start(pieces)
    return nil
  }

  /// Has the chunks of `range` loaded, so that a read finds them in memory; at most half of what that may
  /// hold.
  /// - Parameter completion: as for `read`; its pieces are none.
  /// - Returns: whether all are there already.
  package func prefetch(
    _ range: Range<UInt64>, _ completion: @escaping @Sendable (Result<[ImagePiece], any Error>) -> Void
  ) -> Bool {
    let end = min(range.upperBound, range.lowerBound + UInt64(supply.memory / 2))
    guard range.lowerBound < end else { return true }
    var pieces = [ImagePiece?]()
    let needs = needs(of: range.lowerBound..<end, keepsPieces: false, &pieces)
    pieces = pieces.map { _ in nil }
    let waiting = supply.provide(needs, into: &pieces, isAwaited: false, completion)
    waiting?.start([])
    return waiting == nil
  }

  private func expect(_ range: Range<UInt64>) {
    let end = min(range.upperBound, contentSize)
    guard range.lowerBound < end else { return }
    var pieces = [ImagePiece?]()
    supply.expect(needs(of: range.lowerBound..<end, keepsPieces: false, &pieces).map(\.load))
  }

  /// What `range` needs of each chunk that is not zeros.
  /// - Parameter pieces: gets a place for each chunk, filled for zeros.
  private func needs(
    of range: Range<UInt64>, keepsPieces: Bool, _ pieces: inout [ImagePiece?]
  ) -> [ChunkSupply.Need] {
    var needs = [ChunkSupply.Need]()
    var offset = range.lowerBound
    var position = position(of: offset)
    while offset < range.upperBound {
      let (place, load) = unit(at: position, from: offset)
      let end = min(place.upperBound, range.upperBound)
      let length = Int(end - offset)
      if let load {
        let (from, start) = (offset, Int(offset - place.lowerBound))
        let piece: @Sendable (Buffer) -> ImagePiece = {
          ImagePiece(offset: from, length: length, buffer: $0, start: start)
        }
        needs.append(ChunkSupply.Need(load: load, place: pieces.count, piece: keepsPieces ? piece : nil))
        pieces.append(nil)
      } else if let last = pieces.last ?? nil, last.buffer == nil {
        pieces[pieces.count - 1]?.length += length
      } else {
        pieces.append(ImagePiece(offset: offset, length: length, buffer: nil, start: 0))
      }
      offset = end
      position += 1
    }
    return needs
  }

  private func position(of offset: UInt64) -> Int {
    switch content {
    case .chunks(let image): image.index.position(of: offset)
    case .file: Int(offset / Self.blockLength)
    }
  }

  /// The positions of the chunks in `range`, as far as it has any.
  private func positions(of range: Range<UInt64>, _ index: Index) -> Range<Int> {
    let end = min(range.upperBound, contentSize)
    guard range.lowerBound < end else { return index.count..<index.count }
    return index.position(of: range.lowerBound)..<index.position(of: end - 1) + 1
  }

  /// Tells the profile what is read.
  private func note(_ range: Range<UInt64>) {
    guard case .chunks(let image) = content, let profile = image.profile else { return }
    profile.note(
      positions(of: range, image.index).filter {
        !image.zeros.contains(image.index.id(of: $0), length: image.index.length(of: $0))
      })
  }

  /// A chunk or block, or the zeros behind the last.
  /// - Parameter offset: a place in it.
  /// - Returns: where it lies, and how it is loaded; `nil` for zeros.
  private func unit(at position: Int, from offset: UInt64) -> (Range<UInt64>, ChunkSupply.Load?) {
    guard offset < contentSize else { return (offset..<size, nil) }
    switch content {
    case .chunks(let image): return (image.index.range(of: position), load(at: position, image))
    case .file(let file, let number):
      let start = UInt64(position) * Self.blockLength
      let range = start..<min(start + Self.blockLength, contentSize)
      return (
        range,
        ChunkSupply.Load(
          key: .block(file: number, position: position), length: Int(range.upperBound - range.lowerBound),
          origin: .file(file, offset: start))
      )
    }
  }

  /// How a chunk is loaded; `nil` for zeros.
  private func load(at position: Int, _ image: ChunkedImage) -> ChunkSupply.Load? {
    let id = image.index.id(of: position)
    let length = image.index.length(of: position)
    guard !image.zeros.contains(id, length: length) else { return nil }
    let key = ChunkCache.Key.chunk(id, length: length)
    guard let cache = image.cacheFile else {
      return ChunkSupply.Load(
        key: key, length: length, origin: .stores(image.fetcher, image.index.digest, nil))
    }
    if cache.holds(position..<position + 1) {
      return ChunkSupply.Load(
        key: key, length: length, origin: .file(cache.file, offset: image.index.start(of: position)))
    }
    let place = ChunkSupply.CachePlace(file: cache, position: position)
    return ChunkSupply.Load(
      key: key, length: length, origin: .stores(image.fetcher, image.index.digest, place))
  }

  // MARK: Looking

  /// Where the bytes in `range` lie, when all of them are in a local file; `nil` when they are not.
  func places(of range: Range<UInt64>) -> [Disk.Place]? {
    guard range.lowerBound < contentSize else { return nil }
    let end = min(range.upperBound, contentSize)
    let inside = range.lowerBound..<end
    var places: [Disk.Place]
    switch content {
    case .file(let file, _): places = [Disk.Place(range: inside, file: file)]
    case .chunks(let image):
      guard let cache = image.cacheFile,
        let found = cache.places(of: inside, positions(of: inside, image.index))
      else { return nil }
      note(inside)
      places = found
    }
    if end < range.upperBound { places.append(Disk.Place(range: end..<range.upperBound, file: nil)) }
    return places
  }

  /// A run of the image that holds zeros, or does not.
  package struct Extent: Equatable, Sendable {
    package var length: UInt64
    package let isZero: Bool

    package init(length: UInt64, isZero: Bool) {
      self.length = length
      self.isZero = isZero
    }
  }

  /// What `range` consists of, from its start, by the index alone: nothing is read. Of a raw file all is
  /// data.
  /// - Parameter limit: most extents. The last may end before `range` does, after 65536 chunks.
  /// - Precondition: `range` lies inside the image and is not empty.
  package func extents(in range: Range<UInt64>, limit: Int) -> [Extent] {
    precondition(!range.isEmpty && range.upperBound <= size, "a range outside the image")
    var extents = [Extent]()
    var offset = range.lowerBound
    if case .file = content { return Self.rawExtents(in: range, contentSize, limit: limit) }
    var position = position(of: offset)
    var steps = 0
    while offset < range.upperBound, steps < 1 << 16 {
      let (place, load) = unit(at: position, from: offset)
      let end = min(place.upperBound, range.upperBound)
      if let last = extents.last, last.isZero == (load == nil) {
        extents[extents.count - 1].length += end - offset
      } else {
        guard extents.count < limit else { break }
        extents.append(Extent(length: end - offset, isZero: load == nil))
      }
      offset = end
      position += 1
      steps += 1
    }
    return extents
  }

  private static func rawExtents(in range: Range<UInt64>, _ contentSize: UInt64, limit: Int) -> [Extent] {
    let dataEnd = max(range.lowerBound, min(range.upperBound, contentSize))
    let both = [
      Extent(length: dataEnd - range.lowerBound, isZero: false),
      Extent(length: range.upperBound - dataEnd, isZero: true),
    ]
    return Array(both.filter { $0.length > 0 }.prefix(limit))
  }
}
