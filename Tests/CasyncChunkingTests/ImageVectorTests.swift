import CasyncFormat
import Foundation
import Testing

@testable import CasyncChunking

/// Tests/Vectors/image-chunker.json: what the reference, image_chunker.py, made of its inputs.
struct ImageVector: Decodable, CustomTestStringConvertible {
  let name: String
  let average: Int
  let size: Int
  let segment_starts: [UInt64]
  let block_segments: [Bool]
  let chunk_end_offsets: [UInt64]
  let zero_run_chunks: [Int]
  let sha256_of_ids: String
  let recipe: Recipe

  private enum Key: CodingKey {
    case name, average, size, segment_starts, block_segments, chunk_end_offsets, zero_run_chunks,
      sha256_of_ids
  }

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Key.self)
    name = try values.decode(String.self, forKey: .name)
    average = try values.decode(Int.self, forKey: .average)
    size = try values.decode(Int.self, forKey: .size)
    segment_starts = try values.decode([UInt64].self, forKey: .segment_starts)
    block_segments = try values.decode([Bool].self, forKey: .block_segments)
    chunk_end_offsets = try values.decode([UInt64].self, forKey: .chunk_end_offsets)
    zero_run_chunks = try values.decode([Int].self, forKey: .zero_run_chunks)
    sha256_of_ids = try values.decode(String.self, forKey: .sha256_of_ids)
    recipe = try Recipe(from: decoder)
  }

  var testDescription: String { name }

  static let all: [ImageVector] = {
    struct File: Decodable { let vectors: [ImageVector] }
    do {
      let data = try Data(contentsOf: vectorsDirectory.appendingPathComponent("image-chunker.json"))
      return try JSONDecoder().decode(File.self, from: data).vectors
    } catch {
      fatalError("Tests/Vectors/image-chunker.json: \(error)")
    }
  }()
}

@Suite("The vectors of the image chunker")
struct ImageVectorTests {
  @Test("segments, kinds, cuts, zero runs and IDs are the reference's", arguments: ImageVector.all)
  func matches(vector: ImageVector) {
    let bytes = vector.recipe.bytes
    #expect(bytes.count == vector.size)
    let cuts = cutImage(bytes, average: vector.average)
    #expect(cuts.map(\.end) == vector.chunk_end_offsets)
    expectZeros(cuts, bytes, runs: vector.zero_run_chunks)
    var ids: [ChunkID] = []
    // SAFETY: the span is used while the array lives.
    unsafe Digester(.sha256).digests(of: ranges(of: cuts), in: bytes.span.bytes, into: &ids)
    var all: [UInt8] = []
    for id in ids { all.append(id) }
    // SAFETY: the span is used while the array lives.
    #expect(unsafe Digester(.sha256).digest(all.span.bytes).hex == vector.sha256_of_ids)
  }

  @Test("the layout is the reference's", arguments: ImageVector.all)
  func layout(vector: ImageVector) {
    let bytes = vector.recipe.bytes
    // SAFETY: the spans are used while the array lives.
    let layout = unsafe ImageLayout(
      head: bytes.span.bytes.extracting(0..<min(bytes.count, ImageLayout.headLength)))
    let segments = layout.segments.filter { $0.start < UInt64(bytes.count) }
    #expect(segments.map(\.start) == (bytes.isEmpty ? [] : vector.segment_starts))
    var isBlock: [Bool] = []
    for segment in segments {
      let end = min(
        Int(segment.start) + SegmentKind.headLength, Int(clamping: segment.end ?? .max), bytes.count)
      unsafe isBlock.append(
        SegmentKind(head: bytes.span.bytes.extracting(Int(segment.start)..<end)) == .block)
    }
    #expect(isBlock == (bytes.isEmpty ? [] : vector.block_segments))
    #expect(layout.segments.first?.start == 0)
    #expect(layout.segments.last?.end == nil)
    for (one, next) in zip(layout.segments, layout.segments.dropFirst()) { #expect(one.end == next.start) }
  }

  @Test("cuts do not depend on pieces or holes", arguments: ImageVector.all)
  func isIndependentOfPieces(vector: ImageVector) {
    let bytes = vector.recipe.bytes
    guard bytes.count < 800_000 else { return }
    let cuts = cutImage(bytes, average: vector.average)
    #expect(cutImage(bytes, average: vector.average, pieces: .fixed(4096)) == cuts)
    #expect(cutImage(bytes, average: vector.average, pieces: .random(unit: 4096, seed: 1)) == cuts)
    #expect(cutImage(bytes, average: vector.average, holes: 65536) == cuts)
    #expect(cutImage(bytes, average: vector.average, pieces: .fixed(8192), holes: 8192) == cuts)
  }
}

/// Expects that `isZero` is told of no chunk wrongly, and of each in `runs`.
func expectZeros(_ cuts: [Cut], _ bytes: [UInt8], runs: [Int]) {
  let said = cuts.indices.filter { cuts[$0].isZero }
  #expect(Set(runs).isSubset(of: said))
  let all = ranges(of: cuts)
  for index in said { #expect(bytes[all[index]].allSatisfy { $0 == 0 }) }
}
