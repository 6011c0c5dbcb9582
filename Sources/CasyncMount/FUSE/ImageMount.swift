package import Casync
package import CasyncIO

/// An image as one file, from when it is mounted until it is gone again.
package final class ImageMount: Sendable {
  package let path: String
  private let session: FuseSession
  /// Inode of the file that we made to mount upon: it is removed at the end.
  private let made: UInt64?

  /// Shows `image` at `path`: a file that is not there yet, or is empty. A mount that a dead server left is
  /// replaced.
  /// - Throws: `JobError` (refused), `SystemError`.
  package init(_ image: ImageReader, at path: String) throws {
    try FuseSession.requireKernel()
    try FuseSession.replaceStale(path)
    let point = MountPoint(path)
    self.path = path
    let present = try File.status(path)
    guard present.map({ $0.kind == .regular && $0.size == 0 }) ?? true else {
      throw JobError(
        .refused, "will not mount on \(path): there is something",
        hint: "name a file that is not there yet, or an empty one")
    }
    if present == nil {
      made = try File.open(path, [.write, .create, .exclusive], mode: 0o444).status().inode
    } else {
      made = nil
    }
    do {
      session = try FuseSession(
        ImageFile(image), FuseSession.Options(path: point.path, source: "casync"))
    } catch {
      Self.remove(path, made)
      throw error
    }
  }

  deinit {
    session.close()
    Self.remove(path, made)
  }

  /// Answers until somebody unmounts the file, or asks to stop: then it is unmounted. Blocks.
  /// - Returns: whether it was in use when it was told to end.
  package func run(_ cancellation: Cancellation) throws -> Bool {
    try session.run(cancellation)
  }

  private static func remove(_ path: String, _ made: UInt64?) {
    guard let made, let status = try? File.status(path), status.inode == made else { return }
    // An empty file that cannot be removed is taken by the next server that is told to.
    _ = try? FileSystem.remove(path)
  }
}

extension FuseSession {
  /// - Throws: `JobError` where there is no FUSE.
  static func requireKernel() throws {
    guard try File.status("/dev/fuse") == nil else { return }
    throw JobError(.io, "this kernel has no FUSE: /dev/fuse is not there", hint: "modprobe fuse")
  }

  /// Takes away what a dead server left mounted at `path`.
  static func replaceStale(_ path: String) throws {
    guard MountPoint.isStale(path) else { return }
    do {
      try MountPoint(path).unmount(.lazily)
    } catch {
      throw JobError(.io, "\(error), and its server is gone", hint: "fusermount3 -uz \(path)")
    }
  }
}
