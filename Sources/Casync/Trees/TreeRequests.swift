import CasyncChunking
public import CasyncFormat
import CasyncIO

/// Tell of the nodes of a tree, an archive or an index, as casync's `list`, `mtree` and `stat` do.
public struct ListRequest: Sendable {
  /// What is told of each node.
  public enum Style: Sendable {
    /// Mode and path.
    case list
    /// All metadata and the digest of the content, a line each.
    case mtree
    /// All of one node, a line for each fact.
    case stat
  }

  public var source: TreeSource
  public var style: Style
  /// Path in the archive to start at; `nil` is the top.
  public var subtree: String?
  /// Whether directories below the first are entered.
  public var isRecursive = true
  /// The word for the digest in `mtree`, whatever the archive's is: casync's quirk.
  public var digestName: DigestAlgorithm = .sha512_256

  public init(_ source: TreeSource, style: Style, subtree: String? = nil) {
    self.source = source
    self.style = style
    self.subtree = subtree
  }

  /// Passes the text on in pieces of some 64 KiB. Blocks.
  /// - Throws: `JobError`, `ArchiveError`, `SystemError`, `StoreError`.
  public func run(_ progress: Progress, print: @escaping (String) throws -> Void) throws {
    var visitor = Printer(request: self, print: print)
    do {
      try TreeWalk.run(source, subtree: subtree, &visitor, progress)
    } catch is Printer.Enough {
      // `stat` tells of one node.
    }
    try visitor.flush()
  }
}

/// Makes lines of nodes.
private struct Printer: TreeVisitor {
  struct Enough: Error {}

  let request: ListRequest
  let print: (String) throws -> Void
  private var text = ""
  /// Digests of the content and of all records of the node entered last.
  private var contentDigest: TreeDigest?
  private var recordDigest: TreeDigest?

  init(request: ListRequest, print: @escaping (String) throws -> Void) {
    self.request = request
    self.print = print
  }

  mutating func records(_ bytes: RawSpan, _ features: FeatureFlags) {
    guard request.style == .stat else { return }
    if recordDigest == nil { recordDigest = TreeDigest(features.digest) }
    recordDigest?.update(bytes)
  }

  mutating func enter(_ item: TreeItem) throws {
    let isFile = if case .regular = item.node.content { true } else { false }
    switch request.style {
    case .list:
      if request.isRecursive || item.depth < 2 { try add(NodeText.list(item)) }
    case .mtree:
      if isFile { contentDigest = TreeDigest(item.node.features.digest) } else { try add(mtree(item)) }
    case .stat:
      // A block device's is that of no bytes: casync's quirk.
      let isBlockDevice = if case .blockDevice = item.node.content { true } else { false }
      if isFile || isBlockDevice { contentDigest = TreeDigest(item.node.features.digest) }
      if item.node.content == .directory {
        try add(NodeText.stat(item, isOnDisk: isOnDisk, content: nil, records: nil))
        throw Enough()
      }
    }
  }

  mutating func content(_ bytes: RawSpan) { contentDigest?.update(bytes) }

  mutating func leave(_ item: TreeItem) throws {
    switch request.style {
    case .list: break
    case .mtree:
      guard let digest = contentDigest else { return }
      try add(mtree(item, digest.finish()))
    case .stat:
      let records = recordDigest?.finish()
      try add(NodeText.stat(item, isOnDisk: isOnDisk, content: contentDigest?.finish(), records: records))
    }
    contentDigest = nil
  }

  private func mtree(_ item: TreeItem, _ digest: ChunkID? = nil) -> String {
    NodeText.mtree(item, digest, digestName: request.digestName)
  }

  private var isOnDisk: Bool { if case .directory = request.source { true } else { false } }

  private mutating func add(_ line: String) throws {
    text += line
    if text.utf8.count > 64 << 10 { try flush() }
  }

  mutating func flush() throws {
    try print(text)
    text = ""
  }
}

/// A digest that can be kept in a value that is copied.
final class TreeDigest {
  private var state: StreamDigest

  init(_ algorithm: DigestAlgorithm) { state = StreamDigest(algorithm) }

  func update(_ bytes: RawSpan) { state.update(bytes) }

  /// The digest of everything so far.
  func finish() -> ChunkID { state.copy().finish() }
}

/// The digest of a tree, an archive, or what lies at a path in one, as casync's `digest` prints it.
public struct TreeDigestRequest: Sendable {
  public var source: TreeSource
  public var subtree: String?

  public init(_ source: TreeSource, subtree: String? = nil) {
    self.source = source
    self.subtree = subtree
  }

  /// - Returns: of a directory the digest of its records, of a file that of its content. Blocks.
  /// - Throws: as `ListRequest.run`.
  public func run(_ progress: Progress) throws -> ChunkID {
    var visitor = Digesting()
    try TreeWalk.run(source, subtree: subtree, &visitor, progress)
    guard let digest = visitor.content ?? visitor.records, visitor.isFileOrDirectory else {
      throw JobError(
        .badRequest, "Path \(subtree ?? ".") does not refer to a file or directory: No such file or directory"
      )
    }
    return digest.finish()
  }

  private struct Digesting: TreeVisitor {
    var records: TreeDigest?
    var content: TreeDigest?
    var isFileOrDirectory = true

    mutating func records(_ bytes: RawSpan, _ features: FeatureFlags) {
      if records == nil { records = TreeDigest(features.digest) }
      // Of a file only its content counts.
      if content == nil { records?.update(bytes) }
    }

    mutating func enter(_ item: TreeItem) {
      guard item.depth == 0 else { return }
      switch item.node.content {
      case .regular: content = TreeDigest(item.node.features.digest)
      case .directory: break
      default: isFileOrDirectory = false
      }
    }

    mutating func content(_ bytes: RawSpan) { content?.update(bytes) }
  }
}
