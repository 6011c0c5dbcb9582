import CasyncFormat

/// Where a chunk is to be taken from, in one word.
struct ChunkSource: Equatable, Sendable {
  enum Kind: Equatable {
    /// A cache or store; also a chunk for which nothing is planned yet.
    case fetch
    /// It stands where it belongs.
    case inPlace
    case zero
    /// The target's old content at this offset of the image.
    case target(offset: UInt64)
    /// A seed, by its number in the request, at this offset of it.
    case seed(number: Int, offset: UInt64)
    /// The same chunk stands at this earlier position.
    case duplicate(of: Int)
  }

  /// The kind in the lowest 3 bits, a seed's number in the next 12, an offset or position in the rest.
  private let word: UInt64

  /// Seeds that can be told apart.
  static let seedLimit = 1 << 12
  /// Offsets that can be kept: 512 TiB.
  static let offsetLimit: UInt64 = 1 << 49

  static let fetch = ChunkSource(word: 0)
  static let inPlace = ChunkSource(word: 1)
  static let zero = ChunkSource(word: 2)

  private init(word: UInt64) {
    self.word = word
  }

  private init(_ kind: UInt64, seed: Int = 0, _ value: UInt64) {
    word = value << 15 | UInt64(seed) << 3 | kind
  }

  static func target(offset: UInt64) -> ChunkSource { ChunkSource(3, offset) }
  static func seed(_ number: Int, offset: UInt64) -> ChunkSource { ChunkSource(4, seed: number, offset) }
  static func duplicate(of position: Int) -> ChunkSource { ChunkSource(5, UInt64(position)) }

  var kind: Kind {
    switch word & 7 {
    case 1: .inPlace
    case 2: .zero
    case 3: .target(offset: word >> 15)
    case 4: .seed(number: Int(word >> 3 & 0xfff), offset: word >> 15)
    case 5: .duplicate(of: Int(word >> 15))
    default: .fetch
    }
  }
}

/// For each chunk of an image the cheapest source that is known; 8 bytes a chunk beside the index and its
/// table.
///
/// Made and changed by one thread. Every source is a hint: a chunk is hashed when it is used.
struct Plan {
  let index: Index
  /// Finds positions by ID while sources are looked for; gone when the plan is carried out.
  private var table: ChunkTable?
  private(set) var sources: [ChunkSource]
  /// Chunks for which nothing better than a store is known, duplicates not counted.
  private(set) var unresolved: Int

  /// Everything is to be fetched but zeros, and what stands in the index twice.
  init(_ index: Index, zeros: ZeroChunks) {
    self.index = index
    var sources = [ChunkSource](repeating: .fetch, count: index.count)
    table = ChunkTable(index) { position, first in sources[position] = .duplicate(of: first) }
    for position in 0..<index.count
    where zeros.contains(index.id(of: position), length: index.length(of: position)) {
      sources[position] = .zero
    }
    self.sources = sources
    unresolved = sources.count { $0 == .fetch }
  }

  subscript(position: Int) -> ChunkSource {
    get { sources[position] }
    set {
      if sources[position] == .fetch { unresolved -= 1 }
      if newValue == .fetch { unresolved += 1 }
      sources[position] = newValue
    }
  }

  /// Notes a source for the chunk `id` if the image needs it and knows none that is better.
  mutating func offer(_ source: ChunkSource, for id: ChunkID, length: Int) {
    guard let position = table?.firstPosition(of: id), sources[position] == .fetch,
      index.length(of: position) == length
    else { return }
    self[position] = source
  }

  /// No more sources will be offered: lets go of what was needed to find positions.
  mutating func close() {
    table = nil
  }
}
