/// What the kernel asks of a file system that is mounted by FUSE. Every question has its request, which is to
/// be answered once, on any thread, now or later. The calls come on the session's thread and must not block.
///
/// What an image or archive holds never changes, so the kernel keeps every answer as long as it likes.
package protocol FuseFileSystem: Sendable {
  /// The entry of this name; an answer with one makes the kernel know its inode once more.
  func lookUp(_ name: [UInt8], in directory: UInt64, _ request: FuseRequest)
  /// The kernel knows an inode `count` times less.
  func forget(_ inode: UInt64, count: UInt64)
  func attributes(of inode: UInt64, _ request: FuseRequest)
  func target(of inode: UInt64, _ request: FuseRequest)
  func read(_ inode: UInt64, at offset: UInt64, count: Int, _ request: FuseRequest)
  func openDirectory(_ inode: UInt64, _ request: FuseRequest)
  /// Entries from the one whose offset is `offset`; 0 is the first.
  func list(_ inode: UInt64, handle: UInt64, from offset: UInt64, _ listing: FuseListing)
  func closeDirectory(_ handle: UInt64)
  /// - Parameter capacity: bytes that the asker has room for; 0 asks how many it needs.
  func xattr(_ name: [UInt8], of inode: UInt64, capacity: Int, _ request: FuseRequest)
  func xattrNames(of inode: UInt64, capacity: Int, _ request: FuseRequest)
  func flags(of inode: UInt64, _ question: FuseFlagsQuestion, _ request: FuseRequest)
  func statistics(_ request: FuseRequest)
}

extension FuseFileSystem {
  package func lookUp(_ name: [UInt8], in directory: UInt64, _ request: FuseRequest) {
    request.fail(.notFound)
  }
  package func forget(_ inode: UInt64, count: UInt64) {}
  package func target(of inode: UInt64, _ request: FuseRequest) { request.fail(.invalid) }
  package func openDirectory(_ inode: UInt64, _ request: FuseRequest) { request.fail(.notDirectory) }
  package func list(_ inode: UInt64, handle: UInt64, from offset: UInt64, _ listing: FuseListing) {
    listing.request.fail(.notDirectory)
  }
  package func closeDirectory(_ handle: UInt64) {}
  package func xattr(_ name: [UInt8], of inode: UInt64, capacity: Int, _ request: FuseRequest) {
    request.fail(.noSystemCall)
  }
  package func xattrNames(of inode: UInt64, capacity: Int, _ request: FuseRequest) {
    request.fail(.noSystemCall)
  }
  package func flags(of inode: UInt64, _ question: FuseFlagsQuestion, _ request: FuseRequest) {
    request.fail(.noSuchQuestion)
  }
}

/// Why a question has no answer; errno's numbers, which the kernel passes on.
package enum FuseError: Sendable {
  case notFound, io, invalid, notDirectory, noSuchAttribute, noRoom
  /// The kernel need not ask such things again.
  case noSystemCall
  /// An ioctl that the file system does not know.
  case noSuchQuestion
}

/// Attributes beyond `stat`, as Linux asks for them (linux fs.h, FS_IOC_GETFLAGS and FS_IOC_FSGETXATTR;
/// msdos_fs.h).
package enum FuseFlagsQuestion: Sendable {
  case chattr, extended, fat
}

/// What `stat` says of a file.
package struct FuseAttributes: Sendable {
  package var inode: UInt64
  /// Type and permission bits.
  package var mode: UInt32
  package var size: UInt64 = 0
  package var uid: UInt32 = 0
  package var gid: UInt32 = 0
  /// Nanoseconds since 1970.
  package var modified: UInt64 = 0
  /// What a device node stands for.
  package var major: UInt32 = 0
  package var minor: UInt32 = 0

  package init(inode: UInt64, mode: UInt32) {
    self.inode = inode
    self.mode = mode
  }
}

/// The inode that a mount begins at (FUSE_ROOT_ID).
package let fuseRootInode: UInt64 = 1
