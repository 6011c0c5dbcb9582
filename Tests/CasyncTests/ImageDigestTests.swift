import CasyncChunking
import CasyncFormat
import CasyncIO
import Foundation
import TestSupport
import Testing

@testable import Casync

@Suite("ImageDigest")
struct ImageDigestTests {
  /// Digests what is at `path` as put does, with a pause after each piece.
  static func run(_ path: String, _ chunker: Chunker, pause: UInt32 = 0) throws -> ChunkID {
    let cancellation = Cancellation()
    let input = try ImageInput(path, extent: .whole, cancellation)
    let digest = ImageDigest(.sha512_256, of: input, cancellation)
    let headroom = Buffer.alignment
    let buffers = BufferPool(bufferLength: headroom + PieceReader.pieceLength, capacity: 4)
    var reader = try PieceReader(input, chunker: chunker)
    try ImageDigest.withPool { pool in
      while let piece = try reader.next(into: PieceBuffer(buffers.waitForOne(), headroom: headroom)) {
        try digest.add(piece, on: pool)
        usleep(pause)
      }
      try digest.wait()
    }
    return digest.finish()
  }

  /// Data, a hole longer than what is read ahead at once, data, and an end inside a block.
  static func image() -> [UInt8] {
    var generator = Generator(seed: 1)
    return generator.bytes(3_000_000) + [UInt8](repeating: 0, count: 40_000_000) + generator.bytes(3_000_001)
  }

  static let chunkers: [Chunker] = [.imageDefault, .buzhash(.standard)]

  @Test("of a file it is that of the bytes, read ahead or not", arguments: chunkers)
  func file(chunker: Chunker) throws {
    let scratch = try Scratch()
    let image = Self.image()
    let path = try scratch.writeSparse(image, to: "image")
    let expected = digest(image, .sha512_256)
    #expect(try Self.run(path, chunker) == expected)
    // Time enough to end what it has before the next piece comes.
    #expect(try Self.run(path, chunker, pause: 20_000) == expected)
  }

  @Test("of a pipe it takes the pieces as they come", arguments: chunkers)
  func pipe(chunker: Chunker) throws {
    var generator = Generator(seed: 2)
    let image = generator.bytes(5_000_000)
    let pipe = Pipe()
    let writing = pipe.fileHandleForWriting
    Thread.detachNewThread {
      try? writing.write(contentsOf: Data(image))
      try? writing.close()
    }
    let path = "/proc/self/fd/\(pipe.fileHandleForReading.fileDescriptor)"
    #expect(try Self.run(path, chunker) == digest(image, .sha512_256))
  }

  @Test("what cannot be read ahead is an error")
  func shrinks() throws {
    let scratch = try Scratch()
    let path = try scratch.writeSparse(Self.image(), to: "image")
    let cancellation = Cancellation()
    let input = try ImageInput(path, extent: .whole, cancellation)
    let digest = ImageDigest(.sha512_256, of: input, cancellation)
    let memory = PieceBuffer(BufferPool(bufferLength: 3 << 20, capacity: 1).waitForOne(), headroom: 4096)
    var reader = try PieceReader(input, chunker: .buzhash(.standard))
    let piece = try #require(try reader.next(into: memory))
    try File.open(path, .readWrite).setSize(2_500_000)
    let error = #expect(throws: JobError.self) {
      try ImageDigest.withPool { pool in
        try digest.add(piece, on: pool)
        try digest.wait()
      }
    }
    #expect(error?.message == "\(path) became shorter while it was read")
  }
}
