public import CasyncArchive
import CasyncFormat
import CasyncIO

/// Make a directory tree of an archive, or of the archive that an index describes.
public struct ExtractTreeRequest: Sendable {
  public var source: TreeSource
  /// The directory; it is made when it is not there, and may hold something.
  public var directory: String
  /// Path in the archive of what is wanted; it becomes a child of `directory`. `nil` is the whole tree.
  public var subtree: String?
  public var options = ExtractOptions()

  public init(_ source: TreeSource, directory: String, subtree: String? = nil) {
    self.source = source
    self.directory = directory
    self.subtree = subtree
  }

  /// Extracts the tree. Blocks until it is durable.
  /// - Returns: bytes of zeros that became holes.
  /// - Throws: `JobError`, `ArchiveError`, `SystemError`, `StoreError`, `CancellationError`. After an error
  ///   what was extracted so far is there, each file whole; the same request run again completes it.
  public func run(_ progress: Progress) throws -> UInt64 {
    try FileSystem.makeDirectory(directory)
    let target = try File.open(directory, .directory)
    var visitor = Extracting(extractor: try TreeExtractor(into: target, options))
    try TreeWalk.run(source, subtree: subtree, &visitor, progress)
    progress.begin(.flushing, total: 0)
    try target.syncFileSystem()
    return visitor.extractor.holeBytes
  }

  private struct Extracting: TreeVisitor {
    let extractor: TreeExtractor

    func enter(_ item: TreeItem) throws { try extractor.enter(item.name, item.node) }

    func content(_ bytes: RawSpan) throws { try extractor.content(bytes) }

    func leave(_ item: TreeItem) throws { try extractor.leave() }
  }
}
