/// Why a chunk could not be compressed or decompressed; the caller adds which one.
package struct CompressionError: Error, Equatable {
  package enum Code: Sendable, Equatable {
    /// The level is not one of this compression.
    case badLevel
    /// The bytes are none of xz, gzip and zstd.
    case unknownFormat
    /// The compressed bytes end too early.
    case truncated
    /// Bytes follow the end of the compressed data.
    case trailingBytes
    /// The chunk is longer than its index says.
    case tooLong
    /// The chunk is shorter than its index says.
    case tooShort
    /// The chunk has no bytes.
    case empty
    /// The chunk, or its compressed form, has 128 MiB or more, or more than the caller allows.
    case tooLarge
    /// The compressed data are damaged.
    case corrupt
    /// Decompression would take more memory than is allowed.
    case needsMemory
    /// The library failed for want of memory.
    case outOfMemory
  }

  package let code: Code
  /// The compression at work; `nil` where it is not known.
  package let compression: Compression?

  package init(_ code: Code, _ compression: Compression? = nil) {
    self.code = code
    self.compression = compression
  }
}

extension CompressionError: CustomStringConvertible {
  package var description: String {
    let name = compression.map { "\($0.rawValue) " } ?? ""
    switch code {
    case .badLevel: return "\(name)compression has no such level"
    case .unknownFormat: return "the chunk is neither zstd nor xz nor gzip"
    case .truncated: return "the compressed chunk ends too early"
    case .trailingBytes: return "bytes follow the end of the \(name)data"
    case .tooLong: return "the chunk is longer than its index says"
    case .tooShort: return "the chunk is shorter than its index says"
    case .empty: return "the chunk has no bytes"
    case .tooLarge: return "the chunk is too large"
    case .corrupt: return "the \(name)data are damaged"
    case .needsMemory: return "the \(name)data take too much memory to decompress"
    case .outOfMemory: return "no memory for \(name)compression"
    }
  }
}
