package import Casync
package import CasyncArchive
package import CasyncFormat
package import CasyncIO

/// An archive that is mounted, from its mount to its end.
package struct TreeMount: Sendable {
  package struct Options: Sendable {
    /// The directory to mount on.
    package var path: String
    /// What `/proc/mounts` calls the archive.
    package var source: String
    /// Further options of mount(8).
    package var mountOptions: [String] = []
    /// Make the directory when it is not there.
    package var makesDirectory = true
    package var shift = UIDShift.none

    package init(path: String, source: String) {
      self.path = path
      self.source = source
    }
  }

  /// Questions that may wait for chunks at one time; further ones wait for them.
  private static let waiting = 32

  private let image: ImageReader
  private let tree: TreeReader
  private let options: Options

  /// Looks at the archive: whether it is one from its first byte to its last.
  /// - Throws: `JobError`, and what reading throws.
  package init(_ image: ImageReader, _ options: Options) throws {
    self.image = image
    self.options = options
    do {
      tree = try TreeReader(size: image.contentSize) { try image.bytes(in: $0) }
    } catch let error as CatarError {
      throw JobError(.damaged, "\(options.source): \(error)")
    }
    guard image.flags == nil || image.flags == tree.features else {
      throw JobError(.damaged, "\(options.source): the index and its archive have different features")
    }
  }

  /// Features of the archive that the mount does not show.
  package var hiddenFeatures: FeatureFlags {
    tree.features.intersection([.userNames, .subvolume, .subvolumeReadOnly])
  }

  /// Shows the archive until somebody unmounts it, or asks to stop: then it is unmounted. Blocks.
  /// - Parameters:
  ///   - report: told what is wrong with the archive; called on any thread.
  ///   - ready: called when it is mounted.
  /// - Returns: whether it was in use when it was told to end; its users keep what they have open of it until
  ///   the program is gone.
  package func run(
    _ cancellation: Cancellation, report: @escaping @Sendable (String) -> Void, ready: () throws -> Void
  ) throws -> Bool {
    try FuseSession.requireKernel()
    try FuseSession.replaceStale(options.path)
    if options.makesDirectory { try FileSystem.makeDirectory(options.path) }
    guard try File.status(options.path)?.kind == .directory else {
      throw JobError(.badRequest, "\(options.path) is no directory")
    }
    return try WorkerPool.with(count: Self.waiting, context: {}) { pool in
      let source = options.source
      let files = TreeFileSystem(
        tree, image, pool,
        TreeFileSystem.Options(shift: options.shift, report: { report("\(source): \($0)") }))
      let session = try FuseSession(
        files,
        FuseSession.Options(
          path: MountPoint(options.path).path, source: source, more: options.mountOptions))
      try ready()
      return try session.run(cancellation)
    }
  }
}
