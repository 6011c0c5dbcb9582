internal import CFuse
package import Casync
internal import CasyncFormat
internal import CasyncIO
internal import Glibc
internal import Synchronization

/// A question of the kernel, to be answered once, by any thread. One that is let go is answered with an
/// error.
///
/// `@unchecked Sendable`: libfuse lets any thread answer a request, and `isAnswered` lets one.
@safe package final class FuseRequest: @unchecked Sendable {
  /// How long the kernel may keep an answer, in seconds: nothing ever changes.
  private static let validity = 1e9

  private let request: fuse_req_t
  private let session: FuseSession
  private let isAnswered = Atomic(false)
  /// Who asks.
  package let uid: UInt32

  init(_ request: fuse_req_t, of session: FuseSession) {
    unsafe self.request = request
    self.session = session
    // SAFETY: the request is alive until it is answered.
    uid = unsafe fuse_req_ctx(request).pointee.uid
  }

  deinit { fail(.io) }

  /// Answers by calling `body`, if nobody has and the session still goes on.
  private func answer(_ body: (fuse_req_t) -> Int32) {
    guard !isAnswered.exchange(true, ordering: .relaxed) else { return }
    // SAFETY: the request is alive until it is answered, which happens here alone, and while the session goes
    // on. An answer that the kernel does not want any more needs no care.
    session.whileOpen { _ = unsafe body(request) }
  }

  package func fail(_ error: FuseError) {
    let number =
      switch error {
      case .notFound: ENOENT
      case .io: EIO
      case .invalid: EINVAL
      case .notDirectory: ENOTDIR
      case .noSuchAttribute: ENODATA
      case .noRoom: ERANGE
      case .noSystemCall: ENOSYS
      case .noSuchQuestion: ENOTTY
      }
    unsafe answer { unsafe fuse_reply_err($0, number) }
  }

  /// The kernel wants no answer.
  func none() {
    unsafe answer { request in
      unsafe fuse_reply_none(request)
      return 0
    }
  }

  /// It was done.
  func done() { unsafe answer { unsafe fuse_reply_err($0, 0) } }

  /// An entry of a directory was found.
  package func entry(_ attributes: FuseAttributes) {
    var entry = Self.entry(attributes)
    unsafe answer { unsafe fuse_reply_entry($0, &entry) }
  }

  /// There is no entry of that name, and the kernel may remember it.
  package func noEntry() {
    var entry = fuse_entry_param()
    entry.entry_timeout = Self.validity
    unsafe answer { unsafe fuse_reply_entry($0, &entry) }
  }

  static func entry(_ attributes: FuseAttributes) -> fuse_entry_param {
    var entry = fuse_entry_param()
    entry.ino = attributes.inode
    entry.attr = stat(attributes)
    entry.attr_timeout = validity
    entry.entry_timeout = validity
    return entry
  }

  package func attributes(_ attributes: FuseAttributes) {
    var raw = Self.stat(attributes)
    unsafe answer { unsafe fuse_reply_attr($0, &raw, Self.validity) }
  }

  private static func stat(_ attributes: FuseAttributes) -> stat {
    var raw = Glibc.stat()
    raw.st_ino = numericCast(attributes.inode)
    raw.st_mode = attributes.mode
    raw.st_nlink = 1
    raw.st_uid = attributes.uid
    raw.st_gid = attributes.gid
    raw.st_size = off_t(clamping: attributes.size)
    raw.st_blocks = numericCast(off_t(clamping: attributes.size / 512 + (attributes.size % 512 > 0 ? 1 : 0)))
    raw.st_blksize = 4096
    raw.st_rdev = casync_device(attributes.major, attributes.minor)
    let time = timespec(
      tv_sec: Int(attributes.modified / 1_000_000_000), tv_nsec: Int(attributes.modified % 1_000_000_000))
    raw.st_mtim = time
    raw.st_ctim = time
    raw.st_atim = time
    return raw
  }

  /// The target of a symbolic link.
  /// - Parameter target: without a NUL.
  package func target(_ target: [UInt8]) {
    let bytes = target.map { CChar(bitPattern: $0) } + [0]
    unsafe answer { unsafe fuse_reply_readlink($0, bytes) }
  }

  /// A file or directory is open, and what the kernel knows of it stays true.
  package func opened(handle: UInt64 = 0) {
    var info = fuse_file_info()
    info.fh = handle
    info.keep_cache = 1
    info.cache_readdir = 1
    info.noflush = 1
    unsafe answer { unsafe fuse_reply_open($0, &info) }
  }

  package func bytes(_ bytes: RawSpan) {
    unsafe bytes.withUnsafeBytes { memory in
      unsafe answer { request in
        unsafe fuse_reply_buf(
          request, memory.baseAddress?.assumingMemoryBound(to: CChar.self), memory.count)
      }
    }
  }

  /// What was read.
  package func pieces(_ pieces: [ImagePiece]) {
    if pieces.count == 1, let piece = pieces.first, let buffer = piece.buffer {
      return bytes(buffer.bytes.extracting(piece.start..<piece.start + piece.length))
    }
    let joined = Buffer(count: pieces.reduce(0) { $0 + $1.length })
    var offset = 0
    for piece in pieces {
      if let buffer = piece.buffer {
        joined.copy(piece.start..<piece.start + piece.length, of: buffer, to: offset)
      }
      offset += piece.length
    }
    bytes(joined.bytes.extracting(0..<offset))
  }

  /// An extended attribute, or a list of names: the value where there is room for it, else how long it is.
  package func value(_ value: [UInt8], capacity: Int) {
    if capacity == 0 { return unsafe answer { unsafe fuse_reply_xattr($0, value.count) } }
    value.count <= capacity ? bytes(value.rawSpan) : fail(.noRoom)
  }

  /// What an ioctl asked for.
  package func ioctl(_ value: [UInt8]) {
    unsafe answer { unsafe fuse_reply_ioctl($0, 0, value, value.count) }
  }

  /// - Parameter size: bytes of everything there is.
  package func statistics(size: UInt64) {
    var raw = statvfs()
    raw.f_bsize = 4096
    raw.f_frsize = 4096
    raw.f_blocks = fsblkcnt_t((size / 4096) + (size % 4096 > 0 ? 1 : 0))
    raw.f_namemax = 255
    unsafe answer { unsafe fuse_reply_statfs($0, &raw) }
  }
}

/// Entries of a directory on their way to the kernel.
///
/// `@unchecked Sendable`: filled by one thread, the one that answers.
@safe package final class FuseListing: @unchecked Sendable {
  package let request: FuseRequest
  private let raw: fuse_req_t
  /// Whether the kernel wants attributes too, and then knows each entry's inode once more.
  package let withAttributes: Bool
  private var bytes: [CChar]
  private var count = 0

  init(_ raw: fuse_req_t, _ request: FuseRequest, capacity: Int, withAttributes: Bool) {
    unsafe self.raw = raw
    self.request = request
    self.withAttributes = withAttributes
    bytes = [CChar](repeating: 0, count: capacity)
  }

  /// Adds an entry.
  /// - Parameters:
  ///   - next: the offset of the entry after it.
  ///   - isKnown: whether the kernel shall know the entry's inode once more; never for `.` and `..`.
  /// - Returns: whether there was room.
  package func add(_ name: [UInt8], _ attributes: FuseAttributes, next: UInt64, isKnown: Bool) -> Bool {
    let name = name.map { CChar(bitPattern: $0) } + [0]
    var entry = FuseRequest.entry(attributes)
    if !isKnown { entry.ino = 0 }
    let (start, room) = (count, bytes.count - count)
    // SAFETY: the calls write at most `room` bytes behind `start`; the request is not answered yet.
    let needed = unsafe bytes.withUnsafeMutableBufferPointer { buffer -> Int in
      let memory = unsafe buffer.baseAddress.map { unsafe $0 + start }
      return withAttributes
        ? unsafe fuse_add_direntry_plus(raw, memory, room, name, &entry, off_t(truncatingIfNeeded: next))
        : unsafe fuse_add_direntry(raw, memory, room, name, &entry.attr, off_t(truncatingIfNeeded: next))
    }
    guard needed <= room else { return false }
    count += needed
    return true
  }

  /// Sends what was added; nothing is the end of the directory.
  package func finish() {
    let bytes = bytes[..<count].map { UInt8(bitPattern: $0) }
    request.bytes(bytes.rawSpan)
  }
}
