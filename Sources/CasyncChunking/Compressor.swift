/// Compresses chunks. One for each thread: it reuses its context and buffer.
package final class Compressor {
  package let compression: Compression
  private let encoder: Encoder
  private let scratch = Scratch()

  private enum Encoder {
    case zstd(ZstdEncoder)
    case xz(XzEncoder)
    case gzip(GzipEncoder)
  }

  /// A compressor with `level`, or the default one.
  /// - Throws: `badLevel`, `outOfMemory`.
  package init(_ compression: Compression, level: Int? = nil) throws(CompressionError) {
    let level = level ?? compression.defaultLevel
    guard compression.levels ~= level else { throw CompressionError(.badLevel, compression) }
    self.compression = compression
    encoder =
      switch compression {
      case .zstd: .zstd(try ZstdEncoder(level: level))
      case .xz: .xz(XzEncoder(level: level))
      case .gzip: .gzip(try GzipEncoder(level: level))
      }
  }

  /// Replaces the content of `output`, which keeps its capacity, by the compressed form of `bytes`.
  /// - Throws: as `compress(_:appendingTo:)`.
  package func compress(_ bytes: RawSpan, into output: inout [UInt8]) throws(CompressionError) {
    output.removeAll(keepingCapacity: true)
    try compress(bytes, appendingTo: &output)
  }

  /// Appends the compressed form of `bytes` to `output`: one frame, stream or member. What cannot be
  /// compressed grows a little.
  /// - Throws: `empty` and `tooLarge` for a chunk that no reader would take, `outOfMemory`.
  package func compress(_ bytes: RawSpan, appendingTo output: inout [UInt8]) throws(CompressionError) {
    guard bytes.byteCount > 0 else { throw CompressionError(.empty, compression) }
    guard bytes.byteCount < Compression.sizeLimit else { throw CompressionError(.tooLarge, compression) }
    // SAFETY: the buffer is used while the span lives; the scratch buffer has the bound that the encoder asks
    // for, and its first `count` bytes are those written.
    let result = unsafe bytes.withUnsafeBytes { input -> Result<Int, CompressionError> in
      do throws(CompressionError) {
        return .success(unsafe try encode(input))
      } catch {
        return .failure(error)
      }
    }
    let count = try result.get()
    unsafe output.append(contentsOf: UnsafeRawBufferPointer(rebasing: scratch.buffer[..<count]))
  }

  private func encode(_ input: UnsafeRawBufferPointer) throws(CompressionError) -> Int {
    switch encoder {
    case .zstd(let encoder):
      return unsafe try encoder.encode(input, into: scratch.reserve(encoder.bound(input.count)))
    case .xz(let encoder):
      return unsafe try encoder.encode(input, into: scratch.reserve(encoder.bound(input.count)))
    case .gzip(let encoder):
      return unsafe try encoder.encode(input, into: scratch.reserve(encoder.bound(input.count)))
    }
  }
}
