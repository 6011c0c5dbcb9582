public import CasyncFormat
package import CasyncIO
import Synchronization

/// Makes a directory tree of the nodes of an archive.
///
///     nodes in order → directories (calling thread) → batches of small files → workers: temporary name,
///     content, metadata, final name → the directory's own metadata, by whoever was last in it
///
/// Everything is anchored to open directories and made of single names, so that neither a name nor a link
/// leads out of the target. A file gets its name only when it is whole. Large files are written on the
/// calling thread, which is the only one that may use the extractor.
package final class TreeExtractor {
  /// Gets a regular file whose content is whole, where in the archive that starts, and its size.
  package typealias Written = @Sendable (_ file: File, _ contentOffset: UInt64, _ size: UInt64) throws -> Void

  private struct Level {
    let directory: OpenDirectory
    /// `nil` for a directory that is not a node of the archive: what holds a subtree.
    let node: CatarNode?
    var names: [[UInt8]] = []
    var attributes: UInt32?
  }

  /// What was entered and is no directory.
  private enum Current {
    /// It is in the batch, where its content is collected.
    case small
    case large(LeafMaker.Leaf)
  }

  /// A batch is handed out when it holds so many nodes, or so many bytes.
  private static let batchCount = 32
  private static let batchLength = 256 << 10
  /// Larger files are written by the calling thread.
  private static let smallFile: UInt64 = 128 << 10
  /// What may be under way, which bounds the memory and the open directories.
  private static let jobLimit = 8

  private let options: ExtractOptions
  private let pool: WorkerPool<Void>
  private let maker: LeafMaker
  private let buffers = BufferPool(bufferLength: batchLength, capacity: jobLimit + 1)
  private var levels: [Level]
  private var current: Current?
  private var batch: Batch?
  private var jobs = Fifo<Job<Void>>()
  /// The node entered last is of a type that is not wanted.
  private var isSkipping = false

  /// Small nodes that one worker makes, and the content of them all.
  private struct Batch: Sendable {
    let lease: BufferPool.Lease
    var filled = 0
    var nodes: [(leaf: LeafMaker.Wanted, range: Range<Int>)] = []
  }

  /// Runs `body` with an extractor; returns when all that it was told of is done.
  /// - Parameters:
  ///   - directory: what the archive's top directory becomes, or what gets a node of another path.
  ///   - written: called for each regular file, on any thread, when its content is whole and it has no name.
  package static func extract<Result>(
    into directory: File, _ options: ExtractOptions, workers: Int? = nil,
    written: @escaping Written = { _, _, _ in }, _ body: (TreeExtractor) throws -> Result
  ) throws -> Result {
    let count = workers ?? min(8, WorkerPool<Void>.processorCount)
    return try WorkerPool<Void>.with(count: count, context: {}) { pool in
      let extractor = try TreeExtractor(into: directory, options, written, pool)
      let result = try body(extractor)
      try extractor.finish()
      return result
    }
  }

  private init(
    into directory: File, _ options: ExtractOptions, _ written: @escaping Written, _ pool: WorkerPool<Void>
  ) throws {
    self.options = options
    self.pool = pool
    maker = try LeafMaker(options, target: directory, written)
    levels = [Level(directory: OpenDirectory(directory, in: nil, isNew: false), node: nil)]
  }

  /// Zeros that were left out as holes.
  package var holeBytes: UInt64 { maker.holeBytes.load(ordering: .relaxed) }

  /// Files that became links to their twins.
  package var linkedFiles: Int { maker.linkedFiles.load(ordering: .relaxed) }

  // MARK: Nodes

  /// A node begins.
  /// - Parameters:
  ///   - name: `nil` for the top directory of an archive, which is the target itself.
  ///   - offset: where in the archive its content starts.
  ///   - isCopy: its content is that of a file, which `copy` names before it ends.
  package func enter(
    _ name: [UInt8]?, _ node: CatarNode, contentOffset offset: UInt64, isCopy: Bool = false
  ) throws {
    guard let name else {
      let target = levels[0].directory
      if options.undoImmutable { try maker.changes.allow(target.file) }
      let directory = OpenDirectory(target.file, in: target, isNew: false)
      return levels.append(Level(directory: directory, node: node))
    }
    levels[levels.count - 1].names.append(name)
    let parent = levels[levels.count - 1].directory
    isSkipping = !maker.restorer.makes(node)
    if isSkipping { return }
    switch node.content {
    case .directory:
      let directory = try openDirectory(name, node, in: parent)
      let attributes = try maker.restorer.created(node, directory.file)
      levels.append(Level(directory: directory, node: node, attributes: attributes))
    case .regular(let size) where size > Self.smallFile && !isCopy:
      parent.retain()
      let wanted = LeafMaker.Wanted(node: node, name: name, parent: parent, contentOffset: offset)
      current = .large(try maker.create(wanted))
    case .regular(let size):
      try collect(name, node, isCopy ? 0 : Int(size), in: parent, offset)
    default: try collect(name, node, 0, in: parent, offset)
    }
  }

  /// The node entered last and not left ends.
  /// - Parameter twin: a file elsewhere that is the same, of which a link may be made.
  package func leave(twin: Twin? = nil) throws {
    if isSkipping {
      isSkipping = false
      return
    }
    if let current {
      self.current = nil
      guard case .large(var large) = current else {
        if let twin, let last = batch?.nodes.indices.last { batch?.nodes[last].leaf.twin = twin }
        return
      }
      large.wanted.twin = twin
      let (maker, leaf) = (maker, large)
      return try submit {
        try maker.finish(leaf)
        try maker.release(leaf.wanted.parent)
      }
    }
    guard levels.count > 1, let level = levels.popLast() else { return }
    level.directory.end(
      OpenDirectory.Ending(node: level.node, names: level.names, attributes: level.attributes))
    try maker.release(level.directory)
  }

  /// Waits until all is done that was entered and left.
  private func finish() throws {
    try handOut()
    while let job = jobs.popFirst() { try job.wait() }
  }

  /// The file entered last has the content of `file`.
  package func copy(from file: File) {
    guard let last = batch?.nodes.indices.last, !isSkipping else { return }
    batch?.nodes[last].leaf.source = file
  }

  /// Makes a name in the present directory a link to a file that was entered before.
  /// - Parameter path: the file's, from the top directory down.
  package func link(_ name: [UInt8], to path: [UInt8]) throws {
    try finish()
    levels[levels.count - 1].names.append(name)
    try maker.link(name, in: levels[levels.count - 1].directory, to: path, of: levels[0].directory.file)
  }

  private func openDirectory(_ name: [UInt8], _ node: CatarNode, in parent: OpenDirectory) throws
    -> OpenDirectory
  {
    let present = parent.isNew ? nil : try parent.file.nodeStatus(name)
    switch present?.isDirectory {
    case nil: try maker.makeDirectory(name, node, in: parent.file)
    case true?: break
    case false?:
      let temporary = maker.temporaryName(name)
      try maker.makeDirectory(temporary, node, in: parent.file)
      try maker.changes.retrying(name, in: parent.file) {
        try parent.file.exchange(node: temporary, with: name)
      }
      try maker.changes.remove(temporary, in: parent.file)
    }
    let directory = try parent.file.open(node: name, .directory)
    if options.undoImmutable { try maker.changes.allow(directory) }
    return OpenDirectory(directory, in: parent, isNew: present?.isDirectory != true)
  }

  // MARK: Small nodes

  private func collect(
    _ name: [UInt8], _ node: CatarNode, _ size: Int, in parent: OpenDirectory, _ offset: UInt64
  ) throws {
    if let batch, batch.nodes.count == Self.batchCount || batch.filled + size > Self.batchLength {
      try handOut()
    }
    var batch = batch ?? Batch(lease: buffers.waitForOne())
    parent.retain()
    let wanted = LeafMaker.Wanted(node: node, name: name, parent: parent, contentOffset: offset)
    batch.nodes.append((wanted, batch.filled..<batch.filled + size))
    self.batch = batch
    current = .small
  }

  private func handOut() throws {
    guard let batch else { return }
    self.batch = nil
    let maker = maker
    try submit {
      let buffer = batch.lease.buffer
      for (wanted, range) in batch.nodes {
        let leaf = try maker.create(wanted)
        if let source = wanted.source { try maker.copy(source, to: leaf) }
        try maker.write(buffer.bytes.extracting(range), to: leaf, at: 0)
        try maker.finish(leaf)
        try maker.release(wanted.parent)
      }
    }
  }

  /// Has a worker run `body`; waits while too much is under way.
  /// - Throws: what an earlier one failed with.
  private func submit(_ body: @escaping @Sendable () throws -> Void) throws {
    while let job = jobs.first, jobs.count >= Self.jobLimit || job.isFinished {
      _ = jobs.popFirst()
      try job.wait()
    }
    jobs.append(pool.submit { _ in try body() })
  }

  // MARK: Content

  /// The next bytes of the regular file that was entered last.
  package func content(_ bytes: RawSpan) throws {
    switch current {
    case nil: break
    case .small:
      guard let filled = batch?.filled, let lease = batch?.lease else { return }
      lease.buffer.copy(bytes, to: filled)
      batch?.filled += bytes.byteCount
    case .large(var leaf):
      try maker.write(bytes, to: leaf, at: leaf.offset)
      leaf.offset += UInt64(bytes.byteCount)
      current = .large(leaf)
    }
  }
}

/// A file that is like one of an archive in everything.
package struct Twin: Sendable {
  package let directory: File
  /// From the directory on.
  package let path: [UInt8]
  package let features: FeatureFlags
  package let shift: UIDShift

  package init(directory: File, path: [UInt8], features: FeatureFlags, shift: UIDShift) {
    self.directory = directory
    self.path = path
    self.features = features
    self.shift = shift
  }
}

/// How an archive is extracted.
public struct ExtractOptions: Sendable {
  /// What of the metadata is restored.
  public var mask: FeatureFlags = .allFeatures
  public var shift: UIDShift = .none
  /// Remove what the archive does not have.
  public var delete = true
  /// Leave zeros out as holes.
  public var punchHoles = true
  /// Clear chattr's `i` and `a` on what is in the way.
  public var undoImmutable = false

  public init() {}
}
