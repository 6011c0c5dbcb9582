/// Makes the bytes of an archive, front to back: records of nodes, and the GOODBYE of each directory.
///
///     begin(nil, top)  begin("a", file) + its content  begin("b", directory) … endDirectory  endDirectory
///
/// Content is the caller's: after `begin` of a regular file of n bytes he sends n bytes himself, in order
/// with what is appended here. Children are to come in the order of their names' bytes.
public struct CatarEncoder: Sendable {
  private struct Level {
    let entryOffset: UInt64
    var children: [CatarGoodbye.Child] = []
  }

  /// Where in the archive the next byte will stand.
  public private(set) var offset: UInt64 = 0
  private var levels: [Level] = []

  public init() {}

  /// How many directories are open.
  public var depth: Int { levels.count }

  /// Appends the records of a node up to its content, the header of its PAYLOAD included.
  /// - Parameter name: in its directory; `nil` for the top directory.
  public mutating func begin(_ name: [UInt8]?, _ node: CatarNode, to bytes: inout [UInt8]) {
    let before = bytes.count
    if let name {
      precondition(!levels.isEmpty, "a file outside every directory")
      levels[levels.count - 1].children.append(
        CatarGoodbye.Child(start: offset, hash: SipHash.hash(name)))
      bytes.append(.filename, text: name)
    }
    let entryOffset = offset + UInt64(bytes.count - before)
    bytes.append(node)
    switch node.content {
    case .regular(let size):
      bytes.append(word: UInt64(CatarRecord.headerLength) + size)
      bytes.append(word: CatarRecord.payload.rawValue)
      offset += size
    case .symlink(let target): bytes.append(.symlink, text: target)
    case .blockDevice(let major, let minor), .characterDevice(let major, let minor):
      bytes.append(.device, words: [UInt64(major), UInt64(minor)])
    case .directory: levels.append(Level(entryOffset: entryOffset))
    case .fifo, .socket: break
    }
    offset += UInt64(bytes.count - before)
  }

  /// Appends the GOODBYE of the directory that was begun last and is still open.
  public mutating func endDirectory(to bytes: inout [UInt8]) {
    guard let level = levels.popLast() else { preconditionFailure("no directory is open") }
    let before = bytes.count
    CatarGoodbye.append(level.children, entryOffset: level.entryOffset, at: offset, to: &bytes)
    offset += UInt64(bytes.count - before)
  }
}

extension [UInt8] {
  fileprivate mutating func append(_ type: CatarRecord, words: [UInt64]) {
    append(word: UInt64(CatarRecord.headerLength + 8 * words.count))
    append(word: type.rawValue)
    for word in words { append(word: word) }
  }

  /// A record of one text and its NUL.
  fileprivate mutating func append(_ type: CatarRecord, text: [UInt8]) {
    append(word: UInt64(CatarRecord.headerLength + text.count + 1))
    append(word: type.rawValue)
    self += text
    append(0)
  }

  fileprivate mutating func append(_ type: CatarRecord, _ entries: [CatarACL.Entry]) {
    for entry in entries {
      append(word: UInt64(32 + (entry.name.map { $0.count + 1 } ?? 0)))
      append(word: type.rawValue)
      append(word: UInt64(entry.id))
      append(word: UInt64(entry.permissions))
      if let name = entry.name {
        self += name
        append(0)
      }
    }
  }

  /// ENTRY to QUOTA_PROJID.
  fileprivate mutating func append(_ node: CatarNode) {
    append(
      .entry,
      words: [
        node.features.rawValue, UInt64(node.mode), node.attributes.rawValue, UInt64(node.uid),
        UInt64(node.gid), node.modified,
      ])
    if let user = node.user { append(.user, text: user) }
    if let group = node.group { append(.group, text: group) }
    for xattr in node.xattrs {
      append(word: UInt64(CatarRecord.headerLength + xattr.name.count + 1 + xattr.value.count))
      append(word: CatarRecord.xattr.rawValue)
      self += xattr.name
      append(0)
      self += xattr.value
    }
    append(node.acl)
    if let label = node.label { append(.selinux, text: label) }
    if let capabilities = node.capabilities {
      append(word: UInt64(CatarRecord.headerLength + capabilities.count))
      append(word: CatarRecord.fcaps.rawValue)
      self += capabilities
    }
    if let projectID = node.projectID { append(.quotaProjectID, words: [UInt64(projectID)]) }
  }

  private mutating func append(_ acl: CatarACL) {
    append(.aclUser, acl.users)
    append(.aclGroup, acl.groups)
    if let group = acl.groupObject { append(.aclGroupObject, words: [UInt64(group)]) }
    if let defaults = acl.defaults {
      append(
        .aclDefault,
        words: [
          UInt64(defaults.user), UInt64(defaults.group), UInt64(defaults.other),
          defaults.mask.map(UInt64.init) ?? .max,
        ])
    }
    append(.aclDefaultUser, acl.defaultUsers)
    append(.aclDefaultGroup, acl.defaultGroups)
  }
}
