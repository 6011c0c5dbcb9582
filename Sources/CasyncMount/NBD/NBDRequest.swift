package import Casync

/// A request of a client that was found good, and how it is answered.
package struct NBDRequest: Equatable, Sendable {
  package let cookie: UInt64
  /// Ordinal of the export.
  package let export: Int
  /// Bytes; the range lies inside the export and is not empty, but for a flush.
  package let range: Range<UInt64>
  /// Answer a read in one chunk.
  package let dontFragment: Bool
  /// Give one extent only.
  package let wantsOne: Bool
  /// Answer by structured replies: a read or a block status after they were agreed on.
  package let isStructured: Bool
  /// What changes must be durable before the answer (FUA).
  package let isDurable: Bool
  /// Zeros must keep room of their own (NO_HOLE), or must be refused if they take as long as a write.
  package let keepsRoom: Bool
  package let mustBeFast: Bool

  package init(
    cookie: UInt64, export: Int, range: Range<UInt64>, dontFragment: Bool = false, wantsOne: Bool = false,
    isStructured: Bool = false, isDurable: Bool = false, keepsRoom: Bool = false, mustBeFast: Bool = false
  ) {
    self.cookie = cookie
    self.export = export
    self.range = range
    self.dontFragment = dontFragment
    self.wantsOne = wantsOne
    self.isStructured = isStructured
    self.isDurable = isDurable
    self.keepsRoom = keepsRoom
    self.mustBeFast = mustBeFast
  }

  /// Bytes of image that the answer to a read, or a write itself, carries.
  package var length: Int { Int(clamping: range.upperBound - range.lowerBound) }

  // MARK: Answers

  /// The answer to a request that succeeded and has no data.
  package var acknowledgement: [UInt8] { Self.simpleHeader(cookie, error: 0) }

  /// The answer to a request that failed.
  package func failure(_ error: NBDErrorNumber, _ message: String = "") -> [UInt8] {
    Self.failure(cookie, error, message, isStructured: isStructured)
  }

  static func failure(
    _ cookie: UInt64, _ error: NBDErrorNumber, _ message: String = "", isStructured: Bool
  ) -> [UInt8] {
    guard isStructured else { return simpleHeader(cookie, error: error.rawValue) }
    let text = Array(message.utf8.prefix(NBDSession.Limits.name))
    var bytes = chunkHeader(cookie, .error, length: 6 + text.count, isLast: true)
    bytes.append(big: error.rawValue)
    bytes.append(big: UInt16(text.count))
    return bytes + text
  }

  /// The answer to a block status request.
  /// - Parameter extents: from the start of the range, without gaps; at least one.
  package func blockStatus(_ extents: [ImageReader.Extent]) -> [UInt8] {
    var fields = [UInt8]()
    fields.append(big: NBDSession.allocationID)
    for extent in extents {
      // A range has at most 32 bits of length, so its extents have.
      fields.append(big: UInt32(clamping: extent.length))
      fields.append(big: extent.isZero ? Wire.hole | Wire.zero : 0)
    }
    return Self.chunkHeader(cookie, .blockStatus, length: fields.count, isLast: true) + fields
  }

  static func simpleHeader(_ cookie: UInt64, error: UInt32) -> [UInt8] {
    var bytes = [UInt8]()
    bytes.reserveCapacity(16)
    bytes.append(big: Wire.simpleReply)
    bytes.append(big: error)
    bytes.append(big: cookie)
    return bytes
  }

  /// - Parameter length: bytes behind the header; at most `Limits.request` and a few.
  static func chunkHeader(_ cookie: UInt64, _ type: Wire.Chunk, length: Int, isLast: Bool) -> [UInt8] {
    var bytes = [UInt8]()
    bytes.reserveCapacity(32)
    bytes.append(big: Wire.structuredReply)
    bytes.append(big: isLast ? Wire.done : 0)
    bytes.append(big: type.rawValue)
    bytes.append(big: cookie)
    bytes.append(big: UInt32(clamping: length))
    return bytes
  }
}
