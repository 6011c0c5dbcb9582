import CasyncChunking
import CasyncFormat
import Testing

@testable import Casync

@Suite("ChunkTable")
struct ChunkTableTests {
  /// An index that names few chunks, some of them often.
  static func index(_ seed: UInt64, count: Int) throws -> Index {
    var generator = Generator(seed: seed)
    let ids = (0..<max(1, count * 2 / 3)).map { _ in
      ChunkID(words: [generator.next(), generator.next(), generator.next(), generator.next()])
    }
    let chunks = (0..<count).map { _ in (length: 1, id: ids[Int.random(in: 0..<ids.count, using: &generator)])
    }
    return try makeIndex(chunks, chunker: .buzhash(.standard))
  }

  @Test(
    "each chunk is found where it stands first, and each repetition is told of",
    arguments: [0, 1, 2, 3, 12, 13, 5000])
  func first(count: Int) throws {
    let index = try Self.index(UInt64(count), count: count)
    var expected: [ChunkID: Int] = [:]
    var repeated: [Int: Int] = [:]
    for position in 0..<count {
      if let first = expected[index.id(of: position)] {
        repeated[position] = first
      } else {
        expected[index.id(of: position)] = position
      }
    }
    var told: [Int: Int] = [:]
    let table = ChunkTable(index) { position, first in told[position] = first }
    #expect(told == repeated)
    for (id, position) in expected { #expect(table.firstPosition(of: id) == position) }
    #expect(table.firstPosition(of: ChunkID(words: [1, 2, 3, 4])) == nil)
  }

  @Test("IDs that share a part are told apart")
  func similar() throws {
    var ids: [ChunkID] = []
    for word in 0..<100 as Range<UInt64> {
      ids += [ChunkID(words: [7, 7, 7, word]), ChunkID(words: [0, 0, word + 1, 0])]
    }
    let table = ChunkTable(try makeIndex(ids.map { (1, $0) }, chunker: .buzhash(.standard))) { _, _ in
      Issue.record("no chunk is there twice")
    }
    for (position, id) in ids.enumerated() { #expect(table.firstPosition(of: id) == position) }
  }
}

@Suite("ChunkSource")
struct ChunkSourceTests {
  static let all: [ChunkSource.Kind] = [
    .fetch, .inPlace, .zero, .target(offset: 0), .target(offset: 1),
    .target(offset: ChunkSource.offsetLimit - 1),
    .seed(number: 0, offset: 0),
    .seed(number: ChunkSource.seedLimit - 1, offset: ChunkSource.offsetLimit - 1),
    .seed(number: 5, offset: 123_456_789_012), .duplicate(of: 0), .duplicate(of: 1 << 27),
  ]

  @Test("a source of any kind comes out of its word as it went in", arguments: all.indices)
  func packing(index: Int) {
    let kind = Self.all[index]
    let source: ChunkSource =
      switch kind {
      case .fetch: .fetch
      case .inPlace: .inPlace
      case .zero: .zero
      case .target(let offset): .target(offset: offset)
      case .seed(let number, let offset): .seed(number, offset: offset)
      case .duplicate(let position): .duplicate(of: position)
      }
    #expect(source.kind == kind)
    #expect(MemoryLayout<ChunkSource>.size == 8)
  }
}

@Suite("Plan")
struct PlanTests {
  static let a = ChunkID(words: [1, 0, 0, 0])
  static let b = ChunkID(words: [2, 0, 0, 0])

  /// a, b, a, zeros, zeros, a short rest of zeros.
  static func plan() throws -> Plan {
    let chunker = Chunker.image(average: 16384)
    let zeros = ZeroChunks(.sha256, chunker: chunker)
    let rest = digest([UInt8](repeating: 0, count: 100))
    let index = try makeIndex(
      [
        (10, a), (20, b), (10, a), (65536, zeros.id(length: 65536)), (65536, zeros.id(length: 65536)),
        (100, rest),
      ],
      chunker: chunker)
    return Plan(index, zeros: ZeroChunks(.sha256, chunker: chunker))
  }

  @Test("zeros are zeros wherever they stand, other repetitions are duplicates, the rest is fetched")
  func new() throws {
    let plan = try Self.plan()
    #expect(plan.sources == [.fetch, .fetch, .duplicate(of: 0), .zero, .zero, .fetch])
    #expect(plan.unresolved == 3)
  }

  @Test("an offer is taken for the first place of a chunk, once")
  func offer() throws {
    var plan = try Self.plan()
    plan.offer(.seed(1, offset: 500), for: Self.a, length: 10)
    #expect(plan[0] == .seed(1, offset: 500))
    #expect(plan[2] == .duplicate(of: 0))
    #expect(plan.unresolved == 2)
    plan.offer(.seed(2, offset: 0), for: Self.a, length: 10)
    #expect(plan[0] == .seed(1, offset: 500))
    plan.offer(.target(offset: 0), for: Self.b, length: 21)
    plan.offer(.target(offset: 0), for: ChunkID(words: [9, 9, 9, 9]), length: 20)
    #expect(plan[1] == .fetch)
    plan.offer(.target(offset: 7), for: Self.b, length: 20)
    #expect(plan[1] == .target(offset: 7))
    #expect(plan.unresolved == 1)
  }

  @Test("what is unresolved is counted through every change")
  func unresolved() throws {
    var plan = try Self.plan()
    plan[0] = .inPlace
    plan[0] = .inPlace
    plan[2] = .inPlace
    #expect(plan.unresolved == 2)
    plan[0] = .fetch
    plan[0] = .fetch
    #expect(plan.unresolved == 3)
    plan.close()
    plan.offer(.target(offset: 7), for: Self.b, length: 20)
    #expect(plan[1] == .fetch)
  }
}

@Suite("ZeroChunks")
struct ZeroChunksTests {
  @Test("the image chunker's zeros are known by name up to its maximum", arguments: DigestAlgorithm.allCases)
  func image(algorithm: DigestAlgorithm) {
    let zeros = ZeroChunks(algorithm, chunker: .image(average: 16384))
    for length in [4096, 8192, 61440, 65536] {
      #expect(zeros.contains(digest([UInt8](repeating: 0, count: length), algorithm), length: length))
      #expect(zeros.id(length: length) == digest([UInt8](repeating: 0, count: length), algorithm))
    }
    let other = digest([UInt8](repeating: 0, count: 100), algorithm)
    #expect(!zeros.contains(other, length: 100))
    #expect(zeros.id(length: 100) == other)
    #expect(zeros.contains(other, length: 100))
    #expect(!zeros.contains(other, length: 4096))
  }

  @Test("of casync's chunker those of the maximum are")
  func buzhash() {
    let zeros = ZeroChunks(.sha256, chunker: .buzhash(.standard))
    #expect(zeros.contains(digest([UInt8](repeating: 0, count: 262_144)), length: 262_144))
    #expect(!zeros.contains(digest([UInt8](repeating: 0, count: 4096)), length: 4096))
  }
}
