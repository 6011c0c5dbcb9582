internal import CasyncIO

/// Numbers of the NBD protocol (NetworkBlockDevice/nbd, doc/proto.md, "Values"). All integers are big-endian.
enum Wire {
  static let greeting: UInt64 = 0x4e42_444d_4147_4943
  static let option: UInt64 = 0x4948_4156_454f_5054
  static let optionReply: UInt64 = 0x0003_e889_0455_65a9
  static let request: UInt32 = 0x2560_9513
  static let simpleReply: UInt32 = 0x6744_6698
  static let structuredReply: UInt32 = 0x668e_33ef

  /// Handshake flags, the same bits from server and client.
  static let fixedNewstyle: UInt16 = 1
  static let noZeroes: UInt16 = 2

  enum Option: UInt32 {
    case exportName = 1
    case abort, list
    case startTLS = 5
    case info, go, structuredReply, listMetaContext, setMetaContext
  }

  enum OptionReply: UInt32 {
    case acknowledge = 1
    case server, info, metaContext
    case unsupported = 0x8000_0001
    case invalid = 0x8000_0003
    case tlsRequired = 0x8000_0005
    case unknown = 0x8000_0006
    case tooBig = 0x8000_0009
  }

  enum Info: UInt16 {
    case export, name, description, blockSize
  }

  /// Transmission flags of an export.
  struct ExportFlags: OptionSet {
    let rawValue: UInt16
    static let hasFlags = ExportFlags(rawValue: 1 << 0)
    static let readOnly = ExportFlags(rawValue: 1 << 1)
    static let sendFlush = ExportFlags(rawValue: 1 << 2)
    static let sendForcedAccess = ExportFlags(rawValue: 1 << 3)
    static let sendTrim = ExportFlags(rawValue: 1 << 5)
    static let sendWriteZeroes = ExportFlags(rawValue: 1 << 6)
    static let sendDontFragment = ExportFlags(rawValue: 1 << 7)
    static let canMultiConnect = ExportFlags(rawValue: 1 << 8)
    static let sendCache = ExportFlags(rawValue: 1 << 10)
    static let sendFastZero = ExportFlags(rawValue: 1 << 11)
  }

  enum Command: UInt16 {
    case read, write, disconnect, flush, trim, cache, writeZeroes, blockStatus
  }

  struct CommandFlags: OptionSet {
    let rawValue: UInt16
    static let forcedAccess = CommandFlags(rawValue: 1 << 0)
    static let noHole = CommandFlags(rawValue: 1 << 1)
    static let dontFragment = CommandFlags(rawValue: 1 << 2)
    static let requestOne = CommandFlags(rawValue: 1 << 3)
    static let fastZero = CommandFlags(rawValue: 1 << 4)
  }

  enum Chunk: UInt16 {
    case none
    case offsetData, offsetHole
    case blockStatus = 5
    case error = 0x8001
  }

  /// Flag of the last chunk of a structured reply.
  static let done: UInt16 = 1

  /// Extents of base:allocation.
  static let hole: UInt32 = 1
  static let zero: UInt32 = 2
}

/// Errors as replies name them: Linux's numbers, whatever the system.
package enum NBDErrorNumber: UInt32, Sendable {
  case notPermitted = 1
  case io = 5
  case invalid = 22
  case noSpace = 28
  case notSupported = 95

  /// The number that says best what a disk could not do.
  init(_ error: any Error) {
    guard let error = error as? SystemError else {
      self = .io
      return
    }
    self = error.isNoSpace ? .noSpace : error.isUnsupported ? .notSupported : .io
  }
}

extension [UInt8] {
  mutating func append(big value: UInt16) {
    append(UInt8(truncatingIfNeeded: value >> 8))
    append(UInt8(truncatingIfNeeded: value))
  }

  mutating func append(big value: UInt32) {
    append(big: UInt16(truncatingIfNeeded: value >> 16))
    append(big: UInt16(truncatingIfNeeded: value))
  }

  mutating func append(big value: UInt64) {
    append(big: UInt32(truncatingIfNeeded: value >> 32))
    append(big: UInt32(truncatingIfNeeded: value))
  }
}

/// Takes fields off the front of bytes that came from outside.
struct Cursor {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  var isAtEnd: Bool { rest.isEmpty }

  /// The next `count` bytes; `nil` when there are fewer.
  mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
    guard count >= 0, count <= rest.count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }

  private mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) -> Value? {
    guard let bytes = take(Value.bitWidth / 8) else { return nil }
    return bytes.reduce(0) { $0 << 8 | Value(truncatingIfNeeded: $1) }
  }

  mutating func word16() -> UInt16? { integer(UInt16.self) }
  mutating func word32() -> UInt32? { integer(UInt32.self) }
  mutating func word64() -> UInt64? { integer(UInt64.self) }

  /// A 32-bit length and so many bytes.
  mutating func string() -> ArraySlice<UInt8>? {
    guard let length = word32() else { return nil }
    return take(Int(length))
  }
}
