internal import CNbd
internal import Glibc

/// An export of an NBD server, as a client sees it. Blocks; may be shared between threads.
///
/// `@unchecked Sendable`: libnbd locks the handle around each of its calls.
@safe package final class NBDExport: @unchecked Sendable {
  private let handle: OpaquePointer
  /// The URI it was opened by, for messages.
  package let uri: String
  /// Size of the export in bytes.
  package let size: UInt64
  /// Whether the server tells where holes are.
  package let hasBlockStatus: Bool
  package let isReadOnly: Bool

  /// The longest request that every server takes (NBD protocol, block size constraints): 32 MiB.
  private static let requestLimit = 32 << 20

  /// Whether a path is meant as an NBD URI.
  package static func isURI(_ path: String) -> Bool {
    ["nbd://", "nbds://", "nbd+unix://", "nbds+unix://"].contains { path.hasPrefix($0) }
  }

  /// Connects to `uri` and asks for `base:allocation`.
  /// - Throws: `NBDError`.
  package init(_ uri: String) throws {
    guard let handle = unsafe nbd_create() else { throw NBDError(uri) }
    do {
      unsafe nbd_add_meta_context(handle, "base:allocation")
      guard unsafe nbd_connect_uri(handle, uri) == 0 else { throw NBDError(uri) }
      let size = unsafe nbd_get_size(handle)
      guard size >= 0 else { throw NBDError(uri) }
      self.size = UInt64(size)
      hasBlockStatus = unsafe nbd_can_meta_context(handle, "base:allocation") == 1
      isReadOnly = unsafe nbd_is_read_only(handle) == 1
    } catch {
      unsafe nbd_close(handle)
      throw error
    }
    unsafe self.handle = handle
    self.uri = uri
  }

  deinit {
    unsafe nbd_close(handle)
  }

  /// Reads all of `range` of `buffer` from `offset`.
  package func read(at offset: UInt64, into buffer: Buffer, _ range: Range<Int>) throws {
    try pieces(range) { part in
      // SAFETY: the part lies inside the buffer, which this call borrows.
      let memory = unsafe buffer.pointer(part)
      let place = offset + UInt64(part.lowerBound - range.lowerBound)
      return unsafe nbd_pread(handle, memory.baseAddress, memory.count, place, 0)
    }
  }

  /// Writes all of `range` of `buffer` to `offset`.
  package func write(_ buffer: Buffer, _ range: Range<Int>, at offset: UInt64) throws {
    try pieces(range) { part in
      // SAFETY: as above.
      let memory = unsafe buffer.pointer(part)
      let place = offset + UInt64(part.lowerBound - range.lowerBound)
      return unsafe nbd_pwrite(handle, memory.baseAddress, memory.count, place, 0)
    }
  }

  /// Makes `range` read as zeros.
  package func zero(_ range: Range<UInt64>) throws {
    var offset = range.lowerBound
    while offset < range.upperBound {
      let length = min(range.upperBound - offset, UInt64(Self.requestLimit))
      guard unsafe nbd_zero(handle, length, offset, 0) == 0 else { throw NBDError(uri) }
      offset += length
    }
  }

  /// Makes what was written durable; nothing where the server has no such command.
  package func flush() throws {
    guard unsafe nbd_can_flush(handle) == 1 else { return }
    guard unsafe nbd_flush(handle, 0) == 0 else { throw NBDError(uri) }
  }

  /// The smallest unit the server takes, in bytes; 1 where it does not say.
  package var blockSize: Int {
    let size = unsafe nbd_get_block_size(handle, Int32(LIBNBD_SIZE_MINIMUM))
    return size > 0 ? Int(size) : 1
  }

  /// Whether the server zeroes ranges.
  package var canZero: Bool { unsafe nbd_can_zero(handle) == 1 }

  /// Data behind this much of it is asked for in another call.
  private static let stretchLimit: UInt64 = 64 << 20

  /// The first stretch of `range` that is not known to be zeros, or a first part of it of 64 MiB or more;
  /// `nil` when all of it is zeros.
  package func nextData(in range: Range<UInt64>) throws -> Range<UInt64>? {
    guard hasBlockStatus else { return range.isEmpty ? nil : range }
    var start: UInt64?
    var offset = range.lowerBound
    while offset < range.upperBound {
      if let start, offset - start >= Self.stretchLimit { return start..<offset }
      let extents = try blockStatus(offset..<min(range.upperBound, offset + 1 << 30))
      guard !extents.isEmpty else { throw NBDError(uri) }
      for extent in extents where extent.length > 0 {
        if let start, extent.isZero { return start..<min(offset, range.upperBound) }
        if !extent.isZero, start == nil { start = offset }
        offset += extent.length
        if offset >= range.upperBound { break }
      }
    }
    return start.map { $0..<range.upperBound }
  }

  private final class Extents {
    var list: [(length: UInt64, isZero: Bool)] = []
  }

  private func blockStatus(_ range: Range<UInt64>) throws -> [(length: UInt64, isZero: Bool)] {
    let extents = Extents()
    var callback = unsafe nbd_extent_callback()
    // SAFETY: the object outlives the call below, which alone runs the callback.
    unsafe callback.user_data = Unmanaged.passUnretained(extents).toOpaque()
    unsafe callback.callback = { data, _, _, entries, count, _ in
      guard let data = unsafe data, let entries = unsafe entries else { return -1 }
      let extents = unsafe Unmanaged<Extents>.fromOpaque(data).takeUnretainedValue()
      for index in stride(from: 0, to: Int(count) - 1, by: 2) {
        // Bit 1 of the status: reads as zeros (NBD_STATE_ZERO).
        unsafe extents.list.append((UInt64(entries[index]), entries[index + 1] & 2 != 0))
      }
      return 0
    }
    guard unsafe nbd_block_status(handle, UInt64(range.count), range.lowerBound, callback, 0) == 0 else {
      throw NBDError(uri)
    }
    return extents.list
  }

  private func pieces(_ range: Range<Int>, _ call: (Range<Int>) -> Int32) throws {
    var start = range.lowerBound
    while start < range.upperBound {
      let part = start..<min(range.upperBound, start + Self.requestLimit)
      guard call(part) == 0 else { throw NBDError(uri) }
      start = part.upperBound
    }
  }
}

/// What libnbd says of its last failed call.
package struct NBDError: Error, CustomStringConvertible {
  package let description: String

  /// Reads the calling thread's last error.
  init(_ uri: String) {
    // SAFETY: the string belongs to the library until the thread's next call.
    let text = unsafe nbd_get_error().map { unsafe String(cString: $0) } ?? "unknown error"
    description = "NBD export \(uri): \(text)"
  }
}
