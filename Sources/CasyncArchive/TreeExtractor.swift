public import CasyncFormat
package import CasyncIO

/// Makes a directory tree of the nodes of an archive.
///
/// Everything is anchored to open directories and made of single names, so that neither a name nor a link
/// leads out of the target. A file gets its name only when it is whole. Not to be shared between threads.
package final class TreeExtractor {
  private struct Level {
    let directory: File
    /// `nil` for a directory that is not a node of the archive: what holds a subtree.
    let node: CatarNode?
    /// Names that the archive has in it, ascending.
    var names: [[UInt8]] = []
  }

  /// A node that is no directory, under way.
  private struct Leaf {
    let node: CatarNode
    let name: [UInt8]
    let temporary: [UInt8]
    let file: File
    /// Bytes of its content so far.
    var offset: UInt64 = 0
  }

  private let options: ExtractOptions
  private let restorer: NodeRestorer
  private var levels: [Level]
  private var leaf: Leaf?
  /// The node entered last is of a type that is not wanted.
  private var isSkipping = false
  /// Zeros that were left out as holes.
  package private(set) var holeBytes: UInt64 = 0

  /// - Parameter directory: what the archive's top directory becomes, or what gets a node of another path.
  package init(into directory: File, _ options: ExtractOptions) throws {
    self.options = options
    let magic = FileSystemKind(magic: try directory.fileSystemMagic())
    restorer = NodeRestorer(
      mask: options.mask, shift: options.shift, isFAT: magic == .fat || magic == .fuse)
    levels = [Level(directory: directory, node: nil)]
  }

  deinit {
    // Reached with a file under way only after a failure, whose error is the one to report.
    if let leaf { try? levels.last?.directory.remove(node: leaf.temporary, isDirectory: false) }
  }

  // MARK: Nodes

  /// A node begins.
  /// - Parameter name: `nil` for the top directory of an archive, which is the target itself.
  package func enter(_ name: [UInt8]?, _ node: CatarNode) throws {
    guard let name else {
      let target = levels[0].directory
      if options.undoImmutable { try allowChanges(target) }
      return levels.append(Level(directory: target, node: node))
    }
    levels[levels.count - 1].names.append(name)
    let parent = levels[levels.count - 1].directory
    isSkipping = !restorer.makes(node)
    if isSkipping { return }
    if node.content == .directory {
      let directory = try openDirectory(name, in: parent)
      try restorer.created(node, directory)
      levels.append(Level(directory: directory, node: node))
    } else {
      try make(node, name, in: parent)
    }
  }

  /// The node entered last and not left ends.
  package func leave() throws {
    if isSkipping {
      isSkipping = false
      return
    }
    if let leaf {
      try finish(leaf)
      self.leaf = nil
      return
    }
    guard let level = levels.popLast(), let node = level.node else { return }
    if options.delete { try removeUnlisted(level) }
    try restorer.complete(node, level.directory)
    try restorer.guardNode(node, level.directory)
  }

  private func openDirectory(_ name: [UInt8], in parent: File) throws -> File {
    switch try parent.nodeStatus(name)?.isDirectory {
    case nil: try parent.makeDirectory(node: name, mode: 0o700)
    case true?: break
    case false?:
      let temporary = Self.temporaryName(name)
      try parent.makeDirectory(node: temporary, mode: 0o700)
      try retryingChanges(name, in: parent) { try parent.exchange(node: temporary, with: name) }
      try remove(temporary, in: parent)
    }
    let directory = try parent.open(node: name, .directory)
    if options.undoImmutable { try allowChanges(directory) }
    return directory
  }

  private func make(_ node: CatarNode, _ name: [UInt8], in parent: File) throws {
    let temporary = Self.temporaryName(name)
    let mode = restorer.creationMode(node)
    switch node.content {
    case .regular:
      let file = try parent.open(node: temporary, [.readWrite, .create, .exclusive], mode: mode)
      leaf = Leaf(node: node, name: name, temporary: temporary, file: file)
      return try restorer.created(node, file)
    case .symlink(let target): try parent.makeSymlink(node: temporary, target: target)
    case .blockDevice(let major, let minor), .characterDevice(let major, let minor):
      try parent.makeNode(temporary, mode: node.content.type | mode, major: major, minor: minor)
    case .fifo, .socket, .directory: try parent.makeNode(temporary, mode: node.content.type | mode)
    }
    do {
      let file = try parent.open(node: temporary, .reference)
      leaf = Leaf(node: node, name: name, temporary: temporary, file: file)
    } catch {
      // The error that kept it from being used is the one to report.
      try? parent.remove(node: temporary, isDirectory: false)
      throw error
    }
  }

  private func finish(_ leaf: Leaf) throws {
    guard let parent = levels.last?.directory else { return }
    if case .regular(let size) = leaf.node.content { try leaf.file.setSize(size) }
    try restorer.complete(leaf.node, leaf.file)
    try place(leaf.temporary, leaf.name, leaf.node, in: parent)
    try restorer.guardNode(leaf.node, leaf.file)
  }

  /// Renames; what is of another kind is exchanged and then removed.
  private func place(_ temporary: [UInt8], _ name: [UInt8], _ node: CatarNode, in parent: File) throws {
    let present = try parent.nodeStatus(name)
    try retryingChanges(name, in: parent) {
      if let present, present.mode & CatarNode.Content.typeMask != node.content.type {
        try parent.exchange(node: temporary, with: name)
        try remove(temporary, in: parent)
      } else {
        try parent.rename(node: temporary, to: name)
      }
    }
  }

  /// `.#`, the name, 16 random digits; of a long name only so much that it fits.
  private static func temporaryName(_ name: [UInt8]) -> [UInt8] {
    let random = String(UInt64.random(in: .min ... .max), radix: 16)
    let digits = String(repeating: "0", count: 16 - random.count) + random
    return Array(".#".utf8) + name.prefix(255 - 18) + Array(digits.utf8)
  }

  // MARK: Content

  /// The next bytes of the regular file that was entered last.
  package func content(_ bytes: RawSpan) throws {
    guard var leaf else { return }
    var start = 0
    var end = 0
    while end < bytes.byteCount {
      let position = leaf.offset + UInt64(end)
      let count = min(4096 - Int(position % 4096), bytes.byteCount - end)
      if options.punchHoles, count == 4096, bytes.extracting(end..<end + count).isZero {
        try leaf.file.write(bytes.extracting(start..<end), at: leaf.offset + UInt64(start))
        start = end + count
        holeBytes += UInt64(count)
      }
      end += count
    }
    try leaf.file.write(bytes.extracting(start..<end), at: leaf.offset + UInt64(start))
    leaf.offset += UInt64(bytes.byteCount)
    self.leaf = leaf
  }

  // MARK: Removing

  private func removeUnlisted(_ level: Level) throws {
    var listed = level.names[...]
    for name in try level.directory.nodeNames() {
      while let first = listed.first, first.lexicographicallyPrecedes(name) { listed.removeFirst() }
      if listed.first != name { try remove(name, in: level.directory) }
    }
  }

  /// Removes a node and all below it.
  private func remove(_ name: [UInt8], in parent: File) throws {
    guard let status = try parent.nodeStatus(name) else { return }
    if status.isDirectory {
      let directory = try parent.open(node: name, .directory)
      if options.undoImmutable { try allowChanges(directory) }
      for child in try directory.nodeNames() { try remove(child, in: directory) }
    }
    try retryingChanges(name, in: parent) { try parent.remove(node: name, isDirectory: status.isDirectory) }
  }

  /// With `undoImmutable` what is not permitted is tried again when `name` may be changed.
  private func retryingChanges(_ name: [UInt8], in parent: File, _ change: () throws -> Void) throws {
    do {
      try change()
    } catch let error as SystemError where error.isNotPermitted && options.undoImmutable {
      guard let status = try parent.nodeStatus(name), status.isRegular || status.isDirectory else {
        throw error
      }
      try allowChanges(parent.open(node: name, status.isDirectory ? .directory : .nonBlocking))
      try change()
    }
  }

  /// Clears what chattr(1) sets against changes.
  private func allowChanges(_ file: File) throws {
    guard let present = try file.attributes(), present & AttributeMap.guarding != 0 else { return }
    try file.setAttributes(present & ~AttributeMap.guarding)
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

extension RawSpan {
  /// Whether all bytes are zero.
  fileprivate var isZero: Bool {
    var sum: UInt64 = 0
    var offset = 0
    while let word = word(at: offset) {
      sum |= word
      offset += 8
      if sum != 0 { return false }
    }
    while let byte = byte(at: offset) {
      sum |= UInt64(byte)
      offset += 1
    }
    return sum == 0
  }
}
