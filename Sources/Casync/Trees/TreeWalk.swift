import CasyncArchive
import CasyncFormat

/// A node on the way through an archive.
struct TreeItem {
  /// From the top directory down, as bytes; `.` is the top directory itself.
  let path: [UInt8]
  /// In its directory; `nil` for the top directory.
  let name: [UInt8]?
  /// How deep it lies below what was asked for.
  let depth: Int
  let node: CatarNode
  /// Where its ENTRY starts in the archive.
  let offset: UInt64
  /// Where what follows its metadata starts: of a file its content.
  let contentOffset: UInt64
}

/// What is done with the nodes of an archive, in their order.
protocol TreeVisitor {
  /// The records of a node from ENTRY on, and of all below it.
  mutating func records(_ bytes: RawSpan, _ features: FeatureFlags) throws
  mutating func enter(_ item: TreeItem) throws
  /// A piece of the content of the file entered last.
  mutating func content(_ bytes: RawSpan) throws
  mutating func leave(_ item: TreeItem) throws
}

extension TreeVisitor {
  mutating func records(_ bytes: RawSpan, _ features: FeatureFlags) {}
  mutating func content(_ bytes: RawSpan) {}
  mutating func leave(_ item: TreeItem) {}
}

/// Leads a visitor through an archive, or the part below one path.
struct TreeWalk {
  /// Components of the path that is wanted; none for everything.
  private let wanted: [[UInt8]]
  private var names: [[UInt8]] = []
  private var open: [TreeItem?] = []
  private var entryOffset: UInt64 = 0
  private var wasFound = false
  private var isDone = false

  /// - Parameter subtree: a path in the archive; slashes that lead or repeat do not matter.
  init(subtree: String? = nil) {
    wanted = (subtree ?? "").utf8.split(separator: UInt8(ascii: "/")).map(Array.init)
  }

  /// Reads `source` and calls `visitor` for each node wanted. Blocks.
  /// - Throws: `JobError` (badRequest) when the path is not there.
  static func run(
    _ source: TreeSource, subtree: String?, _ visitor: inout some TreeVisitor, _ progress: Progress
  ) throws {
    let index = try source.index()
    try run(source.path, index, subtree: subtree, &visitor) { try source.forEach(index, progress, $0) }
  }

  /// The same of an archive that `source` passes on.
  /// - Parameters:
  ///   - path: what messages call it.
  ///   - index: the one that describes it, if there is one.
  static func run(
    _ path: String, _ index: Index?, subtree: String?, _ visitor: inout some TreeVisitor,
    from source: (_ body: (RawSpan) throws -> Void) throws -> Void
  ) throws {
    var walk = TreeWalk(subtree: subtree)
    var reader = ArchiveReader()
    do {
      try source { bytes in
        try reader.push(bytes) { event, bytes, position in
          if let index, index.flags != position.features {
            throw JobError(.damaged, "\(path): the index and its archive have different features")
          }
          try walk.handle(event, bytes, position, &visitor)
          if walk.isDone { throw Finished() }
        }
        if reader.decoder.isAtEnd { throw Finished() }
      }
      try reader.finish()
    } catch is Finished {
      // What follows is not wanted.
    } catch let error as CatarError {
      throw JobError(.damaged, "\(path): \(error)")
    }
    guard walk.wasFound else {
      throw JobError(.badRequest, "Seek path not available in archive.")
    }
  }

  private struct Finished: Error {}

  private mutating func handle(
    _ event: CatarDecoder.Event?, _ bytes: RawSpan, _ position: ArchiveReader.Position,
    _ visitor: inout some TreeVisitor
  ) throws {
    if case .name(let name) = event {
      // The FILENAME belongs to the directory, if that is wanted.
      if isWanted { try visitor.records(bytes, position.features) }
      names.append(name)
      entryOffset = position.offset
      return
    }
    if isWanted { try visitor.records(bytes, position.features) }
    switch event {
    case .node(let node): try enter(node, position.offset, &visitor)
    case .payload: if isWanted { try visitor.content(bytes) }
    case .end: try leave(&visitor)
    default: break
    }
  }

  /// Whether the node being read is what is wanted, or below it.
  private var isWanted: Bool { names.starts(with: wanted) }

  private mutating func enter(
    _ node: CatarNode, _ contentOffset: UInt64, _ visitor: inout some TreeVisitor
  ) throws {
    guard isWanted else { return open.append(nil) }
    wasFound = true
    let path = names.isEmpty ? [UInt8(ascii: ".")] : Array(names.joined(separator: [UInt8(ascii: "/")]))
    let item = TreeItem(
      path: path, name: names.last, depth: names.count - wanted.count, node: node, offset: entryOffset,
      contentOffset: contentOffset)
    open.append(item)
    try visitor.enter(item)
  }

  private mutating func leave(_ visitor: inout some TreeVisitor) throws {
    if let item = open.popLast() ?? nil {
      try visitor.leave(item)
      if item.depth == 0 { isDone = true }
    }
    _ = names.popLast()
  }
}
