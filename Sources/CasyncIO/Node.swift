internal import CLinux
internal import Glibc
import Synchronization

// Files of a directory tree: names are bytes, not text; every call is anchored to an open directory and
// follows no link.

/// What fstat(2) says of a node of a directory tree.
package struct NodeStatus: Sendable {
  /// Type and permission bits.
  package let mode: UInt32
  package let uid: UInt32
  package let gid: UInt32
  package let size: UInt64
  /// Modification time: whole seconds since 1970, and nanoseconds after that.
  package let seconds: Int64
  package let nanoseconds: UInt32
  /// The file system's device number and the node's inode number.
  package let device: UInt64
  package let inode: UInt64
  /// Names that the node has.
  package let linkCount: UInt64
  /// What a device node stands for.
  package let major: UInt32
  package let minor: UInt32

  /// What another archive says of a node.
  package init(mode: UInt32, uid: UInt32, gid: UInt32, seconds: Int64, nanoseconds: UInt32) {
    (self.mode, self.uid, self.gid) = (mode, uid, gid)
    (self.seconds, self.nanoseconds) = (seconds, nanoseconds)
    (size, device, inode, linkCount, major, minor) = (0, 0, 0, 1, 0, 0)
  }

  init(_ raw: stat) {
    mode = raw.st_mode
    uid = raw.st_uid
    gid = raw.st_gid
    size = UInt64(clamping: raw.st_size)
    seconds = Int64(raw.st_mtim.tv_sec)
    nanoseconds = UInt32(clamping: raw.st_mtim.tv_nsec)
    device = UInt64(raw.st_dev)
    inode = UInt64(raw.st_ino)
    linkCount = UInt64(raw.st_nlink)
    major = casync_major(raw.st_rdev)
    minor = casync_minor(raw.st_rdev)
  }

  package var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
  package var isRegular: Bool { mode & S_IFMT == S_IFREG }
  package var isSymlink: Bool { mode & S_IFMT == S_IFLNK }
}

extension File.Flags {
  /// A reference that is neither read nor written (O_PATH); attributes can be asked and set through it.
  package static let reference = File.Flags(rawValue: O_PATH)
}

/// Calls `body` with `name` as C sees it; at its first NUL, if it has one, the name ends.
func withCName<Result>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
  let bytes = name.map { CChar(bitPattern: $0) } + [0]
  // SAFETY: the array is not empty and ends with a NUL.
  return unsafe bytes.withUnsafeBufferPointer { buffer in
    guard let start = buffer.baseAddress else { preconditionFailure("an array of one byte or more") }
    return unsafe body(start)
  }
}

extension File {
  /// How messages call a node of this directory.
  package func path(of name: [UInt8]) -> String { "\(path)/\(String(decoding: name, as: UTF8.self))" }

  /// openat(2) of one name in this directory; a link is not followed.
  package func open(node name: [UInt8], _ flags: Flags = [], mode: UInt32 = 0o600) throws -> File {
    let all = flags.rawValue | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY
    let (descriptor, number) = retrying {
      unsafe withCName(name) { unsafe casync_openat(self.descriptor, $0, all, mode) }
    }
    guard descriptor >= 0 else { throw SystemError("open", path(of: name), errno: number) }
    return File(adopting: descriptor, path: path(of: name))
  }

  /// fstat(2).
  package func nodeStatus() throws -> NodeStatus {
    var raw = stat()
    // SAFETY: the kernel fills the structure.
    let (result, number) = retrying { unsafe fstat(descriptor, &raw) }
    guard result == 0 else { throw SystemError("examine", path, errno: number) }
    return NodeStatus(raw)
  }

  /// fstatat(2) of one name in this directory; `nil` when there is nothing.
  package func nodeStatus(_ name: [UInt8]) throws -> NodeStatus? {
    var raw = stat()
    // SAFETY: the kernel fills the structure.
    let (result, number) = retrying {
      unsafe withCName(name) { unsafe fstatat(descriptor, $0, &raw, AT_SYMLINK_NOFOLLOW) }
    }
    if result == 0 { return NodeStatus(raw) }
    if number == ENOENT { return nil }
    throw SystemError("examine", path(of: name), errno: number)
  }

  /// The names in this directory, ascending by their bytes; `.` and `..` left out.
  package func nodeNames() throws -> [[UInt8]] {
    let own = try open(node: Array(".".utf8), .directory)
    // The stream closes a descriptor of its own.
    let number = dup(own.descriptor)
    guard number >= 0 else { throw SystemError("list", path, errno: errno) }
    guard let stream = unsafe fdopendir(number) else {
      let reason = errno
      close(number)
      throw SystemError("list", path, errno: reason)
    }
    defer { unsafe closedir(stream) }
    var names = [[UInt8]]()
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else { break }
      // SAFETY: the name ends with a NUL inside the entry, which lives until the next call.
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        unsafe tuple.withMemoryRebound(to: UInt8.self, capacity: 256) { start in
          unsafe [UInt8](
            UnsafeBufferPointer(start: start, count: strnlen(UnsafePointer(OpaquePointer(start)), 256)))
        }
      }
      if name != [0x2e], name != [0x2e, 0x2e] { names.append(name) }
    }
    guard errno == 0 else { throw SystemError("list", path, errno: errno) }
    return names.sorted { $0.lexicographicallyPrecedes($1) }
  }

  /// readlinkat(2).
  package func linkTarget(_ name: [UInt8]) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 4097)
    // SAFETY: the call writes at most as many bytes as the array, which is not empty, has.
    let (count, number) = unsafe bytes.withUnsafeMutableBytes { memory in
      guard let start = unsafe memory.baseAddress?.assumingMemoryBound(to: CChar.self) else {
        preconditionFailure("the array has bytes")
      }
      let capacity = memory.count
      return retrying { unsafe withCName(name) { unsafe readlinkat(descriptor, $0, start, capacity) } }
    }
    guard count >= 0 else { throw SystemError("read the link", path(of: name), errno: number) }
    return Array(bytes[..<count])
  }

  /// The magic number of the file system (statfs(2)).
  package func fileSystemMagic() throws -> UInt64 {
    var magic: UInt64 = 0
    let (result, number) = retrying { unsafe casync_file_system_magic(descriptor, &magic) }
    guard result == 0 else { throw SystemError("examine the file system of", path, errno: number) }
    return magic
  }

  /// Which mount the node was opened on.
  package func mountID() throws -> UInt64 {
    var id: UInt64 = 0
    let (result, number) = retrying { unsafe casync_mount_id(descriptor, &id) }
    guard result == 0 else { throw SystemError("find the mount of", path, errno: number) }
    return id
  }
}

// MARK: - Attributes

extension File {
  /// Where this node can be reached by a path although it is only a reference.
  var procPath: String { "/proc/self/fd/\(descriptor)" }

  /// Names of all extended attributes. None where the file system has none.
  package func xattrNames() throws -> [[UInt8]] {
    var capacity = 1024
    while true {
      var bytes = [UInt8](repeating: 0, count: capacity)
      // SAFETY: the calls write at most as many bytes as the array has.
      var (count, number) = unsafe bytes.withUnsafeMutableBytes { memory in
        retrying {
          unsafe flistxattr(descriptor, memory.baseAddress?.assumingMemoryBound(to: CChar.self), memory.count)
        }
      }
      if count < 0, number == EBADF {
        (count, number) = unsafe bytes.withUnsafeMutableBytes { memory in
          retrying {
            unsafe listxattr(procPath, memory.baseAddress?.assumingMemoryBound(to: CChar.self), memory.count)
          }
        }
      }
      if count >= 0 { return bytes[..<count].split(separator: 0).map(Array.init) }
      if number == EOPNOTSUPP { return [] }
      guard number == ERANGE, capacity < 64 << 10 else {
        throw SystemError("list the extended attributes of", path, errno: number)
      }
      capacity = 64 << 10
    }
  }

  /// The value of an extended attribute; `nil` when there is none of this name.
  package func xattr(_ name: [UInt8]) throws -> [UInt8]? {
    var capacity = 256
    while true {
      var bytes = [UInt8](repeating: 0, count: capacity)
      // SAFETY: the calls write at most as many bytes as the array has.
      var (count, number) = unsafe bytes.withUnsafeMutableBytes { memory in
        retrying {
          unsafe withCName(name) { unsafe fgetxattr(descriptor, $0, memory.baseAddress, memory.count) }
        }
      }
      if count < 0, number == EBADF {
        (count, number) = unsafe bytes.withUnsafeMutableBytes { memory in
          retrying {
            unsafe withCName(name) { unsafe getxattr(procPath, $0, memory.baseAddress, memory.count) }
          }
        }
      }
      if count >= 0 { return Array(bytes[..<count]) }
      if number == ENODATA || number == EOPNOTSUPP { return nil }
      guard number == ERANGE, capacity < 64 << 10 else {
        throw SystemError("read an extended attribute of", path, errno: number)
      }
      capacity = 64 << 10
    }
  }

  /// The attributes of chattr(1), FS_*_FL; `nil` where the file system has none.
  package func attributes() throws -> UInt32? {
    try number("read the attributes of") { unsafe casync_get_attributes($0, &$1) }
  }

  /// The quota project; `nil` where the file system has none.
  package func project() throws -> UInt32? {
    try number("read the project of") { unsafe casync_get_project($0, &$1) }
  }

  /// The attributes of FAT; `nil` where the file system has none.
  package func fatAttributes() throws -> UInt32? {
    try number("read the attributes of") { unsafe casync_get_fat_attributes($0, &$1) }
  }

  private func number(_ what: String, _ call: (Int32, inout UInt32) -> Int32) throws -> UInt32? {
    var value: UInt32 = 0
    let (result, number) = retrying { call(descriptor, &value) }
    if result == 0 { return value }
    let error = SystemError(what, path, errno: number)
    if error.isUnsupported || number == EBADF || number == EPERM || number == EACCES { return nil }
    throw error
  }

  /// Whether this directory is a btrfs subvolume that is read-only.
  package func isReadOnlySubvolume() -> Bool {
    var flags: UInt64 = 0
    // What cannot be asked is none.
    return unsafe casync_get_subvolume_flags(descriptor, &flags) == 0 && flags & 2 != 0
  }
}

/// Names of users and groups, asked once each (getpwuid(3), getgrgid(3)); on any thread.
package final class OwnerNames: Sendable {
  private struct Known {
    var users: [UInt32: [UInt8]?] = [:]
    var groups: [UInt32: [UInt8]?] = [:]
    var uids: [[UInt8]: UInt32?] = [:]
    var gids: [[UInt8]: UInt32?] = [:]
  }

  /// Held while the C library is asked: its answer lives until the next question.
  private let known = Mutex(Known())

  package init() {}

  /// The name of a user; `nil` when he has none.
  package func user(_ id: UInt32) -> [UInt8]? {
    answer(\.users, id) { id in
      // SAFETY: the entry lives until the next call; the name is copied.
      unsafe getpwuid(id).map { unsafe Array(String(cString: $0.pointee.pw_name).utf8) }
    }
  }

  package func group(_ id: UInt32) -> [UInt8]? {
    answer(\.groups, id) { id in
      // SAFETY: as above.
      unsafe getgrgid(id).map { unsafe Array(String(cString: $0.pointee.gr_name).utf8) }
    }
  }

  /// The number of the user of this name; `nil` when there is none.
  package func uid(_ name: [UInt8]) -> UInt32? {
    answer(\.uids, name) { name in
      // SAFETY: the entry lives until the next call; the number is copied.
      unsafe withCName(name) { unsafe getpwnam($0).map { unsafe $0.pointee.pw_uid } }
    }
  }

  package func gid(_ name: [UInt8]) -> UInt32? {
    answer(\.gids, name) { name in
      // SAFETY: as above.
      unsafe withCName(name) { unsafe getgrnam($0).map { unsafe $0.pointee.gr_gid } }
    }
  }

  private func answer<Key: Hashable & Sendable, Value: Sendable>(
    _ table: WritableKeyPath<Known, [Key: Value?]>, _ key: Key, _ ask: (Key) -> Value?
  ) -> Value? {
    known.withLock { known in
      if let answer = known[keyPath: table][key] { return answer }
      let answer = ask(key)
      known[keyPath: table][key] = .some(answer)
      return answer
    }
  }
}

/// fnmatch(3) with the flag "period": a leading dot is matched only by a dot.
package func matchesPattern(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
  unsafe withCName(pattern) { pattern in
    unsafe withCName(name) { unsafe fnmatch(pattern, $0, FNM_PERIOD) == 0 }
  }
}
