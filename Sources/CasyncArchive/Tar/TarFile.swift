internal import CArchive
import CasyncFormat
import CasyncIO

/// A tar archive that is read, front to back, compressed or not (libarchive).
///
/// Not to be shared between threads.
@safe final class TarReader {
  private let archive: OpaquePointer
  private let path: String

  /// - Parameter path: `-` is standard input.
  init(_ path: String) throws {
    casync_use_utf8()
    guard let archive = unsafe archive_read_new() else { preconditionFailure("no memory for libarchive") }
    unsafe self.archive = archive
    self.path = path == "-" ? "standard input" : path
    unsafe archive_read_support_filter_all(archive)
    unsafe archive_read_support_format_tar(archive)
    unsafe archive_read_support_format_empty(archive)
    try check(unsafe archive_read_open_filename(archive, path == "-" ? nil : path, 256 << 10))
  }

  deinit { unsafe archive_read_free(archive) }

  @discardableResult
  private func check(_ status: Int32) throws -> Int32 {
    // A warning tells of what was taken all the same.
    guard status < ARCHIVE_WARN else { return status }
    throw unsafe ArchiveError.tar("cannot read", path, archive)
  }

  /// The next entry; `nil` at the end.
  func next() throws -> TarEntry? {
    var entry: OpaquePointer?
    let status = try check(unsafe archive_read_next_header(archive, &entry))
    guard status != ARCHIVE_EOF, let entry = unsafe entry else { return nil }
    guard let name = unsafe bytes(archive_entry_pathname(entry)) else {
      throw ArchiveError(.unsupported, "\(path): a name that cannot be read")
    }
    return try unsafe self.entry(entry, name)
  }

  private func entry(_ entry: OpaquePointer, _ name: [UInt8]) throws -> TarEntry {
    var result = TarEntry(path: name, content: try unsafe content(entry, name))
    result.permissions = unsafe UInt32(archive_entry_mode(entry)) & 0o7777
    unsafe result.uid = UInt64(clamping: archive_entry_uid(entry))
    unsafe result.gid = UInt64(clamping: archive_entry_gid(entry))
    result.user = unsafe bytes(archive_entry_uname(entry))
    result.group = unsafe bytes(archive_entry_gname(entry))
    unsafe result.seconds = Int64(archive_entry_mtime(entry))
    unsafe result.nanoseconds = UInt32(clamping: archive_entry_mtime_nsec(entry))
    unsafe readXattrs(entry, &result)
    unsafe readACL(entry, &result)
    return result
  }

  private func content(_ entry: OpaquePointer, _ name: [UInt8]) throws -> TarEntry.Content {
    if let target = unsafe bytes(archive_entry_hardlink(entry)) { return .hardlink(to: target) }
    let (major, minor) = unsafe (
      UInt32(truncatingIfNeeded: archive_entry_rdevmajor(entry)),
      UInt32(truncatingIfNeeded: archive_entry_rdevminor(entry))
    )
    switch unsafe UInt32(archive_entry_filetype(entry)) {
    case 0o100000:
      let size = unsafe archive_entry_size(entry)
      return .node(.regular(size: UInt64(clamping: size)))
    case 0o040000: return .node(.directory)
    case 0o120000: return .node(.symlink(target: unsafe bytes(archive_entry_symlink(entry)) ?? []))
    case 0o060000: return .node(.blockDevice(major: major, minor: minor))
    case 0o020000: return .node(.characterDevice(major: major, minor: minor))
    case 0o010000: return .node(.fifo)
    default:
      throw ArchiveError(
        .unsupported, "\(path): \(String(decoding: name, as: UTF8.self)) is of an unknown kind")
    }
  }

  private func readXattrs(_ entry: OpaquePointer, _ result: inout TarEntry) {
    unsafe archive_entry_xattr_reset(entry)
    while true {
      var name: UnsafePointer<CChar>?
      var value: UnsafeRawPointer?
      var size = 0
      guard unsafe archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK,
        let key = unsafe bytes(name)
      else { return }
      // SAFETY: libarchive owns so many bytes until the next entry.
      let copy = unsafe Array(UnsafeRawBufferPointer(start: value, count: size))
      result.xattrs.append(CatarNode.Xattr(name: key, value: copy))
    }
  }

  private func readACL(_ entry: OpaquePointer, _ result: inout TarEntry) {
    for type in [ARCHIVE_ENTRY_ACL_TYPE_ACCESS, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT] {
      guard unsafe archive_entry_acl_reset(entry, type) > 0 else { continue }
      while true {
        var (kind, permissions, tag, id) = (Int32(0), Int32(0), Int32(0), Int32(0))
        var name: UnsafePointer<CChar>?
        let status = unsafe archive_entry_acl_next(
          entry, type, &kind, &permissions, &tag, &id, &name)
        guard status == ARCHIVE_OK else { break }
        result.acl.append(
          TarEntry.ACLEntry(
            isDefault: type == ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, tag: Self.tag(tag),
            permissions: UInt8(truncatingIfNeeded: permissions & 7), id: UInt32(exactly: id),
            name: unsafe bytes(name)))
      }
    }
  }

  private static func tag(_ tag: Int32) -> UInt16 {
    switch tag {
    case ARCHIVE_ENTRY_ACL_USER: PosixACL.Tag.user
    case ARCHIVE_ENTRY_ACL_USER_OBJ: PosixACL.Tag.userObject
    case ARCHIVE_ENTRY_ACL_GROUP: PosixACL.Tag.group
    case ARCHIVE_ENTRY_ACL_GROUP_OBJ: PosixACL.Tag.groupObject
    case ARCHIVE_ENTRY_ACL_MASK: PosixACL.Tag.mask
    default: PosixACL.Tag.other
    }
  }

  /// Passes on the content of the entry read last, in pieces and where they stand; holes are left out.
  func content(_ body: (UInt64, RawSpan) throws -> Void) throws {
    while true {
      var start: UnsafeRawPointer?
      var (size, offset) = (0, Int64(0))
      let status = try check(unsafe archive_read_data_block(archive, &start, &size, &offset))
      if status == ARCHIVE_EOF { return }
      // SAFETY: libarchive owns so many bytes until the next block.
      let block = unsafe UnsafeRawBufferPointer(start: start, count: size)
      try body(UInt64(clamping: offset), unsafe RawSpan(_unsafeBytes: block))
    }
  }

  private func bytes(_ text: UnsafePointer<CChar>?) -> [UInt8]? {
    guard let text = unsafe text else { return nil }
    // SAFETY: the text ends with a NUL and lives until the next entry.
    return unsafe Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
  }
}

/// A tar archive that is written, in the pax format (libarchive).
///
/// Not to be shared between threads.
@safe final class TarWriter {
  private let archive: OpaquePointer
  private let path: String

  /// - Parameter descriptor: where it goes; it stays open.
  init(_ file: File) throws {
    casync_use_utf8()
    guard let archive = unsafe archive_write_new() else { preconditionFailure("no memory for libarchive") }
    unsafe self.archive = archive
    path = file.path
    unsafe archive_write_set_format_pax(archive)
    // GNU tar knows attributes by this name only.
    try check(unsafe archive_write_set_format_option(archive, "pax", "xattrheader", "SCHILY"))
    try check(unsafe archive_write_open_fd(archive, file.number))
  }

  deinit { unsafe archive_write_free(archive) }

  private func check(_ status: Int32) throws {
    guard status < ARCHIVE_WARN else { return }
    throw unsafe ArchiveError.tar("cannot write", path, archive)
  }

  /// Writes what is known of a file; its content follows.
  func begin(_ tar: TarEntry) throws {
    guard let entry = unsafe archive_entry_new() else { preconditionFailure("no memory for libarchive") }
    defer { unsafe archive_entry_free(entry) }
    unsafe Self.text(tar.path) { unsafe archive_entry_copy_pathname(entry, $0) }
    guard case .node(let content) = tar.content else { preconditionFailure("links are followed") }
    unsafe archive_entry_set_mode(entry, content.type | tar.permissions)
    switch content {
    case .regular(let size): unsafe archive_entry_set_size(entry, Int64(clamping: size))
    case .symlink(let target): unsafe Self.text(target) { unsafe archive_entry_copy_symlink(entry, $0) }
    case .blockDevice(let major, let minor), .characterDevice(let major, let minor):
      unsafe archive_entry_set_rdevmajor(entry, UInt(major))
      unsafe archive_entry_set_rdevminor(entry, UInt(minor))
    default: break
    }
    unsafe archive_entry_set_uid(entry, Int64(clamping: tar.uid))
    unsafe archive_entry_set_gid(entry, Int64(clamping: tar.gid))
    if let user = tar.user { unsafe Self.text(user) { unsafe archive_entry_copy_uname(entry, $0) } }
    if let group = tar.group { unsafe Self.text(group) { unsafe archive_entry_copy_gname(entry, $0) } }
    unsafe archive_entry_set_mtime(entry, time_t(tar.seconds), Int(tar.nanoseconds))
    for xattr in tar.xattrs {
      unsafe Self.text(xattr.name) {
        unsafe archive_entry_xattr_add_entry(entry, $0, xattr.value, xattr.value.count)
      }
    }
    unsafe addACL(entry, tar.acl)
    try check(unsafe archive_write_header(archive, entry))
  }

  private func addACL(_ entry: OpaquePointer, _ acl: [TarEntry.ACLEntry]) {
    for item in acl {
      let type = item.isDefault ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS
      let id = item.id.map { Int32(truncatingIfNeeded: $0) } ?? -1
      unsafe Self.text(item.name ?? []) {
        _ = unsafe archive_entry_acl_add_entry(
          entry, type, Int32(item.permissions), Self.tag(item.tag), id, item.name == nil ? nil : $0)
      }
    }
  }

  private static func tag(_ tag: UInt16) -> Int32 {
    switch tag {
    case PosixACL.Tag.user: ARCHIVE_ENTRY_ACL_USER
    case PosixACL.Tag.userObject: ARCHIVE_ENTRY_ACL_USER_OBJ
    case PosixACL.Tag.group: ARCHIVE_ENTRY_ACL_GROUP
    case PosixACL.Tag.groupObject: ARCHIVE_ENTRY_ACL_GROUP_OBJ
    case PosixACL.Tag.mask: ARCHIVE_ENTRY_ACL_MASK
    default: ARCHIVE_ENTRY_ACL_OTHER
    }
  }

  /// The next bytes of the file begun last.
  func write(_ bytes: RawSpan) throws {
    // SAFETY: the call reads exactly the bytes of the span.
    let count = unsafe bytes.withUnsafeBytes { unsafe archive_write_data(archive, $0.baseAddress, $0.count) }
    guard count == bytes.byteCount else { throw unsafe ArchiveError.tar("cannot write", path, archive) }
  }

  /// Writes the end of the archive.
  func finish() throws { try check(unsafe archive_write_close(archive)) }

  /// Calls `body` with bytes as C sees them, up to their first NUL.
  private static func text(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) -> Void) {
    let text = bytes.map { CChar(bitPattern: $0) } + [0]
    // SAFETY: the array is not empty and ends with a NUL.
    unsafe text.withUnsafeBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return }
      unsafe body(start)
    }
  }
}

extension ArchiveError {
  fileprivate static func tar(_ what: String, _ path: String, _ archive: OpaquePointer) -> ArchiveError {
    // SAFETY: the text belongs to the open archive.
    let reason = unsafe archive_error_string(archive).map { unsafe String(cString: $0) } ?? "unknown error"
    return ArchiveError(.tar, "\(what) \(path) as tar: \(reason)")
  }
}
