import CasyncFormat
package import CasyncIO

/// Makes an archive of a tar archive, whose files may come in any order.
///
///     tar → TarReader → nodes in memory, content in a temporary file → sorted → CatarEncoder → bytes
///
/// Not to be shared between threads.
package final class TarTree {
  /// A file or directory; several names may have one content.
  private final class Node {
    var entry: TarEntry?
    /// Where its content stands in the temporary file.
    var start: UInt64 = 0
    var size: UInt64 = 0
    var children: [[UInt8]: Node] = [:]

    var isDirectory: Bool {
      guard case .node(let content) = entry?.content else { return entry == nil }
      return content == .directory
    }
  }

  private let path: String
  private let options: TreeOptions
  private let cancellation: Cancellation
  private let collector: NodeCollector
  private let names = OwnerNames()
  private let spool: File
  private var spooled: UInt64 = 0
  private let root = Node()

  /// Reads the tar archive to its end. Blocks.
  /// - Parameters:
  ///   - path: `-` is standard input.
  ///   - directory: where content waits for its turn, in a file without a name.
  /// - Throws: `ArchiveError`, `SystemError`, `CancellationError`.
  package init(
    _ path: String, _ options: TreeOptions, spoolingIn directory: String, _ cancellation: Cancellation
  ) throws {
    self.path = path
    self.options = options
    self.cancellation = cancellation
    collector = NodeCollector(options.features, options.shift)
    spool = try FileSystem.createTemporary(in: directory, prefix: ".casync-tar-", mode: 0o600)
    try FileSystem.remove(spool.path)
    let tar = try TarReader(path)
    while let entry = try tar.next() {
      try cancellation.check()
      try add(entry, tar)
    }
  }

  private func refused(_ entry: [UInt8], _ why: String) -> ArchiveError {
    ArchiveError(.unrepresentable, "\(path): \(String(decoding: entry, as: UTF8.self)): \(why)")
  }

  /// The components of a name; slashes that lead or repeat, and dots, do not matter.
  private func components(_ name: [UInt8]) throws -> [[UInt8]] {
    let parts = name.split(separator: UInt8(ascii: "/")).map(Array.init).filter { $0 != [0x2e] }
    guard !parts.contains([0x2e, 0x2e]) else { throw refused(name, "a name with .. in it") }
    guard parts.allSatisfy({ $0.count <= 255 }) else { throw refused(name, "a name of more than 255 bytes") }
    return parts
  }

  private func add(_ entry: TarEntry, _ tar: TarReader) throws {
    let parts = try components(entry.path)
    let node = Node()
    node.entry = entry
    switch entry.content {
    case .hardlink(let target):
      guard let first = try find(components(target)), !first.isDirectory else {
        throw refused(
          entry.path, "a link to \(String(decoding: target, as: UTF8.self)), which did not come before")
      }
      (node.entry, node.start, node.size) = (first.entry, first.start, first.size)
    case .node(.regular(let size)):
      (node.start, node.size) = (spooled, size)
      try tar.content { offset, bytes in
        guard offset + UInt64(bytes.byteCount) <= size else {
          throw refused(entry.path, "more content than its size")
        }
        try spool.write(bytes, at: spooled + offset)
      }
      spooled += size
      // Its end may be a hole.
      try spool.setSize(spooled)
    case .node: break
    }
    try place(node, parts, entry.path)
  }

  private func find(_ parts: [[UInt8]]) -> Node? {
    var node = root
    for part in parts {
      guard let child = node.children[part] else { return nil }
      node = child
    }
    return node
  }

  /// Of several entries of one name the last counts; a directory keeps what is in it.
  private func place(_ node: Node, _ parts: [[UInt8]], _ name: [UInt8]) throws {
    guard let last = parts.last else {
      guard node.isDirectory else { throw refused(name, "the top of an archive is a directory") }
      return root.entry = node.entry
    }
    var parent = root
    for part in parts.dropLast() {
      let child = parent.children[part] ?? Node()
      guard child.isDirectory else { throw refused(name, "it lies below what is no directory") }
      parent.children[part] = child
      parent = child
    }
    if node.isDirectory, let present = parent.children[last], present.isDirectory {
      present.entry = node.entry
    } else {
      parent.children[last] = node
    }
  }

  // MARK: Writing

  /// Passes on the bytes of the archive. Blocks.
  package func encode(_ sink: (RawSpan) throws -> Void) throws {
    var encoder = CatarEncoder()
    try encode(root, nil, &encoder, sink)
  }

  private func encode(
    _ node: Node, _ name: [UInt8]?, _ encoder: inout CatarEncoder, _ sink: (RawSpan) throws -> Void
  ) throws {
    try cancellation.check()
    guard let record = try catar(node) else { return }
    guard node.isDirectory else {
      var bytes = [UInt8]()
      encoder.begin(name, record, to: &bytes)
      try sink(bytes.rawSpan)
      return try content(node, sink)
    }
    guard encoder.depth < CatarNode.maximumDepth else {
      throw ArchiveError(.unrepresentable, "\(path): an archive holds 64 levels of directories, no more")
    }
    var bytes = [UInt8]()
    encoder.begin(name, record, to: &bytes)
    try sink(bytes.rawSpan)
    for (name, child) in node.children.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      try encode(child, name, &encoder, sink)
    }
    bytes = []
    encoder.endDirectory(to: &bytes)
    try sink(bytes.rawSpan)
  }

  private func content(_ node: Node, _ sink: (RawSpan) throws -> Void) throws {
    let buffer = Buffer(count: 256 << 10)
    var done: UInt64 = 0
    while done < node.size {
      let wanted = Int(min(UInt64(buffer.count), node.size - done))
      let count = try spool.read(at: node.start + done, into: buffer, 0..<wanted)
      guard count == wanted else { throw ArchiveError.becameShorter(spool.path) }
      try sink(buffer.bytes.extracting(0..<count))
      done += UInt64(count)
    }
  }

  /// The node of an entry; `nil` when its type is not wanted.
  private func catar(_ node: Node) throws -> CatarNode? {
    // A directory that only follows from the names in it.
    let entry = node.entry ?? TarEntry(path: [], content: .node(.directory), permissions: 0o755)
    guard case .node(let content) = entry.content else { return nil }
    let name = String(decoding: entry.path, as: UTF8.self)
    guard let uid = UInt32(exactly: entry.uid), let gid = UInt32(exactly: entry.gid) else {
      throw refused(entry.path, "its owner does not fit an archive")
    }
    let status = NodeStatus(
      mode: content.type | entry.permissions, uid: uid, gid: gid, seconds: entry.seconds,
      nanoseconds: entry.nanoseconds)
    guard options.features.archives(content) else { return nil }
    var record = try collector.node(
      content, status, nil, chattr: 0, path: "\(path): \(name)",
      owners: (owner(entry.user), owner(entry.group)))
    addXattrs(entry, &record)
    if options.features.contains(.acl) { try addACL(entry, &record) }
    return record
  }

  /// A name that an archive may have; a number stands for others.
  private func owner(_ name: [UInt8]?) -> [UInt8]? {
    name.flatMap { CatarNode.isStored(owner: $0, in: options.features) ? $0 : nil }
  }

  private func addXattrs(_ entry: TarEntry, _ record: inout CatarNode) {
    let features = options.features
    let isRegular = if case .regular = record.content { true } else { false }
    for xattr in entry.xattrs {
      if xattr.name == Array("security.capability".utf8) {
        if features.contains(.fcaps), isRegular { record.capabilities = xattr.value }
      } else if xattr.name == Array("security.selinux".utf8) {
        let label = Array(xattr.value.prefix { $0 != 0 })
        if features.contains(.selinux), !label.isEmpty { record.label = label }
      } else if features.contains(.xattrs), CatarNode.isStored(xattr: xattr.name),
        isRegular || record.content == .directory
      {
        record.xattrs.append(xattr)
      }
    }
    record.xattrs.sort { $0.name.lexicographicallyPrecedes($1.name) }
    // bsdtar writes each under two names.
    record.xattrs = record.xattrs.enumerated().filter {
      $0.offset == 0 || record.xattrs[$0.offset - 1].name != $0.element.name
    }.map(\.element)
  }

  private func addACL(_ entry: TarEntry, _ record: inout CatarNode) throws {
    if case .symlink = record.content { return }
    let named: Set<UInt16> = [PosixACL.Tag.user, PosixACL.Tag.group]
    for isDefault in [false, true] where !isDefault || record.content == .directory {
      let items = entry.acl.filter { $0.isDefault == isDefault }
      guard !items.isEmpty else { continue }
      var acl = PosixACL([])
      for item in items {
        let id = named.contains(item.tag) ? try id(of: item, entry) : UInt32.max
        acl.entries.append(PosixACL.Entry(tag: item.tag, permissions: item.permissions, id: id))
      }
      let path = "\(path): \(String(decoding: entry.path, as: UTF8.self))"
      try isDefault
        ? collector.addDefault(&record, acl, path: path) : collector.addAccess(&record, acl, path: path)
      // Where there is a mask it stands in the group bits of the mode.
      if !isDefault, let mask = acl.permissions(PosixACL.Tag.mask) {
        record.permissions = record.permissions & ~0o070 | UInt32(mask) << 3
      }
    }
    record.acl.sort()
  }

  private func id(of item: TarEntry.ACLEntry, _ entry: TarEntry) throws -> UInt32 {
    if let id = item.id { return id }
    let name = item.name ?? []
    let isUser = item.tag == PosixACL.Tag.user
    guard let id = isUser ? names.uid(name) : names.gid(name) else {
      throw refused(entry.path, "nobody here is called \(String(decoding: name, as: UTF8.self))")
    }
    return id
  }
}
