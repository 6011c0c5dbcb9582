import CasyncChunking
import CasyncFormat
import CasyncIO
import Foundation
import TestSupport
import Testing

@testable import Casync

/// A chunk as the stream gave it.
struct SeenChunk: Equatable, Sendable {
  let offset: UInt64
  let length: Int
  /// Of the bytes that lay in memory; of zeros when none did.
  let id: ChunkID
}

/// Cuts what is at `path`.
func cut(_ path: String, _ chunker: Chunker, workers: Int = 2) throws -> (
  chunks: [SeenChunk], holeBytes: UInt64
) {
  let input = try ImageInput(path, extent: .whole, Cancellation())
  let stream = ChunkStream(chunker: chunker, cancellation: Cancellation())
  var chunks: [SeenChunk] = []
  var pieces: [Range<UInt64>] = []
  let holeBytes = try WorkerPool.with(count: workers, context: { Digester(.sha256) }) { pool in
    try stream.cut(input, pool: pool) {
      pieces.append($0.offset..<$0.offset + $0.length)
    } work: { digester, batch in
      batch.chunks.map { chunk in
        guard let range = chunk.range, let buffer = batch.memory?.buffer else {
          let zeros = Buffer(count: chunk.length)
          return SeenChunk(offset: chunk.offset, length: chunk.length, id: digester.digest(zeros.bytes))
        }
        precondition(range.count == chunk.length)
        return SeenChunk(
          offset: chunk.offset, length: chunk.length, id: digester.digest(buffer.bytes.extracting(range)))
      }
    } inOrder: {
      chunks += $0
    }
  }
  var end: UInt64 = 0
  for piece in pieces {
    #expect(piece.lowerBound == end)
    end = piece.upperBound
  }
  return (chunks, holeBytes)
}

/// The same bytes cut segment by segment, each as one piece.
func cutWhole(_ bytes: [UInt8], _ chunker: Chunker) -> [SeenChunk] {
  let memory = Buffer(count: bytes.count)
  memory.copy(bytes.rawSpan, to: 0)
  let head = memory.bytes.extracting(0..<min(bytes.count, ImageLayout.headLength))
  let segments =
    if case .image = chunker { ImageLayout(head: head).segments } else { ImageLayout.undivided.segments }
  let digester = Digester(.sha256)
  var chunks: [SeenChunk] = []
  for segment in segments where segment.start < UInt64(bytes.count) {
    let start = Int(segment.start)
    let end = segment.end.map { Int(min($0, UInt64(bytes.count))) } ?? bytes.count
    var kind = SegmentKind.stream
    if case .image = chunker {
      kind = SegmentKind(head: memory.bytes.extracting(start..<min(end, start + SegmentKind.headLength)))
    }
    var cutter = SegmentCutter(kind: kind, chunker: chunker)
    var cuts: [Cut] = []
    cutter.join(cutter.scan(memory.bytes.extracting(start..<end), lookbehind: 0, offset: 0), into: &cuts)
    cutter.finish(into: &cuts)
    var from = start
    for cut in cuts {
      let to = start + Int(cut.end)
      chunks.append(
        SeenChunk(
          offset: UInt64(from), length: to - from, id: digester.digest(memory.bytes.extracting(from..<to))))
      from = to
    }
  }
  return chunks
}

/// Expects the same chunks, and names the first that differs.
func expectEqual(_ chunks: [SeenChunk], _ expected: [SeenChunk], _ name: String) {
  guard chunks != expected else { return }
  let first = zip(chunks, expected).first { $0 != $1 }
  Issue.record(
    "\(name): \(chunks.count) chunks instead of \(expected.count), first \(String(describing: first))")
}

/// An ext4 of 4 KiB blocks with a few files in it.
func makeExt4(_ scratch: Scratch, _ name: String, size: Int, _ generator: inout Generator) throws -> [UInt8] {
  let tree = scratch("\(name).tree")
  try Tool.run("mkdir", tree)
  for number in 0..<8 {
    let length = Int.random(in: 1...size / 24, using: &generator)
    try scratch.write(generator.bytes(length), to: "\(name).tree/\(number)")
  }
  try Tool.run(
    "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", tree, try scratch.sparse(name, size: size))
  return try scratch.bytes(name)
}

/// A disk with a GPT: an ext4 at 1 MiB, bytes at an odd sector behind it, and a gap before the end.
func makeDisk(_ scratch: Scratch, named name: String = "disk", _ generator: inout Generator) throws -> [UInt8]
{
  let path = try scratch.sparse(name, size: 12 << 20)
  try Tool.run("sgdisk", "--set-alignment=1", "--new=1:2048:14335", "--new=2:14337:20480", path)
  var disk = try scratch.bytes(name)
  disk.replaceSubrange(1 << 20..<7 << 20, with: try makeExt4(scratch, name + ".1", size: 6 << 20, &generator))
  let second = 14337 * 512..<20481 * 512
  disk.replaceSubrange(second, with: generator.image(second.count))
  return disk
}

@Suite("ChunkStream")
struct ChunkStreamTests {
  static let chunkers: [Chunker] =
    [.image(average: 16384), .imageDefault, .image(average: 1 << 20), .buzhash(.standard)]
    + [(100, 1000, 9000), (5000, 5000, 5000), (16384, 65536, 3 << 20)].compactMap {
      ChunkSizes(min: $0, average: $1, max: $2).map { .buzhash($0) }
    }

  /// Dense, sparse, and through a pipe, the same bytes give the same chunks as in one piece.
  static func expectSame(_ scratch: Scratch, _ bytes: [UInt8], _ chunker: Chunker) throws {
    let expected = cutWhole(bytes, chunker)
    #expect(expected.reduce(0) { $0 + $1.length } == bytes.count)
    let dense = try cut(scratch.write(bytes, to: "dense"), chunker)
    expectEqual(dense.chunks, expected, "dense")
    #expect(dense.holeBytes == 0)
    let sparse = try cut(scratch.writeSparse(bytes, to: "sparse"), chunker, workers: 1)
    expectEqual(sparse.chunks, expected, "sparse")
    let piped = try cutPipe(bytes, chunker)
    expectEqual(piped, expected, "pipe")
  }

  static func cutPipe(_ bytes: [UInt8], _ chunker: Chunker) throws -> [SeenChunk] {
    let pipe = Pipe()
    let writer = pipe.fileHandleForWriting
    let threads = Threads(count: 1) {
      // A reader that stops early is seen by what it got.
      try? writer.write(contentsOf: Data(bytes))
      try? writer.close()
    }
    defer { threads.join() }
    return try cut("/proc/self/fd/\(pipe.fileHandleForReading.fileDescriptor)", chunker).chunks
  }

  @Test(
    "random bytes with zeros are cut alike from a file, with holes or without, and from a pipe",
    arguments: chunkers.indices, Generator.seeds(2))
  func random(chunker: Int, seed: UInt64) throws {
    var generator = Generator(seed: seed)
    let size = Int.random(in: 1...5_000_000, using: &generator)
    try Self.expectSame(Scratch(.memory), generator.image(size), Self.chunkers[chunker])
  }

  @Test(
    "sizes around pieces, blocks and maxima are cut alike",
    arguments: [
      1, 4095, 4096, 4097, 65535, 65536, 65537, 2 << 20, (2 << 20) - 1, (2 << 20) + 1, (4 << 20) + 4096,
    ],
    [false, true])
  func sizes(size: Int, isZero: Bool) throws {
    var generator = Generator(seed: UInt64(size))
    let bytes = isZero ? [UInt8](repeating: 0, count: size) : generator.bytes(size)
    for chunker in [Chunker.image(average: 16384), .buzhash(.standard)] {
      try Self.expectSame(Scratch(.memory), bytes, chunker)
    }
  }

  @Test("a disk and its file systems are cut alike", .needs("sgdisk", "mke2fs"), arguments: chunkers.indices)
  func disk(chunker: Int) throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 8)
    try Self.expectSame(scratch, makeDisk(scratch, &generator), Self.chunkers[chunker])
  }

  @Test("a partition shares its chunks with the disk it lies on", .needs("sgdisk", "mke2fs"))
  func partition() throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 9)
    let disk = try makeDisk(scratch, &generator)
    let whole = try cut(scratch.write(disk, to: "whole"), .imageDefault).chunks
    let part = try cut(scratch.write(Array(disk[1 << 20..<7 << 20]), to: "part"), .imageDefault).chunks
    let inside = whole.filter { 1 << 20..<7 << 20 ~= $0.offset }
    #expect(inside.map(\.id) == part.map(\.id))
  }

  @Test(
    "a cut before a hole that depends on what is behind it keeps its bytes",
    arguments: [64, 68, 124, 128, 256, 508, 512, 516], [128, 136, 144, 512, 1024])
  func shortHole(kilobytes: Int, average: Int) throws {
    var generator = Generator(seed: UInt64(kilobytes))
    let hole = [UInt8](repeating: 0, count: kilobytes << 10)
    var bytes = generator.bytes(600 << 10) + hole + generator.bytes(900 << 10) + hole + generator.bytes(5000)
    // What a superblock of ext4 with blocks of 4 KiB is known by.
    bytes.replaceSubrange(1048..<1052, with: [2, 0, 0, 0])
    bytes.replaceSubrange(1080..<1082, with: [0x53, 0xef])
    let chunker = try #require(Chunker.image(checking: average << 10))
    let scratch = try Scratch(.memory)
    let chunks = try cut(scratch.writeSparse(bytes, to: "sparse"), chunker).chunks
    expectEqual(chunks, cutWhole(bytes, chunker), "sparse")
  }

  @Test(
    "zeros at the end that are no run are read, not skipped",
    arguments: [1, 4095, 4096, 4097, 8192, 61440, 65536], [1 << 20, 2 << 20, 4 << 20])
  func shortTail(hole: Int, data: Int) throws {
    var generator = Generator(seed: UInt64(hole))
    let bytes = generator.bytes(data) + [UInt8](repeating: 0, count: hole)
    let scratch = try Scratch()
    let path = try scratch.write(Array(bytes[..<data]), to: "sparse")
    #expect(unsafe truncate(path, bytes.count) == 0)
    expectEqual(try cut(path, .imageDefault).chunks, cutWhole(bytes, .imageDefault), "sparse")
  }

  @Test("holes are not read, and say how long they are")
  func holes() throws {
    let scratch = try Scratch()
    var generator = Generator(seed: 10)
    let data = generator.bytes(1 << 20)
    let hole = [UInt8](repeating: 0, count: 8 << 20)
    let bytes = data + hole + data + hole
    let path = try scratch.writeSparse(bytes, to: "sparse")
    #expect(try cut(path, .imageDefault).holeBytes == 16 << 20)
    #expect(try cut(path, .buzhash(.standard)).holeBytes == 0)
  }

  @Test("a file of nothing has no chunks")
  func empty() throws {
    let scratch = try Scratch()
    for chunker in Self.chunkers { #expect(try cut(scratch.write([], to: "empty"), chunker).chunks == []) }
    #expect(try Self.cutPipe([], .imageDefault) == [])
  }

  @Test("an error of the work comes out, and so does a request to stop")
  func errors() throws {
    struct Odd: Error {}
    let scratch = try Scratch()
    var generator = Generator(seed: 11)
    let path = try scratch.write(generator.bytes(5 << 20), to: "file")
    let cancellation = Cancellation()
    let input = try ImageInput(path, extent: .whole, cancellation)
    let stream = ChunkStream(chunker: .imageDefault, cancellation: cancellation)
    try WorkerPool.with(count: 2, context: {}) { pool in
      #expect(throws: Odd.self) {
        _ = try stream.cut(input, pool: pool) { _, _ in
          throw Odd()
        } inOrder: { (_: Int) in
        }
      }
      cancellation.cancel()
      #expect(throws: CancellationError.self) {
        _ = try stream.cut(input, pool: pool) { _, _ in
          0
        } inOrder: { (_: Int) in
        }
      }
    }
  }
}
