// The wrappers of the three libraries: no C type leaves this file. Each compresses or decompresses whole
// chunks from buffer to buffer, and keeps its context between them.

internal import CLzma
internal import CZlib
internal import CZstd

/// What a decoder made of one whole chunk.
struct Decoded {
  /// The bytes written.
  let count: Int
  /// The compressed bytes that were used; those after them do not belong to the data.
  let consumed: Int
}

// MARK: - zstd

@safe
final class ZstdEncoder {
  private let context: OpaquePointer

  init(level: Int) throws(CompressionError) {
    guard let context = unsafe ZSTD_createCCtx() else { throw CompressionError(.outOfMemory, .zstd) }
    unsafe self.context = context
    // SAFETY: the context is alive as long as self.
    let result = unsafe ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
    guard ZSTD_isError(result) == 0 else { throw CompressionError(.badLevel, .zstd) }
  }

  deinit { unsafe _ = ZSTD_freeCCtx(context) }

  func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

  /// Compresses `bytes` into `output`, which has `bound` bytes; the bytes written.
  func encode(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int {
    // SAFETY: both buffers outlive the call and are given with their counts.
    let count = unsafe ZSTD_compress2(
      context, output.baseAddress, output.count, bytes.baseAddress, bytes.count)
    guard ZSTD_isError(count) == 0 else { throw CompressionError(.outOfMemory, .zstd) }
    return count
  }
}

@safe
final class ZstdDecoder {
  private let context: OpaquePointer

  init() throws(CompressionError) {
    guard let context = unsafe ZSTD_createDCtx() else { throw CompressionError(.outOfMemory, .zstd) }
    unsafe self.context = context
  }

  deinit { unsafe _ = ZSTD_freeDCtx(context) }

  func decode(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Decoded {
    // SAFETY: the buffer outlives the call and is given with its count.
    let frame = unsafe ZSTD_findFrameCompressedSize(bytes.baseAddress, bytes.count)
    try Self.check(frame)
    // SAFETY: both buffers outlive the call; a frame is at most the count of bytes.
    let count = unsafe ZSTD_decompressDCtx(
      context, output.baseAddress, output.count, bytes.baseAddress, frame)
    try Self.check(count)
    return Decoded(count: count, consumed: frame)
  }

  private static func check(_ result: Int) throws(CompressionError) {
    guard ZSTD_isError(result) != 0 else { return }
    switch ZSTD_getErrorCode(result) {
    case ZSTD_error_dstSize_tooSmall: throw CompressionError(.tooLong, .zstd)
    case ZSTD_error_srcSize_wrong: throw CompressionError(.truncated, .zstd)
    case ZSTD_error_memory_allocation: throw CompressionError(.outOfMemory, .zstd)
    default: throw CompressionError(.corrupt, .zstd)
    }
  }
}

// MARK: - xz

@safe
final class XzEncoder {
  private let stream: UnsafeMutablePointer<lzma_stream>
  private let level: UInt32

  init(level: Int) {
    self.level = UInt32(level)
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: lzma_stream())
  }

  deinit {
    // SAFETY: self owns the stream.
    unsafe lzma_end(stream)
    unsafe stream.deallocate()
  }

  func bound(_ count: Int) -> Int { lzma_stream_buffer_bound(count) }

  func encode(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int {
    var options = unsafe lzma_options_lzma()
    guard unsafe lzma_lzma_preset(&options, level) == 0 else { throw CompressionError(.badLevel, .xz) }
    // A dictionary larger than the chunk only costs memory (94 MiB at level 6).
    let needed = UInt32(clamping: max(bytes.count, 64 << 10) - 1)
    unsafe options.dict_size = min(options.dict_size, 1 << UInt32(32 - needed.leadingZeroBitCount))
    let started = unsafe withUnsafeMutablePointer(to: &options) { options in
      // SAFETY: filters and options are read during the call only; the list ends as the library demands.
      let filters = unsafe [
        lzma_filter(id: casync_lzma_filter_lzma2, options: options),
        lzma_filter(id: casync_lzma_filter_end, options: nil),
      ]
      return unsafe lzma_stream_encoder(stream, filters, LZMA_CHECK_CRC64)
    }
    guard started == LZMA_OK else { throw CompressionError(.outOfMemory, .xz) }
    // SAFETY: both buffers outlive the call and are given with their counts.
    unsafe stream.pointee.next_in = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    unsafe stream.pointee.avail_in = bytes.count
    unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    unsafe stream.pointee.avail_out = output.count
    guard unsafe lzma_code(stream, LZMA_FINISH) == LZMA_STREAM_END else {
      throw CompressionError(.outOfMemory, .xz)
    }
    return unsafe output.count - stream.pointee.avail_out
  }
}

@safe
final class XzDecoder {
  /// Bounds the dictionary that a file may ask for; level 9 asks for 64 MiB.
  private static let memoryLimit: UInt64 = 160 << 20
  private let stream: UnsafeMutablePointer<lzma_stream>

  init() {
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: lzma_stream())
  }

  deinit {
    // SAFETY: self owns the stream.
    unsafe lzma_end(stream)
    unsafe stream.deallocate()
  }

  func decode(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Decoded {
    guard unsafe lzma_stream_decoder(stream, Self.memoryLimit, 0) == LZMA_OK else {
      throw CompressionError(.outOfMemory, .xz)
    }
    // SAFETY: both buffers outlive the calls and are given with their counts.
    unsafe stream.pointee.next_in = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    unsafe stream.pointee.avail_in = bytes.count
    unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    unsafe stream.pointee.avail_out = output.count
    var result = unsafe lzma_code(stream, LZMA_FINISH)
    if result == LZMA_OK || result == LZMA_BUF_ERROR, unsafe stream.pointee.avail_out == 0 {
      // The output is full, but the data may end here all the same: one byte more tells.
      var extra: UInt8 = 0
      result = unsafe withUnsafeMutablePointer(to: &extra) { extra in
        unsafe stream.pointee.next_out = extra
        unsafe stream.pointee.avail_out = 1
        return unsafe lzma_code(stream, LZMA_FINISH)
      }
      unsafe stream.pointee.next_out = nil
      if unsafe stream.pointee.avail_out == 0 { throw CompressionError(.tooLong, .xz) }
      unsafe stream.pointee.avail_out = 0
    }
    switch result {
    case LZMA_STREAM_END: break
    case LZMA_OK, LZMA_BUF_ERROR: throw CompressionError(.truncated, .xz)
    case LZMA_MEMLIMIT_ERROR: throw CompressionError(.needsMemory, .xz)
    case LZMA_MEM_ERROR: throw CompressionError(.outOfMemory, .xz)
    default: throw CompressionError(.corrupt, .xz)
    }
    return unsafe Decoded(
      count: output.count - stream.pointee.avail_out, consumed: bytes.count - stream.pointee.avail_in)
  }
}

// MARK: - gzip

/// Window of 32 KiB, and the gzip wrapper instead of zlib's (zlib.h, deflateInit2).
private let gzipWindowBits: Int32 = 15 + 16

@safe
final class GzipEncoder {
  private let stream: UnsafeMutablePointer<z_stream>

  init(level: Int) throws(CompressionError) {
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    // SAFETY: self owns the stream, which does not move.
    let result = unsafe deflateInit2_(
      stream, Int32(level), Z_DEFLATED, gzipWindowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard result == Z_OK else { throw CompressionError(.outOfMemory, .gzip) }
  }

  deinit {
    // SAFETY: self owns the stream; ending one that did not start does nothing.
    unsafe deflateEnd(stream)
    unsafe stream.deallocate()
  }

  /// Starts the stream anew, for zlib's bound of one that has ended leaves the gzip wrapper out.
  func bound(_ count: Int) -> Int {
    // SAFETY: self owns the stream.
    unsafe deflateReset(stream)
    return unsafe Int(deflateBound(stream, UInt(count)))
  }

  func encode(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int {
    // SAFETY: self owns the stream, which `bound` may or may not have started anew; both buffers outlive the
    // call and are given with their counts; zlib does not write to its input.
    unsafe deflateReset(stream)
    unsafe stream.pointee.next_in = UnsafeMutablePointer(
      mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    unsafe stream.pointee.avail_in = UInt32(bytes.count)
    unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    unsafe stream.pointee.avail_out = UInt32(clamping: output.count)
    guard unsafe deflate(stream, Z_FINISH) == Z_STREAM_END else {
      throw CompressionError(.outOfMemory, .gzip)
    }
    return unsafe Int(stream.pointee.total_out)
  }
}

@safe
final class GzipDecoder {
  private let stream: UnsafeMutablePointer<z_stream>

  init() throws(CompressionError) {
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    // SAFETY: self owns the stream, which does not move.
    let result = unsafe inflateInit2_(
      stream, gzipWindowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard result == Z_OK else { throw CompressionError(.outOfMemory, .gzip) }
  }

  deinit {
    // SAFETY: self owns the stream; ending one that did not start does nothing.
    unsafe inflateEnd(stream)
    unsafe stream.deallocate()
  }

  func decode(
    _ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Decoded {
    guard unsafe inflateReset(stream) == Z_OK else { throw CompressionError(.outOfMemory, .gzip) }
    // SAFETY: both buffers outlive the calls and are given with their counts; zlib does not write to its
    // input.
    unsafe stream.pointee.next_in = UnsafeMutablePointer(
      mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    unsafe stream.pointee.avail_in = UInt32(bytes.count)
    unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    unsafe stream.pointee.avail_out = UInt32(output.count)
    var result = unsafe inflate(stream, Z_NO_FLUSH)
    if result == Z_OK || result == Z_BUF_ERROR, unsafe stream.pointee.avail_out == 0 {
      // The output is full, but the data may end here all the same: one byte more tells.
      var extra: UInt8 = 0
      result = unsafe withUnsafeMutablePointer(to: &extra) { extra in
        unsafe stream.pointee.next_out = extra
        unsafe stream.pointee.avail_out = 1
        return unsafe inflate(stream, Z_NO_FLUSH)
      }
      unsafe stream.pointee.next_out = nil
      if unsafe stream.pointee.avail_out == 0 { throw CompressionError(.tooLong, .gzip) }
    }
    switch result {
    case Z_STREAM_END: break
    case Z_OK, Z_BUF_ERROR: throw CompressionError(.truncated, .gzip)
    case Z_MEM_ERROR: throw CompressionError(.outOfMemory, .gzip)
    default: throw CompressionError(.corrupt, .gzip)
    }
    return unsafe Decoded(
      count: Int(stream.pointee.total_out), consumed: bytes.count - Int(stream.pointee.avail_in))
  }
}
