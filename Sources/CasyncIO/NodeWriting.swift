internal import CLinux
internal import Glibc

// Making nodes of a directory tree and setting what is kept of them. As in Node.swift nothing here follows a
// link.

extension File {
  /// Makes the call on one name below this directory.
  // SAFETY of its uses: the name that `body` gets lives during the system call, which keeps nothing of it.
  private func call(_ what: String, _ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Int32) throws {
    let (result, number) = retrying { unsafe withCName(name) { unsafe body($0) } }
    guard result == 0 else { throw SystemError(what, path(of: name), errno: number) }
  }

  /// mkdirat(2).
  package func makeDirectory(node name: [UInt8], mode: UInt32) throws {
    try unsafe call("create the directory", name) { unsafe mkdirat(descriptor, $0, mode) }
  }

  /// Makes a btrfs subvolume that only its owner can enter.
  /// - Returns: false where the file system has none.
  package func makeSubvolume(node name: [UInt8]) throws -> Bool {
    do {
      try unsafe call("create the subvolume", name) { unsafe casync_make_subvolume(descriptor, $0) }
    } catch let error as SystemError where error.isUnsupported {
      return false
    }
    try open(node: name, .directory).setPermissions(0o700)
    return true
  }

  /// symlinkat(2).
  package func makeSymlink(node name: [UInt8], target: [UInt8]) throws {
    try unsafe call("create the link", name) { name in
      unsafe withCName(target) { unsafe symlinkat($0, descriptor, name) }
    }
  }

  /// linkat(2): another name, in this directory, for a file below `root`.
  package func makeLink(node name: [UInt8], to path: [UInt8], of root: File) throws {
    try unsafe call("create the link", name) { name in
      unsafe withCName(path) { unsafe linkat(root.descriptor, $0, descriptor, name, 0) }
    }
  }

  /// linkat(2): another name, in this directory, for an open file.
  package func makeLink(node name: [UInt8], to file: File) throws {
    try unsafe call("create the link", name) { name in
      unsafe linkat(AT_FDCWD, file.procPath, descriptor, name, AT_SYMLINK_FOLLOW)
    }
  }

  /// mknodat(2): a fifo, socket or device.
  package func makeNode(_ name: [UInt8], mode: UInt32, major: UInt32 = 0, minor: UInt32 = 0) throws {
    try unsafe call("create", name) { unsafe mknodat(descriptor, $0, mode, casync_makedev(major, minor)) }
  }

  /// unlinkat(2) of a file, or of an empty directory.
  package func remove(node name: [UInt8], isDirectory: Bool) throws {
    try unsafe call("remove", name) { unsafe unlinkat(descriptor, $0, isDirectory ? AT_REMOVEDIR : 0) }
  }

  /// renameat(2) in this directory, replacing what is there.
  package func rename(node from: [UInt8], to name: [UInt8]) throws { try rename(from, name, flags: 0) }

  /// Lets two nodes of this directory change names (RENAME_EXCHANGE).
  package func exchange(node a: [UInt8], with b: [UInt8]) throws { try rename(a, b, flags: 2) }

  private func rename(_ from: [UInt8], _ name: [UInt8], flags: UInt32) throws {
    try unsafe call("give its name to", name) { name in
      unsafe withCName(from) { unsafe casync_renameat2(descriptor, $0, descriptor, name, flags) }
    }
  }

  /// pwrite(2) of all of `bytes`.
  package func write(_ bytes: RawSpan, at offset: UInt64) throws {
    var done = 0
    while done < bytes.byteCount {
      let place = offset + UInt64(done)
      // SAFETY: the call reads exactly the bytes of the span.
      let (count, number) = unsafe bytes.extracting(done..<bytes.byteCount).withUnsafeBytes { memory in
        retrying { unsafe pwrite(descriptor, memory.baseAddress, memory.count, off_t(clamping: place)) }
      }
      guard count >= 0 else { throw SystemError("write", path, at: place, errno: number) }
      guard count > 0 else { throw SystemError("write", path, at: place, errno: ENOSPC) }
      done += count
    }
  }
}

extension File {
  /// Copies `range` of another file to the same place of this one (copy_file_range(2), else by reading).
  package func copy(_ range: Range<UInt64>, of source: File) throws {
    var place = range.lowerBound
    while place < range.upperBound {
      var (from, to) = (off_t(clamping: place), off_t(clamping: place))
      let wanted = Int(clamping: min(range.upperBound - place, 1 << 30))
      // SAFETY: the kernel reads and changes the two offsets.
      let (count, number) = retrying {
        unsafe copy_file_range(source.descriptor, &from, descriptor, &to, wanted, 0)
      }
      if count < 0 {
        let error = SystemError("copy", source.path, at: place, errno: number)
        guard error.isUnsupported || error.isOtherFileSystem else { throw error }
        return try copyByReading(place..<range.upperBound, of: source)
      }
      // It became shorter; the caller looks at sizes.
      if count == 0 { return }
      place += UInt64(count)
    }
  }

  private func copyByReading(_ range: Range<UInt64>, of source: File) throws {
    let buffer = Buffer(count: 256 << 10)
    var place = range.lowerBound
    while place < range.upperBound {
      let wanted = Int(min(UInt64(buffer.count), range.upperBound - place))
      let count = try source.read(at: place, into: buffer, 0..<wanted)
      try write(buffer, 0..<count, at: place)
      place += UInt64(count)
      if count < wanted { return }
    }
  }

  /// Whether this file and `other` hold the same bytes.
  package func hasContent(of other: File) throws -> Bool {
    let (mine, its) = (Buffer(count: 256 << 10), Buffer(count: 256 << 10))
    var place: UInt64 = 0
    while true {
      let count = try read(at: place, into: mine, 0..<mine.count)
      guard try other.read(at: place, into: its, 0..<its.count) == count, mine.starts(with: its, count) else {
        return false
      }
      if count < mine.count { return true }
      place += UInt64(count)
    }
  }

  /// Lets `range` share the blocks of `source` where both hold the same bytes, which the kernel compares
  /// (FIDEDUPERANGE). Both ends are multiples of a block, but for the ends of files.
  /// - Returns: how many bytes were shared, from the front, before a difference.
  package func share(_ range: Range<UInt64>, with source: File, at offset: UInt64) throws -> UInt64 {
    let length = range.upperBound - range.lowerBound
    var done: UInt64 = 0
    while done < length {
      var count: UInt64 = 0
      let (result, number) = retrying {
        unsafe casync_share(
          source.descriptor, offset + done, min(length - done, 16 << 20), descriptor, range.lowerBound + done,
          &count)
      }
      guard result == 0 else {
        throw SystemError("share blocks with", source.path, at: offset + done, errno: number)
      }
      if count == 0 { break }
      done += count
    }
    return done
  }
}

// MARK: - Attributes; all of them also through a reference

extension File {
  private func set(_ what: String, _ call: () -> Int32, byPath: (() -> Int32)? = nil) throws {
    var (result, number) = retrying(call)
    if result != 0, number == EBADF, let byPath { (result, number) = retrying(byPath) }
    guard result == 0 else { throw SystemError(what, path, errno: number) }
  }

  /// fchownat(2) of this node.
  package func setOwner(uid: UInt32, gid: UInt32) throws {
    try set("set the owner of") { unsafe fchownat(descriptor, "", uid, gid, AT_EMPTY_PATH) }
  }

  /// fchmod(2).
  package func setPermissions(_ permissions: UInt32) throws {
    try set("set the permissions of") {
      fchmod(descriptor, permissions)
    } byPath: {
      unsafe chmod(self.procPath, permissions)
    }
  }

  /// utimensat(2): the modification time, in nanoseconds since 1970; the time of access is left alone.
  package func setModified(_ time: UInt64) throws {
    // SAFETY: the kernel reads two times from the array.
    try set("set the time of") {
      let times = [
        timespec(tv_sec: 0, tv_nsec: (1 << 30) - 2),
        timespec(tv_sec: time_t(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000)),
      ]
      return unsafe utimensat(descriptor, "", times, AT_EMPTY_PATH)
    }
  }

  /// fsetxattr(2).
  package func setXattr(_ name: [UInt8], _ value: [UInt8]) throws {
    try set("set the attribute \(String(decoding: name, as: UTF8.self)) of") {
      unsafe withCName(name) { unsafe fsetxattr(descriptor, $0, value, value.count, 0) }
    } byPath: {
      unsafe withCName(name) { unsafe setxattr(self.procPath, $0, value, value.count, 0) }
    }
  }

  /// fremovexattr(2); none of this name is no error.
  package func removeXattr(_ name: [UInt8]) throws {
    do {
      try set("remove the attribute \(String(decoding: name, as: UTF8.self)) of") {
        unsafe withCName(name) { unsafe fremovexattr(descriptor, $0) }
      } byPath: {
        unsafe withCName(name) { unsafe removexattr(self.procPath, $0) }
      }
    } catch let error as SystemError where error.number == ENODATA || error.number == EOPNOTSUPP {
      // That is what was wanted.
    }
  }

  /// The attributes of chattr(1), FS_*_FL.
  package func setAttributes(_ attributes: UInt32) throws {
    try set("set the chattr attributes of") { casync_set_attributes(descriptor, attributes) }
  }

  package func setFATAttributes(_ attributes: UInt32) throws {
    try set("set the FAT attributes of") { casync_set_fat_attributes(descriptor, attributes) }
  }

  /// Whether a btrfs subvolume, this directory, is read-only.
  package func setReadOnlySubvolume(_ readOnly: Bool) throws {
    try set("change the subvolume") { casync_set_subvolume_flags(descriptor, readOnly ? 2 : 0) }
  }

  /// The quota project.
  package func setProject(_ project: UInt32) throws {
    try set("set the project of") { casync_set_project(descriptor, project) }
  }
}

extension SystemError {
  /// The two files lie on different file systems.
  package var isOtherFileSystem: Bool { number == EXDEV }
  /// Not permitted: not the owner, or the file is immutable.
  package var isNotPermitted: Bool { number == EPERM }
}
