import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore
import TestSupport
import Testing

@testable import Casync

/// An old image on a target, a new one, and how the one becomes the other.
struct Assembly {
  let old: [UInt8]
  let new: [UInt8]
  let target: Target
  let index: Index
  var plan: Plan
  let fetcher: ChunkFetcher
  /// Goes last: what is open in it keeps it mounted.
  let scratch: Scratch

  /// - Parameters:
  ///   - lengths: of the chunks of `new`.
  ///   - stored: whether a chunk is in the store.
  init(
    _ scratch: Scratch, old: [UInt8], new: [UInt8], lengths: [Int], blockSize: Int,
    stored: (Int) -> Bool = { _ in true }
  ) throws {
    self.scratch = scratch
    self.old = old
    self.new = new
    let writer = try LocalStoreWriter(LocalStore.create(scratch("store")))
    let compressor = try Compressor(.zstd)
    var chunks: [(length: Int, id: ChunkID)] = []
    var offset = 0
    for (position, length) in lengths.enumerated() {
      let bytes = Array(new[offset..<offset + length])
      let id = digest(bytes)
      chunks.append((length, id))
      offset += length
      guard stored(position), try !writer.contains(id) else { continue }
      var compressed: [UInt8] = []
      try compressor.compress(bytes.rawSpan, into: &compressed)
      _ = try writer.add(id, compressed: compressed.rawSpan)
    }
    try writer.close()
    index = try makeIndex(chunks, chunker: .buzhash(.standard))
    plan = Plan(index, zeros: ZeroChunks(.sha256, chunker: .buzhash(.standard)))
    fetcher = try ChunkFetcher(stores: [scratch("store")], cache: nil, Stores(ConnectionSettings()))
    let file = try File.open(scratch.write(old, to: "target"), .readWrite)
    target = Target(
      kind: .file, path: file.path, base: 0, blockSize: blockSize, hasOldContent: true, file: file,
      cached: file)
  }

  /// Fills regions one after the other.
  func run(_ regions: [Range<UInt64>]) throws -> GetSummary {
    let content = OldContent(target)
    let loader = SlabLoader(index: index, target: target, old: content, seeds: [], fetcher: fetcher)
    return try WorkerPool.with(count: 2, context: { loader.context() }) { workers in
      try WorkerPool<Void>.with(count: 1, context: {}) { writers in
        var assembler = Assembler(
          target: target, old: content, loader: loader, workers: workers, writers: writers,
          progress: Progress(),
          plan: plan, summary: GetSummary())
        for region in regions { try assembler.fill(region) }
        return assembler.summary
      }
    }
  }

  /// The target holds the new image, and after it what it held before.
  func expectDone() throws {
    let bytes = try scratch.bytes("target")
    #expect(bytes.count == old.count)
    let wanted = new + old[new.count...]
    guard bytes != wanted else { return }
    let first = zip(bytes, wanted).enumerated().first { $1.0 != $1.1 }?.offset
    Issue.record("the target differs from byte \(first ?? -1) of \(new.count) on")
  }
}

@Suite("Assembler")
struct AssemblerTests {
  /// Random lengths that add up to `total`.
  static func lengths(_ total: Int, upTo longest: Int, _ generator: inout Generator) -> [Int] {
    var lengths: [Int] = []
    var rest = total
    while rest > 0 {
      let length = min(rest, Int.random(in: 1...longest, using: &generator))
      lengths.append(length)
      rest -= length
    }
    return lengths
  }

  @Test(
    "whatever is in place, moved, repeated, zero, fetched or planned wrongly, the new image stands there at the end",
    arguments: [1, 512, 4096], Generator.seeds(6))
  func random(blockSize: Int, seed: UInt64) throws {
    var generator = Generator(seed: seed)
    let size = Int.random(in: 100_000...6_000_000, using: &generator)
    var image = generator.image(size)
    let old = image + generator.bytes(8192)
    image = generator.update(image)
    let longest = [3000, 40_000, 262_144][Int.random(in: 0..<3, using: &generator)]
    let lengths = Self.lengths(size, upTo: longest, &generator)
    var assembly = try Assembly(
      Scratch(.memory), old: old, new: image, lengths: lengths, blockSize: blockSize)
    Self.plan(&assembly, &generator)
    _ = try assembly.run(Self.regions(UInt64(size), UInt64(blockSize), &generator))
    try assembly.expectDone()
  }

  /// Uses the old content where it can be, and where it cannot.
  static func plan(_ assembly: inout Assembly, _ generator: inout Generator) {
    let index = assembly.index
    for position in 0..<index.count {
      let range = Int(index.start(of: position))..<Int(index.end(of: position))
      let chunk = assembly.new[range]
      if assembly.old[range] == chunk, Int.random(in: 0..<4, using: &generator) > 0 {
        assembly.plan[position] = .inPlace
      } else if chunk.allSatisfy({ $0 == 0 }) {
        assembly.plan[position] = .zero
      } else if assembly.plan[position] == .fetch, Int.random(in: 0..<3, using: &generator) > 0 {
        // Mostly wrong, which costs a fetch and no more.
        let offset = Int.random(in: 0...assembly.old.count - chunk.count, using: &generator)
        assembly.plan[position] = .target(offset: UInt64(offset))
      }
    }
  }

  /// The image as one region, or its body before its head.
  static func regions(_ size: UInt64, _ block: UInt64, _ generator: inout Generator) -> [Range<UInt64>] {
    guard Bool.random(using: &generator) else { return [0..<size] }
    let middle = UInt64.random(in: 0...size / block, using: &generator) * block
    return [middle..<size, 0..<middle]
  }

  @Test(
    "content that moves, up or down, by little or much, is fetched from nowhere",
    arguments: [1, 512, 4096], [5000, 70_000, 3_000_000, -5000, -70_000, -3_000_000])
  func moves(blockSize: Int, shift: Int) throws {
    var generator = Generator(seed: UInt64(blockSize))
    let body = generator.bytes(6_000_000)
    let gap = generator.bytes(abs(shift))
    let old = (shift > 0 ? body + gap : gap + body) + generator.bytes(8192)
    let new = shift > 0 ? gap + body : body + gap
    let rest = Self.lengths(body.count, upTo: 60_000, &generator)
    let gapChunks = Self.lengths(gap.count, upTo: 60_000, &generator)
    let lengths = shift > 0 ? gapChunks + rest : rest + gapChunks
    var assembly = try Assembly(
      Scratch(.memory), old: old, new: new, lengths: lengths, blockSize: blockSize, stored: { _ in false })
    for position in 0..<assembly.index.count {
      let start = Int(assembly.index.start(of: position))
      // The gap stands where the body leaves room for it.
      let (first, second) = shift > 0 ? (gap.count, body.count) : (body.count, gap.count)
      let offset = start < first ? start + second : start - first
      assembly.plan[position] = .target(offset: UInt64(offset))
    }
    let summary = try assembly.run([0..<UInt64(new.count)])
    try assembly.expectDone()
    #expect(summary.fetchedBytes == 0)
    #expect(summary.share(of: .target).bytes == UInt64(new.count))
  }

  @Test("two halves change places, held in memory as far as the bound goes", arguments: [6 << 20, 14 << 20])
  func swap(half: Int) throws {
    var generator = Generator(seed: 5)
    let (a, b) = (generator.bytes(half), generator.bytes(half))
    let lengths = [Int](repeating: 131_072, count: 2 * half / 131_072)
    var assembly = try Assembly(
      Scratch(.memory), old: a + b, new: b + a, lengths: lengths, blockSize: 4096, stored: { _ in false })
    for position in lengths.indices {
      let start = assembly.index.start(of: position)
      assembly.plan[position] = .target(offset: (start + UInt64(half)) % UInt64(2 * half))
    }
    _ = try assembly.run([0..<UInt64(2 * half)])
    try assembly.expectDone()
  }

  @Test("a chunk that is nowhere fails with its name, and what is written is not called done")
  func missing() throws {
    var generator = Generator(seed: 6)
    let new = generator.bytes(400_000)
    let assembly = try Assembly(
      Scratch(.memory), old: [UInt8](repeating: 1, count: 400_000), new: new,
      lengths: [100_000, 100_000, 200_000],
      blockSize: 1, stored: { $0 != 1 })
    let error = #expect(throws: JobError.self) { try assembly.run([0..<400_000]) }
    #expect(error?.code == .missingChunk)
    let id = assembly.index.id(of: 1)
    #expect(error?.message == "cannot get chunk \(id): \(assembly.scratch("store")): not there")
  }
}
