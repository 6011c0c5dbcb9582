internal import CLinux
internal import Glibc

/// A place in the tree of files where something is mounted.
package struct MountPoint: Sendable {
  /// Absolute, without links.
  package let path: String

  /// - Parameter path: an existing directory or file. Links in its parent are followed, its last component is
  ///   not looked at: what is mounted there may not answer.
  package init(_ path: String) {
    let parent = FileSystem.resolved(FileSystem.parent(of: path)) ?? FileSystem.parent(of: path)
    self.path = parent == "/" ? "/\(FileSystem.name(of: path))" : "\(parent)/\(FileSystem.name(of: path))"
  }

  /// Whether a FUSE mount lies at `path` whose server is gone.
  package static func isStale(_ path: String) -> Bool {
    var raw = stat()
    // SAFETY: the kernel fills the structure.
    let (result, number) = retrying { unsafe stat(path, &raw) }
    return result != 0 && number == ENOTCONN
  }

  /// How something is taken off its mount point.
  package enum Detaching: Sendable {
    /// Only if nobody uses it.
    case idle
    /// From the tree at once; from those who have files open when they close them.
    case lazily
  }

  /// umount2(2).
  /// - Throws: `SystemError`, `isBusy` when somebody uses it.
  package func unmount(_ detaching: Detaching) throws {
    let flags = UMOUNT_NOFOLLOW | (detaching == .lazily ? MNT_DETACH : 0)
    let (result, number) = retrying { unsafe umount2(path, Int32(flags)) }
    guard result == 0 else { throw SystemError("unmount", path, errno: number) }
  }
}
