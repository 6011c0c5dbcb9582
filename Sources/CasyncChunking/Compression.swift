internal import CasyncFormat

/// How chunks are compressed in a store (docs/formats/store.md; casync's `--compression=`).
public enum Compression: String, CaseIterable, Sendable {
  case zstd
  case xz
  case gzip

  /// The levels that may be asked for.
  package var levels: ClosedRange<Int> {
    switch self {
    case .zstd: 1...22
    case .xz: 0...9
    case .gzip: 1...9
    }
  }

  /// The level when none is asked for, casync's.
  package var defaultLevel: Int {
    switch self {
    case .zstd: 3
    case .xz, .gzip: 6
    }
  }

  /// The fewest bytes of a compressed chunk: as many as casync reads before it decides.
  static let magicLength = 6

  /// A chunk, compressed or not, is smaller than this (casync's limit): 128 MiB.
  package static let sizeLimit = 128 << 20

  /// The compression whose magic `bytes` start with, looked for in casync's order; `nil` for none.
  package init?(magicOf bytes: RawSpan) {
    let xz: [UInt8] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]
    if Self.starts(bytes, with: xz) {
      self = .xz
    } else if Self.starts(bytes, with: [0x1f, 0x8b]) {
      self = .gzip
    } else if Self.starts(bytes, with: [0x28, 0xb5, 0x2f, 0xfd]) {
      self = .zstd
    } else {
      return nil
    }
  }

  private static func starts(_ bytes: RawSpan, with magic: [UInt8]) -> Bool {
    guard bytes.byteCount >= magic.count else { return false }
    for (offset, byte) in magic.enumerated() where bytes.byte(at: offset) != byte { return false }
    return true
  }
}
