import CasyncFormat
import CasyncIO
import Synchronization

/// Makes what is no directory, and finishes directories; on any thread.
final class LeafMaker: Sendable {
  /// A node that is to be made.
  struct Wanted: Sendable {
    let node: CatarNode
    let name: [UInt8]
    let parent: OpenDirectory
    /// Where in the archive its content starts.
    let contentOffset: UInt64
    /// What its content is copied from.
    var source: File?
    /// What it may become a link to.
    var twin: Twin?
  }

  /// A node under its temporary name.
  struct Leaf: Sendable {
    var wanted: Wanted
    let temporary: TemporaryName
    let file: File
    /// Attributes of chattr(1) that it has.
    let attributes: UInt32?
    /// Bytes of its content so far.
    var offset: UInt64 = 0
  }

  let restorer: NodeRestorer
  let changes: GuardedChanges
  private let options: ExtractOptions
  private let written: TreeExtractor.Written
  let holeBytes = Atomic<UInt64>(0)
  let linkedFiles = Atomic(0)
  /// Whether blocks can be shared with what is copied; until it was tried, yes.
  private let clones = Atomic(true)
  /// Makes temporary names.
  private let nameCount = Atomic(UInt64.random(in: .min ... .max))

  init(_ options: ExtractOptions, target: File, _ written: @escaping TreeExtractor.Written) throws {
    self.options = options
    self.written = written
    let kind = FileSystemKind(magic: try target.fileSystemMagic())
    restorer = NodeRestorer(
      mask: options.mask, shift: options.shift, isFAT: kind == .fat || kind == .fuse)
    changes = GuardedChanges(undoImmutable: options.undoImmutable)
  }

  /// `.#`, the name, 16 digits that nobody else has; of a long name only so much that it fits.
  func temporaryName(_ name: [UInt8]) -> [UInt8] {
    // An odd factor keeps numbers apart and names that follow each other from looking alike.
    let number = nameCount.wrappingAdd(1, ordering: .relaxed).newValue &* 0x9e37_79b9_7f4a_7c15
    let digits = String(number, radix: 16)
    return Array(".#".utf8) + name.prefix(255 - 18) + Array(repeating: 0x30, count: 16 - digits.count)
      + Array(digits.utf8)
  }

  /// Makes a directory, or what the archive calls a subvolume where the file system has such.
  func makeDirectory(_ name: [UInt8], _ node: CatarNode, in parent: File) throws {
    if restorer.isSubvolume(node), try parent.makeSubvolume(node: name) { return }
    try parent.makeDirectory(node: name, mode: 0o700)
  }

  // MARK: Leaves

  /// Makes a node under a temporary name.
  func create(_ wanted: Wanted) throws -> Leaf {
    let name = temporaryName(wanted.name)
    let mode = restorer.creationMode(wanted.node)
    let parent = wanted.parent.file
    if case .regular = wanted.node.content {
      let file = try parent.open(node: name, [.readWrite, .create, .exclusive], mode: mode)
      let temporary = TemporaryName(name, in: parent)
      let attributes = try restorer.created(wanted.node, file)
      return Leaf(wanted: wanted, temporary: temporary, file: file, attributes: attributes)
    }
    switch wanted.node.content {
    case .symlink(let target): try parent.makeSymlink(node: name, target: target)
    case .blockDevice(let major, let minor), .characterDevice(let major, let minor):
      try parent.makeNode(name, mode: wanted.node.content.type | mode, major: major, minor: minor)
    default: try parent.makeNode(name, mode: wanted.node.content.type | mode)
    }
    let temporary = TemporaryName(name, in: parent)
    let file = try parent.open(node: name, .reference)
    return Leaf(wanted: wanted, temporary: temporary, file: file, attributes: nil)
  }

  /// Writes content; blocks of zeros are left out as holes.
  func write(_ bytes: RawSpan, to leaf: Leaf, at offset: UInt64) throws {
    guard bytes.byteCount > 0 else { return }
    let file = leaf.file
    guard options.punchHoles else { return try file.write(bytes, at: offset) }
    var start = 0
    var end = 0
    while end < bytes.byteCount {
      let count = min(4096 - Int((offset + UInt64(end)) % 4096), bytes.byteCount - end)
      if count == 4096, bytes.extracting(end..<end + count).isZero {
        try file.write(bytes.extracting(start..<end), at: offset + UInt64(start))
        start = end + count
        holeBytes.add(UInt64(count), ordering: .relaxed)
      }
      end += count
    }
    try file.write(bytes.extracting(start..<end), at: offset + UInt64(start))
  }

  /// Sets the metadata and gives the node its name.
  func finish(_ leaf: Leaf) throws {
    let node = leaf.wanted.node
    let status = try leaf.file.nodeStatus()
    if case .regular(let size) = node.content {
      if status.size < size { try leaf.file.setSize(size) }
      try written(leaf.file, leaf.wanted.contentOffset, size)
      if let twin = leaf.wanted.twin, try become(twin, leaf) { return }
    }
    try restorer.complete(node, leaf.file, status)
    try place(leaf.temporary.name, leaf.wanted.name, node.content.type, in: leaf.wanted.parent)
    leaf.temporary.isGone()
    try restorer.guardNode(node, leaf.file, leaf.attributes)
  }

  // MARK: Copies and links

  /// Copies content, sharing blocks where the file system can; holes stay holes.
  func copy(_ source: File, to leaf: Leaf) throws {
    guard case .regular(let size) = leaf.wanted.node.content, size > 0 else { return }
    if try !clone(source, to: leaf.file) {
      var rest = 0..<size
      while let data = try source.nextData(in: rest), !data.isEmpty {
        try leaf.file.copy(data, of: source)
        rest = data.upperBound..<size
      }
    }
    // What grew was whole when it was looked at.
    let status = try source.nodeStatus()
    guard status.size >= size else { throw ArchiveError.becameShorter(source.path) }
    if try leaf.file.nodeStatus().size > size { try leaf.file.setSize(size) }
  }

  private func clone(_ source: File, to file: File) throws -> Bool {
    guard clones.load(ordering: .relaxed) else { return false }
    do {
      // A length of 0 is all of it.
      try file.clone(source, from: 0, length: 0, to: 0)
      return true
    } catch let error as SystemError where error.isUnsupported || error.isOtherFileSystem {
      clones.store(false, ordering: .relaxed)
      return false
    }
  }

  /// Makes a name a link to a file that was made before.
  /// - Parameter path: from `root` on.
  func link(_ name: [UInt8], in parent: OpenDirectory, to path: [UInt8], of root: File) throws {
    try link(name, in: parent) { try parent.file.makeLink(node: $0, to: path, of: root) }
  }

  /// - Parameter make: makes the link under a temporary name.
  private func link(
    _ name: [UInt8], in parent: OpenDirectory, _ make: (_ temporary: [UInt8]) throws -> Void
  ) throws {
    let temporary = temporaryName(name)
    try make(temporary)
    // Where the name was a link to the same file already, renaming does nothing; else nothing is there to
    // remove, or the error that kept it from its name is the one to report.
    defer { try? parent.file.remove(node: temporary, isDirectory: false) }
    try place(temporary, name, CatarNode.Content.regular(size: 0).type, in: parent)
  }

  /// Takes a link to the twin in place of a file that is whole and has no name yet, if the twin is one still.
  private func become(_ twin: Twin, _ leaf: Leaf) throws -> Bool {
    let (parent, name) = (leaf.wanted.parent, leaf.wanted.name)
    do {
      let file = try twin.directory.open(node: twin.path, .nonBlocking)
      let node = try NodeCollector(twin.features, twin.shift).regular(file)
      guard node == leaf.wanted.node, try file.hasContent(of: leaf.file) else { return false }
      try link(name, in: parent) { try parent.file.makeLink(node: $0, to: file) }
    } catch is SystemError {
      // Another file system, too many links: a copy is as good.
      return false
    }
    try parent.file.remove(node: leaf.temporary.name, isDirectory: false)
    leaf.temporary.isGone()
    linkedFiles.add(1, ordering: .relaxed)
    return true
  }

  /// Renames; what is of another kind is exchanged and then removed.
  private func place(_ temporary: [UInt8], _ name: [UInt8], _ type: UInt32, in directory: OpenDirectory)
    throws
  {
    let parent = directory.file
    if directory.isNew { return try parent.rename(node: temporary, to: name) }
    let present = try parent.nodeStatus(name)
    try changes.retrying(name, in: parent) {
      if let present, present.mode & CatarNode.Content.typeMask != type {
        try parent.exchange(node: temporary, with: name)
        try changes.remove(temporary, in: parent)
      } else {
        try parent.rename(node: temporary, to: name)
      }
    }
  }

  // MARK: Directories

  /// Something in a directory is done; when it was the last, so is the directory.
  func release(_ directory: OpenDirectory) throws {
    var next: OpenDirectory? = directory
    while let directory = next, let ending = directory.release() {
      if let node = ending.node {
        if options.delete, !directory.isNew { try removeUnlisted(ending.names, in: directory.file) }
        try restorer.complete(node, directory.file, directory.file.nodeStatus())
        try restorer.guardNode(node, directory.file, ending.attributes)
      }
      next = directory.parent
    }
  }

  private func removeUnlisted(_ names: [[UInt8]], in directory: File) throws {
    var listed = names[...]
    for name in try directory.nodeNames() {
      while let first = listed.first, first.lexicographicallyPrecedes(name) { listed.removeFirst() }
      if listed.first != name { try changes.remove(name, in: directory) }
    }
  }
}

/// A name that a node has until it is whole. Who lets go of it before that, because something failed or
/// because it never got its turn, removes the node.
final class TemporaryName: Sendable {
  let name: [UInt8]
  private let parent: File
  private let isThere = Atomic(true)

  init(_ name: [UInt8], in parent: File) {
    self.name = name
    self.parent = parent
  }

  /// The node has its own name now, or was removed.
  func isGone() { isThere.store(false, ordering: .relaxed) }

  deinit {
    // What led here is the error to report; the next run removes what is left.
    if isThere.load(ordering: .relaxed) { try? parent.remove(node: name, isDirectory: false) }
  }
}

/// Changes to what stands in the way, perhaps guarded by chattr(1).
struct GuardedChanges: Sendable {
  /// Clear chattr's `i` and `a` on what is in the way.
  let undoImmutable: Bool

  /// Removes a node and all below it.
  func remove(_ name: [UInt8], in parent: File) throws {
    guard let status = try parent.nodeStatus(name) else { return }
    if status.isDirectory {
      let directory = try parent.open(node: name, .directory)
      if undoImmutable { try allow(directory) }
      for child in try directory.nodeNames() { try remove(child, in: directory) }
    }
    try retrying(name, in: parent) { try parent.remove(node: name, isDirectory: status.isDirectory) }
  }

  /// With `undoImmutable` what is not permitted is tried again when `name` may be changed.
  func retrying(_ name: [UInt8], in parent: File, _ change: () throws -> Void) throws {
    do {
      try change()
    } catch let error as SystemError where error.isNotPermitted && undoImmutable {
      guard let status = try parent.nodeStatus(name), status.isRegular || status.isDirectory else {
        throw error
      }
      try allow(parent.open(node: name, status.isDirectory ? .directory : .nonBlocking))
      try change()
    }
  }

  /// Clears what chattr(1), or a subvolume that is read-only, sets against changes.
  func allow(_ file: File) throws {
    if file.isReadOnlySubvolume() { try file.setReadOnlySubvolume(false) }
    guard let present = try file.attributes(), present & AttributeMap.guarding != 0 else { return }
    try file.setAttributes(present & ~AttributeMap.guarding)
  }
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
