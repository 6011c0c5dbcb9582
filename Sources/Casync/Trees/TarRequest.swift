public import CasyncArchive
public import CasyncFormat
import CasyncIO

/// Make a tar archive of an archive, of the archive that an index describes, or of a directory.
public struct TarRequest: Sendable {
  public var source: TreeSource
  /// Path of the tar archive to write; `-` is standard output.
  public var tar: String
  /// Path in the archive of what is wanted; `nil` is the whole tree.
  public var subtree: String?
  /// What of the metadata goes into the tar archive.
  public var mask: FeatureFlags = .allFeatures
  public var shift: UIDShift = .none

  public init(_ source: TreeSource, tar: String, subtree: String? = nil) {
    self.source = source
    self.tar = tar
    self.subtree = subtree
  }

  /// Writes the tar archive. Blocks until it is durable under its name.
  /// - Returns: sockets that were left out, since tar has none.
  /// - Throws: `JobError`, `ArchiveError`, `SystemError`, `StoreError`, `CancellationError`. After an error
  ///   there is no tar archive.
  public func run(_ progress: Progress) throws -> Int {
    let output = try OutputFile(tar, mode: 0o666)
    let writer = try TarTreeWriter(output.file, mask: mask, shift: shift)
    var visitor = Writing(writer: writer)
    try TreeWalk.run(source, subtree: subtree, &visitor, progress)
    try writer.finish()
    progress.begin(.flushing, total: 0)
    try output.finish()
    return writer.leftOut
  }

  private struct Writing: TreeVisitor {
    let writer: TarTreeWriter

    func enter(_ item: TreeItem) throws { try writer.enter(item.path, item.node) }
    func content(_ bytes: RawSpan) throws { try writer.content(bytes) }
  }
}
