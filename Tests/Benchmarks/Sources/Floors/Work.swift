import CasyncChunking
import CasyncFormat
import Glibc

enum Failure: Error { case usage, read }

/// Chunks of an image, in memory.
struct Work {
  private var chunks: [Range<Int>] = []
  private var bytes: [UInt8] = []

  /// Reads the chunks that standard input names.
  init(_ path: String) throws {
    let image = unsafe open(path, O_RDONLY)
    while let line = readLine(), !line.isEmpty {
      let numbers = line.split(separator: " ").compactMap { Int($0) }
      guard numbers.count == 2 else { throw Failure.usage }
      let chunk = bytes.count..<bytes.count + numbers[1]
      bytes.append(contentsOf: repeatElement(0, count: chunk.count))
      // SAFETY: the chunk's place in the array was made above.
      let count = unsafe bytes.withUnsafeMutableBytes { memory in
        unsafe pread(image, memory.baseAddress?.advanced(by: chunk.lowerBound), chunk.count, numbers[0])
      }
      guard count == chunk.count else { throw Failure.read }
      chunks.append(chunk)
    }
  }

  /// Compresses each chunk, and lets `use` see it.
  func compress(_ use: (_ compressed: [UInt8], _ chunk: Range<Int>) -> Void) throws {
    let compressor = try Compressor(.zstd)
    var compressed: [UInt8] = []
    for chunk in chunks {
      // SAFETY: the span is used while the array lives.
      unsafe try compressor.compress(bytes.span.bytes.extracting(chunk), into: &compressed)
      use(compressed, chunk)
    }
  }

  func decompress(_ compressed: [(bytes: [UInt8], length: Int)]) throws {
    let decompressor = Decompressor()
    var output = [UInt8](repeating: 0, count: compressed.map(\.length).max() ?? 0)
    for chunk in compressed {
      unsafe try output.withUnsafeMutableBytes { memory in
        // SAFETY: the output has room for the longest; the spans are used while their arrays live.
        var place = unsafe MutableRawSpan(
          _unsafeBytes: UnsafeMutableRawBufferPointer(rebasing: memory[..<chunk.length]))
        unsafe try decompressor.decompress(chunk.bytes.span.bytes, into: &place)
      }
    }
  }

  /// As many at a time as lie in the engine's pieces.
  func digest(_ algorithm: DigestAlgorithm) {
    let digester = Digester(algorithm)
    var ids: [ChunkID] = []
    for start in stride(from: 0, to: chunks.count, by: 64) {
      let batch = Array(chunks[start..<min(chunks.count, start + 64)])
      ids.removeAll(keepingCapacity: true)
      // SAFETY: the span is used while the array lives.
      unsafe digester.digests(of: batch, in: bytes.span.bytes, into: &ids)
    }
  }
}
