import CasyncFormat
import CasyncIO

/// What is done with the nodes of a tree, in the order of an archive.
protocol NodeSink: AnyObject {
  /// A node begins.
  /// - Parameter name: `nil` for the top directory.
  func enter(_ name: [UInt8]?, _ node: CatarNode, _ status: NodeStatus) throws
  /// The content of the regular file entered last: `size` bytes from the start of `file`.
  func content(_ file: File, size: UInt64) throws
  /// The node entered last and not left ends.
  func leave() throws
}

/// Walks a directory tree in the order of its archive and collects what is archived of each node.
///
/// Not to be shared between threads.
final class TreeScanner {
  private let options: TreeOptions
  private let cancellation: Cancellation
  private let sink: any NodeSink
  private let collector: NodeCollector
  private var depth = 0

  init(_ options: TreeOptions, _ cancellation: Cancellation, _ sink: any NodeSink) {
    self.options = options
    self.cancellation = cancellation
    self.sink = sink
    collector = NodeCollector(options.features, options.shift)
  }

  /// Walks the directory at `path`. Blocks.
  func scan(_ path: String) throws {
    let top = try File.open(path, .directory)
    try directory(nil, top, try top.nodeStatus(), try attributes(top), ExcludeRules())
  }

  private func child(_ name: [UInt8], of parent: File, _ mount: UInt64?, _ rules: ExcludeRules) throws {
    try cancellation.check()
    // What vanished since its directory was read is not there.
    guard let status = try parent.nodeStatus(name), options.features.archives(mode: status.mode),
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

  private func attributes(_ file: File) throws -> UInt32 {
    guard !options.features.isDisjoint(with: [.chattr, .excludeNodump]) else { return 0 }
    return try file.attributes() ?? 0
  }

  private func directory(
    _ name: [UInt8]?, _ file: File, _ status: NodeStatus, _ chattr: UInt32, _ inherited: ExcludeRules
  ) throws {
    guard depth < 64 else {
      throw ArchiveError(.unrepresentable, "\(file.path): an archive holds 64 levels of directories, no more")
    }
    try sink.enter(
      name, collector.node(.directory, status, file, chattr: chattr, path: file.path), status)
    depth += 1
    defer { depth -= 1 }
    if try collector.kind(status, file) != .virtual {
      let names = try file.nodeNames()
      var rules = inherited
      if options.features.contains(.excludeFile), names.contains(ExcludeRules.fileName) {
        try read(&rules, file)
      }
      let mount = options.features.contains(.excludeSubmounts) ? try file.mountID() : nil
      for name in names { try child(name, of: file, mount, rules) }
    }
    try sink.leave()
  }

  private func read(_ rules: inout ExcludeRules, _ directory: File) throws {
    guard try directory.nodeStatus(ExcludeRules.fileName)?.isRegular == true else { return }
    let file = try directory.open(node: ExcludeRules.fileName)
    try rules.add(file.readAll(limit: ExcludeRules.limit), path: file.path)
  }

  private func regular(_ name: [UInt8], _ file: File, _ status: NodeStatus, _ chattr: UInt32) throws {
    let size = try collector.kind(status, file) == .virtual ? 0 : status.size
    let node = try collector.node(.regular(size: size), status, file, chattr: chattr, path: file.path)
    try sink.enter(name, node, status)
    try sink.content(file, size: size)
    try sink.leave()
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
    try sink.enter(
      name, collector.node(content, status, reference, chattr: 0, path: parent.path(of: name)), status)
    try sink.leave()
  }
}
