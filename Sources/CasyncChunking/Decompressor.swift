/// Decompresses chunks of any compression. One for each thread: it reuses its contexts and buffer.
///
/// A chunk is exactly one frame, stream or member; its size is 1 byte to 128 MiB less one.
package final class Decompressor {
  private var zstd: ZstdDecoder?
  private var xz: XzDecoder?
  private var gzip: GzipDecoder?
  private let scratch = Scratch()

  package init() {}

  /// Decompresses `bytes`, a chunk whose size is known, into `output`, which has that size. Never writes
  /// more, and returns only when `output` is filled.
  /// - Throws: any code but `badLevel`. What `output` then holds is not defined.
  package func decompress(_ bytes: RawSpan, into output: inout MutableRawSpan) throws(CompressionError) {
    let compression = try check(bytes)
    let expected = output.byteCount
    guard expected > 0 else { throw CompressionError(.empty, compression) }
    guard expected < Compression.sizeLimit else { throw CompressionError(.tooLarge, compression) }
    // SAFETY: both buffers are used while their spans live.
    let count = unsafe try output.withUnsafeMutableBytes { output throws(CompressionError) in
      unsafe try bytes.withUnsafeBytes { input throws(CompressionError) in
        unsafe try decode(input, compression, into: output)
      }
    }
    guard count > 0 else { throw CompressionError(.empty, compression) }
    guard count == expected else { throw CompressionError(.tooShort, compression) }
  }

  /// Decompresses `bytes`, a chunk whose size is not known, of at most `limit` bytes. Memory grows with what
  /// comes out, never with what the data claim.
  /// - Throws: any code but `badLevel`, `tooLong` and `tooShort`.
  package func decompress(_ bytes: RawSpan, limit: Int) throws(CompressionError) -> [UInt8] {
    let compression = try check(bytes)
    let limit = min(limit, Compression.sizeLimit - 1)
    guard limit > 0 else { throw CompressionError(.tooLarge, compression) }
    var capacity = min(limit, max(256 << 10, scratch.count))
    while true {
      do throws(CompressionError) {
        // SAFETY: the buffers are used while the span and self live; `count` bytes were written.
        let count = unsafe try bytes.withUnsafeBytes { input throws(CompressionError) in
          let output = unsafe UnsafeMutableRawBufferPointer(rebasing: scratch.reserve(capacity)[..<capacity])
          return unsafe try decode(input, compression, into: output)
        }
        guard count > 0 else { throw CompressionError(.empty, compression) }
        return unsafe [UInt8](UnsafeRawBufferPointer(rebasing: scratch.buffer[..<count]))
      } catch {
        guard error.code == .tooLong else { throw error }
        guard capacity < limit else { throw CompressionError(.tooLarge, compression) }
        capacity = min(limit, capacity * 4)
      }
    }
  }

  /// The compression of `bytes`, whose size is allowed.
  private func check(_ bytes: RawSpan) throws(CompressionError) -> Compression {
    guard bytes.byteCount >= Compression.magicLength else { throw CompressionError(.truncated) }
    guard bytes.byteCount < Compression.sizeLimit else { throw CompressionError(.tooLarge) }
    guard let compression = Compression(magicOf: bytes) else { throw CompressionError(.unknownFormat) }
    return compression
  }

  /// Decodes all of `input`; the bytes written.
  private func decode(
    _ input: UnsafeRawBufferPointer, _ compression: Compression, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int {
    let decoded: Decoded
    switch compression {
    case .zstd:
      if zstd == nil { zstd = try ZstdDecoder() }
      guard let decoder = zstd else { preconditionFailure("made above") }
      decoded = unsafe try decoder.decode(input, into: output)
    case .xz:
      let decoder = xz ?? XzDecoder()
      xz = decoder
      decoded = unsafe try decoder.decode(input, into: output)
    case .gzip:
      if gzip == nil { gzip = try GzipDecoder() }
      guard let decoder = gzip else { preconditionFailure("made above") }
      decoded = unsafe try decoder.decode(input, into: output)
    }
    guard decoded.consumed == input.count else { throw CompressionError(.trailingBytes, compression) }
    return decoded.count
  }
}
