public import CasyncArchive
import CasyncIO

/// Copy a directory tree with everything an archive holds of it, and with the links between its files.
public struct CloneTreeRequest: Sendable {
  public var source: String
  /// The directory; it is made when it is not there, and may hold something.
  public var directory: String
  public var tree: TreeOptions
  public var options = ExtractOptions()
  /// Threads that copy files; `nil` is one a processor.
  public var workers: Int?

  public init(source: String, directory: String, tree: TreeOptions) {
    self.source = source
    self.directory = directory
    self.tree = tree
  }

  /// Copies the tree. Blocks until the copy is durable.
  /// - Throws: `JobError`, `ArchiveError`, `SystemError`, `CancellationError`. After an error what was copied
  ///   so far is there, each file whole; the same request run again completes it.
  public func run(_ progress: Progress) throws {
    guard let from = FileSystem.resolved(source) else {
      throw JobError(.badRequest, "\(source): no such directory")
    }
    try FileSystem.makeDirectory(directory)
    let to = FileSystem.resolved(directory) ?? directory
    guard to != from, !to.hasPrefix(from + "/"), !from.hasPrefix(to + "/") else {
      throw JobError(.badRequest, "\(source) and \(directory) lie in one another")
    }
    let target = try File.open(directory, .directory)
    progress.begin(.working, total: 0)
    try WriteBehind.with(target, progress) { behind in
      try TreeCloner.clone(
        source, tree, into: target, options, workers: workers, progress.cancellation
      ) { _, _, size in
        progress.advance(Int(clamping: size))
        behind.note(size)
      }
    }
  }
}
