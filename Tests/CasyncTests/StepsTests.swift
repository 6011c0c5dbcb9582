import CasyncChunking
import CasyncFormat
import CasyncIO
import Testing

@testable import Casync

/// A plan of a random image, without its bytes.
struct RandomPlan {
  let plan: Plan
  let target: Target
  let region: Range<UInt64>
  let cloneable: Set<Int>

  init(_ seed: UInt64, blockSize: Int) throws {
    var generator = Generator(seed: seed)
    let scale = [100, 5000, 70_000, 262_144][Int.random(in: 0..<4, using: &generator)]
    let isAligned = Bool.random(using: &generator)
    var chunks: [(length: Int, id: ChunkID)] = []
    for number in 1...Int.random(in: 1...200, using: &generator) {
      let length = Int.random(in: 1...scale, using: &generator)
      let rounded = isAligned ? min(262_144, (length + 4095) / 4096 * 4096) : length
      chunks.append((rounded, ChunkID(words: [UInt64(number), 0, 0, 0])))
    }
    let index = try makeIndex(chunks, chunker: .buzhash(.standard))
    var plan = Plan(index, zeros: ZeroChunks(.sha256, chunker: .buzhash(.standard)))
    // Runs of one source, as real plans have them.
    var position = 0
    while position < index.count {
      let end = min(index.count, position + Int.random(in: 1...12, using: &generator))
      let kind = Int.random(in: 0..<5, using: &generator)
      let shift = index.start(of: position) + UInt64(Int.random(in: 0...3, using: &generator)) * 4096
      while position < end {
        let start = index.start(of: position)
        plan[position] =
          [
            .inPlace, .zero, .fetch, .target(offset: start / 2),
            .seed(3, offset: start + shift / 4096 * 4096),
          ][kind]
        position += 1
      }
    }
    self.plan = plan
    cloneable = Bool.random(using: &generator) ? [3] : []

    let block = UInt64(blockSize)
    let size = index.size
    let base = Bool.random(using: &generator) ? 0 : UInt64.random(in: 0..<size, using: &generator)
    target = Target(kind: .file, path: "target", base: base, blockSize: blockSize)
    let from = base + UInt64.random(in: 0...(size - base) / block / 2, using: &generator) * block
    let to = from + UInt64.random(in: 0...(size - from) / block, using: &generator) * block
    region = from..<(Bool.random(using: &generator) ? to : size)
  }

  var steps: [Step] {
    var iterator = Steps(plan, target: target, region: region, cloneable: cloneable)
    var steps: [Step] = []
    while let step = iterator.next() { steps.append(step) }
    return steps
  }

  /// What a step writes, the end of a continued slab being written with the next.
  func written(_ step: Step) -> Range<UInt64> {
    switch step {
    case .zero(let range): return range
    case .clone(let run): return run.range
    case .fill(let slab):
      let start = target.alignDown(slab.range.lowerBound)
      return start..<(slab.isContinued ? target.alignDown(slab.range.upperBound) : slab.range.upperBound)
    }
  }
}

@Suite("Steps")
struct StepsTests {
  @Test(
    "what is not in place is written exactly once, in ascending order and in whole blocks",
    arguments: [1, 512, 4096], Generator.seeds(150))
  func coverage(blockSize: Int, seed: UInt64) throws {
    let random = try RandomPlan(seed, blockSize: blockSize)
    let (plan, target, region) = (random.plan, random.target, random.region)
    let written = random.steps.map { random.written($0) }
    for range in written where !range.isEmpty {
      #expect(range.lowerBound == target.alignDown(range.lowerBound))
      #expect(range.upperBound == target.alignDown(range.upperBound))
      #expect(range.lowerBound >= region.lowerBound)
      #expect(range.upperBound <= target.alignUp(region.upperBound))
    }
    for (one, next) in zip(written, written.dropFirst()) { #expect(one.upperBound <= next.lowerBound) }
    for position in 0..<plan.index.count {
      let chunk = plan.index.range(of: position).intersection(region)
      guard !chunk.isEmpty else { continue }
      let bytes = written.reduce(0) { $0 + $1.intersection(chunk).length }
      if plan[position] != .inPlace { #expect(bytes == chunk.length, "position \(position)") }
    }
    try expectNoMore(random, written)
  }

  /// Bytes in place are written only where they share a block with others.
  func expectNoMore(_ random: RandomPlan, _ written: [Range<UInt64>]) throws {
    let (plan, target, region) = (random.plan, random.target, random.region)
    for position in 0..<plan.index.count where plan[position] == .inPlace {
      let chunk = plan.index.range(of: position).intersection(region)
      guard !chunk.isEmpty else { continue }
      let inner =
        target.alignUp(
          chunk.lowerBound)..<max(
          target.alignUp(chunk.lowerBound), target.alignDown(chunk.upperBound))
      for range in written { #expect(range.intersection(inner).isEmpty, "position \(position)") }
    }
  }

  @Test(
    "only zeros are zeroed, and only what a seed holds in one piece is cloned", arguments: [1, 512, 4096],
    Generator.seeds(60))
  func kinds(blockSize: Int, seed: UInt64) throws {
    let random = try RandomPlan(seed, blockSize: blockSize)
    let (plan, index) = (random.plan, random.plan.index)
    for step in random.steps {
      switch step {
      case .zero(let range):
        #expect(range.length >= Steps.shortestZeroRun)
        for position in index.position(of: range.lowerBound)...index.position(of: range.upperBound - 1) {
          #expect(plan[position] == .zero)
        }
      case .clone(let run):
        #expect(index.start(of: run.positions.lowerBound) == run.range.lowerBound)
        #expect(index.end(of: run.positions.upperBound - 1) == run.range.upperBound)
        #expect((run.range.lowerBound - random.target.base) % 4096 == 0)
        #expect(run.range.length % 4096 == 0)
        #expect(run.offset % 4096 == 0)
        for position in run.positions {
          let offset = run.offset + index.start(of: position) - run.range.lowerBound
          #expect(plan[position] == .seed(run.seed, offset: offset))
        }
      case .fill: break
      }
    }
  }

  @Test(
    "a slab names the chunks in it, fits its memory, and is joined with its neighbour",
    arguments: [1, 512, 4096], Generator.seeds(60))
  func slabs(blockSize: Int, seed: UInt64) throws {
    let random = try RandomPlan(seed, blockSize: blockSize)
    let (index, target) = (random.plan.index, random.target)
    var waiting: UInt64?
    for step in random.steps {
      guard case .fill(let slab) = step else {
        #expect(waiting == nil)
        continue
      }
      #expect(slab.continues == (waiting != nil))
      if let waiting { #expect(waiting == slab.range.lowerBound) }
      waiting = slab.isContinued ? slab.range.upperBound : nil
      #expect(!slab.positions.isEmpty)
      let inside = (0..<index.count).filter { !index.range(of: $0).intersection(slab.range).isEmpty }
      #expect(Array(slab.positions) == inside)
      let memory = max(Steps.slabLength, index.chunker.maximumChunk) + 4 * max(blockSize, Buffer.alignment)
      #expect(slab.range.upperBound - target.windowStart(slab.range.lowerBound) <= UInt64(memory))
    }
    #expect(waiting == nil)
  }

  @Test("an empty region and one in which everything is in place have no steps")
  func nothing() throws {
    let index = try makeIndex([(100, ChunkID(words: [1, 0, 0, 0]))], chunker: .buzhash(.standard))
    var plan = Plan(index, zeros: ZeroChunks(.sha256, chunker: .buzhash(.standard)))
    let target = Target(kind: .file, path: "target", base: 0)
    var steps = Steps(plan, target: target, region: 0..<0)
    #expect(steps.next() == nil)
    plan[0] = .inPlace
    steps = Steps(plan, target: target, region: 0..<100)
    #expect(steps.next() == nil)
    #expect(steps.next() == nil)
  }
}
