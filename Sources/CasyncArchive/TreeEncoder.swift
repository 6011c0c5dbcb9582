public import CasyncFormat
package import CasyncIO

// catar ⇄ directory tree.
//
//     directory → TreeEncoder: names in order, NodeCollector: metadata → CatarEncoder → bytes
//     bytes → ArchiveReader → CatarDecoder → nodes → TreeExtractor: temporary names → metadata → final names
//
// Both ways run on the calling thread and keep one open descriptor for each level of the tree; whoever wants
// to work on the bytes meanwhile takes them over to another thread.

/// What of a tree goes into an archive.
public struct TreeOptions: Equatable, Sendable {
  /// The archive's features, normalised.
  public var features: FeatureFlags
  public var shift: UIDShift

  public init(features: FeatureFlags, shift: UIDShift = .none) {
    self.features = features.normalized
    self.shift = shift
  }
}

/// Makes an archive of a directory tree, byte for byte as casync does.
///
/// Not to be shared between threads.
package final class TreeEncoder {
  private let options: TreeOptions
  private let cancellation: Cancellation
  private let sink: (RawSpan) throws -> Void
  private let collector: NodeCollector
  private var encoder = CatarEncoder()
  private let buffer = Buffer(count: 512 << 10)
  private var filled = 0

  /// - Parameter sink: gets the bytes of the archive in order; what it is lent is its only during the call.
  package init(
    _ options: TreeOptions, _ cancellation: Cancellation, sink: @escaping (RawSpan) throws -> Void
  ) {
    self.options = options
    self.cancellation = cancellation
    self.sink = sink
    collector = NodeCollector(options.features, options.shift)
  }

  /// Archives the directory at `path`. Blocks.
  /// - Throws: `ArchiveError`, `SystemError`, `CancellationError`, and what the sink throws.
  package func encode(_ path: String) throws {
    let top = try File.open(path, .directory)
    try directory(nil, top, try top.nodeStatus(), try attributes(top), ExcludeRules())
    try flush()
  }

  // MARK: Nodes

  private func child(_ name: [UInt8], of parent: File, _ mount: UInt64?, _ rules: ExcludeRules) throws {
    try cancellation.check()
    // What vanished since its directory was read is not there.
    guard let status = try parent.nodeStatus(name), isWanted(status),
      !rules.excludes(name, isDirectory: status.isDirectory)
    else { return }
    guard status.isDirectory || status.isRegular else { return try special(name, of: parent, status) }
    let file = try parent.open(node: name, status.isDirectory ? .directory : .nonBlocking)
    let opened = try file.nodeStatus()
    guard opened.mode & 0o170000 == status.mode & 0o170000 else {
      throw ArchiveError(.changed, "\(file.path) was replaced while it was archived")
    }
    let chattr = try attributes(file)
    if options.features.contains(.excludeNodump), chattr & AttributeMap.nodump != 0 { return }
    if let mount, try file.mountID() != mount { return }
    if status.isDirectory {
      try directory(name, file, opened, chattr, rules.below(name))
    } else {
      try regular(name, file, opened, chattr)
    }
  }

  /// Whether nodes of this type go into the archive.
  private func isWanted(_ status: NodeStatus) -> Bool {
    switch status.mode & 0o170000 {
    case 0o040000, 0o100000: true
    case 0o120000: options.features.contains(.symlinks)
    case 0o060000, 0o020000: options.features.contains(.deviceNodes)
    case 0o010000: options.features.contains(.fifos)
    case 0o140000: options.features.contains(.sockets)
    default: false
    }
  }

  private func attributes(_ file: File) throws -> UInt32 {
    guard !options.features.isDisjoint(with: [.chattr, .excludeNodump]) else { return 0 }
    return try file.attributes() ?? 0
  }

  private func directory(
    _ name: [UInt8]?, _ file: File, _ status: NodeStatus, _ chattr: UInt32, _ inherited: ExcludeRules
  ) throws {
    guard encoder.depth < 64 else {
      throw ArchiveError(.unrepresentable, "\(file.path): an archive holds 64 levels of directories, no more")
    }
    try begin(name, collector.node(.directory, status, file, chattr: chattr, path: file.path))
    if try collector.kind(status, file) != .virtual {
      let names = try file.nodeNames()
      var rules = inherited
      if options.features.contains(.excludeFile), names.contains(ExcludeRules.fileName) {
        try read(&rules, file)
      }
      let mount = options.features.contains(.excludeSubmounts) ? try file.mountID() : nil
      for name in names { try child(name, of: file, mount, rules) }
    }
    var bytes = [UInt8]()
    encoder.endDirectory(to: &bytes)
    try emit(bytes)
  }

  private func read(_ rules: inout ExcludeRules, _ directory: File) throws {
    guard try directory.nodeStatus(ExcludeRules.fileName)?.isRegular == true else { return }
    let file = try directory.open(node: ExcludeRules.fileName)
    try rules.add(file.readAll(limit: ExcludeRules.limit), path: file.path)
  }

  private func regular(_ name: [UInt8], _ file: File, _ status: NodeStatus, _ chattr: UInt32) throws {
    let size = try collector.kind(status, file) == .virtual ? 0 : status.size
    try begin(
      name, collector.node(.regular(size: size), status, file, chattr: chattr, path: file.path))
    var offset: UInt64 = 0
    while offset < size {
      if filled == buffer.count { try flush() }
      let wanted = Int(min(size - offset, UInt64(buffer.count - filled)))
      let count = try file.read(at: offset, into: buffer, filled..<filled + wanted)
      guard count == wanted else {
        throw ArchiveError(
          .changed, "\(file.path) became shorter while it was archived", hint: "run it again")
      }
      filled += count
      offset += UInt64(count)
    }
  }

  private func special(_ name: [UInt8], of parent: File, _ status: NodeStatus) throws {
    let content: CatarNode.Content
    switch status.mode & 0o170000 {
    case 0o120000: content = .symlink(target: try parent.linkTarget(name))
    case 0o060000: content = .blockDevice(major: status.major, minor: status.minor)
    case 0o020000: content = .characterDevice(major: status.major, minor: status.minor)
    case 0o010000: content = .fifo
    default: content = .socket
    }
    // Of a link only the label can be asked.
    let wanted: FeatureFlags = status.isSymlink ? [.selinux] : [.acl, .selinux]
    let reference = options.features.isDisjoint(with: wanted) ? nil : try parent.open(node: name, .reference)
    try begin(
      name, collector.node(content, status, reference, chattr: 0, path: parent.path(of: name)))
  }

  // MARK: Bytes

  private func begin(_ name: [UInt8]?, _ node: CatarNode) throws {
    var bytes = [UInt8]()
    encoder.begin(name, node, to: &bytes)
    try emit(bytes)
  }

  private func emit(_ bytes: [UInt8]) throws {
    guard bytes.count <= buffer.count - filled else {
      try flush()
      if bytes.count > buffer.count { return try sink(bytes.rawSpan) }
      return try emit(bytes)
    }
    buffer.copy(bytes.rawSpan, to: filled)
    filled += bytes.count
  }

  private func flush() throws {
    guard filled > 0 else { return }
    let buffer = buffer
    try sink(buffer.bytes.extracting(0..<filled))
    filled = 0
  }
}
