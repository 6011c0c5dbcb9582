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

  /// symlinkat(2).
  package func makeSymlink(node name: [UInt8], target: [UInt8]) throws {
    try unsafe call("create the link", name) { name in
      unsafe withCName(target) { unsafe symlinkat($0, descriptor, name) }
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

  /// The quota project.
  package func setProject(_ project: UInt32) throws {
    try set("set the project of") { casync_set_project(descriptor, project) }
  }
}

extension SystemError {
  /// Not permitted: not the owner, or the file is immutable.
  package var isNotPermitted: Bool { number == EPERM }
}
