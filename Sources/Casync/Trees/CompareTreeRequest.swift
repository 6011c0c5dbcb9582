public import CasyncArchive
public import CasyncFormat
import CasyncIO

/// Compare a directory with an archive, or with the archive that an index describes.
public struct CompareTreeRequest: Sendable {
  /// What the directory is to be like.
  public var source: TreeSource
  public var directory: String
  /// What of the metadata is compared.
  public var mask: FeatureFlags = .allFeatures
  public var shift: UIDShift = .none

  public init(_ source: TreeSource, directory: String) {
    self.source = source
    self.directory = directory
  }

  /// Passes on what differs, in the order of the archive. Blocks.
  /// - Returns: how many nodes were compared, and how many differences found.
  /// - Throws: `JobError`, `ArchiveError`, `SystemError`, `StoreError`, `CancellationError`.
  public func run(
    _ progress: Progress, report: (TreeDifference) throws -> Void
  ) throws -> (nodes: Int, differences: Int) {
    try withoutActuallyEscaping(report) { report in
      var visitor = Comparing(self, progress, report)
      // Whoever fails, the thread that reads the directory is gone before this returns.
      defer { visitor.close() }
      try TreeWalk.run(source, subtree: nil, &visitor, progress)
      try visitor.finish()
      return (visitor.nodes, visitor.differences)
    }
  }
}

/// One thing in which a directory differs from an archive.
public struct TreeDifference: Sendable {
  /// From the top directory down, as bytes; `.` is the top directory itself.
  public let path: [UInt8]
  /// What differs: `type`, `content`, `mode`, …, or `node` for what is there on one side only.
  public let what: String
  /// In the archive, and in the directory.
  public let expected: String
  public let found: String

  /// The path with unusual bytes as `\ooo`.
  public var escapedPath: String { NodeText.escaped(path) }
}

/// A node of one side, and the digest of its content.
struct ComparedNode: Sendable {
  let path: [UInt8]
  let node: CatarNode
  let content: ChunkID?

  /// Its place in the order of archives: by names from the top down.
  func precedes(_ other: ComparedNode) -> Bool {
    let slash = UInt8(ascii: "/")
    // The top directory comes first, whatever its name.
    if path == [0x2e] { return other.path != [0x2e] }
    if other.path == [0x2e] { return false }
    return path.split(separator: slash).lexicographicallyPrecedes(other.path.split(separator: slash)) {
      $0.lexicographicallyPrecedes($1)
    }
  }
}

/// Collects nodes with the digests of their content and hands them on, in the order of the archive.
struct NodeDigests {
  private var file: (item: TreeItem, digest: TreeDigest)?

  mutating func enter(_ item: TreeItem, _ hand: (ComparedNode) throws -> Void) throws {
    if case .regular = item.node.content {
      file = (item, TreeDigest(item.node.features.digest))
    } else {
      try hand(ComparedNode(path: item.path, node: item.node, content: nil))
    }
  }

  mutating func content(_ bytes: RawSpan) { file?.digest.update(bytes) }

  mutating func leave(_ hand: (ComparedNode) throws -> Void) throws {
    guard let (item, digest) = file else { return }
    file = nil
    try hand(ComparedNode(path: item.path, node: item.node, content: digest.finish()))
  }
}

/// The nodes of a directory, read by a thread of its own that is at most some hundred ahead.
private final class DirectoryNodes: Sendable {
  private struct State {
    var nodes = Fifo<ComparedNode>()
    var end: Result<Void, any Error>?
    var isClosed = false
  }

  private let state = Monitor(State())
  private static let limit = 256

  private struct Passing: TreeVisitor {
    let nodes: DirectoryNodes
    var digests = NodeDigests()
    mutating func enter(_ item: TreeItem) throws { try digests.enter(item, nodes.add) }
    mutating func content(_ bytes: RawSpan) { digests.content(bytes) }
    mutating func leave(_ item: TreeItem) throws { try digests.leave(nodes.add) }
  }

  func read(_ source: TreeSource, _ cancellation: Cancellation) {
    let result = Result {
      var visitor = Passing(nodes: self)
      // Progress is the other side's.
      try TreeWalk.run(source, subtree: nil, &visitor, Progress(cancellation: cancellation))
    }
    state.withLock { $0.end = result }
  }

  private func add(_ node: ComparedNode) throws {
    let isWanted = state.wait { state -> Bool? in
      if state.isClosed { return false }
      guard state.nodes.count < Self.limit else { return nil }
      state.nodes.append(node)
      return true
    }
    if !isWanted { throw CancellationError() }
  }

  /// The node that comes next; `nil` at the end. Blocks.
  func first() throws -> ComparedNode? {
    try state.wait { state -> Result<ComparedNode?, any Error>? in
      if let node = state.nodes.first { return .success(node) }
      return state.end.map { $0.map { nil } }
    }.get()
  }

  func removeFirst() { state.withLock { _ = $0.nodes.popFirst() } }

  func close() { state.withLock { $0.isClosed = true } }
}

/// Goes through the archive and the directory side by side.
private struct Comparing: TreeVisitor {
  private let request: CompareTreeRequest
  private let progress: Progress
  private let report: (TreeDifference) throws -> Void
  private let directory = DirectoryNodes()
  private var thread: Threads?
  private var digests = NodeDigests()
  private(set) var nodes = 0
  private(set) var differences = 0
  /// What is on one side only: nothing is said of what is below it.
  private var oneSided: [UInt8]?

  init(
    _ request: CompareTreeRequest, _ progress: Progress, _ report: @escaping (TreeDifference) throws -> Void
  ) {
    self.request = request
    self.progress = progress
    self.report = report
  }

  mutating func enter(_ item: TreeItem) throws {
    if thread == nil { start(item.node.features) }
    var waiting = [ComparedNode]()
    try digests.enter(item) { waiting.append($0) }
    for node in waiting { try compare(node) }
  }

  mutating func content(_ bytes: RawSpan) { digests.content(bytes) }

  mutating func leave(_ item: TreeItem) throws {
    var waiting = [ComparedNode]()
    try digests.leave { waiting.append($0) }
    for node in waiting { try compare(node) }
  }

  /// The features of the archive are known: the directory is archived by them in thought.
  private mutating func start(_ features: FeatureFlags) {
    let wanted = features.restored(by: request.mask).union(features.intersection(.archiveWide))
    let source = TreeSource.directory(
      path: request.directory, options: TreeOptions(features: wanted, shift: request.shift))
    let (directory, cancellation) = (directory, progress.cancellation)
    thread = Threads(count: 1) { directory.read(source, cancellation) }
  }

  private mutating func compare(_ expected: ComparedNode) throws {
    nodes += 1
    while let found = try directory.first(), found.precedes(expected) {
      directory.removeFirst()
      try addOneSided(found.path, "nothing", NodeComparison.type(found.node))
    }
    guard let found = try directory.first(), found.path == expected.path else {
      return try addOneSided(expected.path, NodeComparison.type(expected.node), "nothing")
    }
    directory.removeFirst()
    for (what, wanted, present) in NodeComparison.differences(expected, found) {
      try add(expected.path, what, wanted, present)
    }
    if NodeComparison.type(expected.node) != NodeComparison.type(found.node) { oneSided = expected.path }
  }

  /// A node is there on one side; so is all that is below it.
  private mutating func addOneSided(_ path: [UInt8], _ expected: String, _ found: String) throws {
    if let above = oneSided, path.starts(with: above + [UInt8(ascii: "/")]) { return }
    try add(path, "node", expected, found)
    oneSided = path
  }

  private mutating func add(_ path: [UInt8], _ what: String, _ expected: String, _ found: String) throws {
    differences += 1
    try report(TreeDifference(path: path, what: what, expected: expected, found: found))
  }

  /// The archive is at its end.
  mutating func finish() throws {
    while let found = try directory.first() {
      directory.removeFirst()
      try addOneSided(found.path, "nothing", NodeComparison.type(found.node))
    }
  }

  func close() {
    directory.close()
    thread?.join()
  }
}
