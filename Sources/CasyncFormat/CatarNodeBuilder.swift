/// Collects the records of one node and checks each against the rules of docs/formats/catar.md.
struct CatarNodeBuilder: Sendable {
  /// Bytes of metadata that one node may have: far more than any file system holds.
  private static let limit = 16 << 20

  private(set) var node: CatarNode
  private var type: UInt32
  /// Place of the last record in the order of records.
  private var rank = 0
  private var length = 0

  init() {
    node = CatarNode(features: [], content: .directory, permissions: 0)
    type = 0
  }

  var isDirectory: Bool { type == CatarNode.Content.directory.type }

  /// What a node is whose content has no record; `nil` for those that have one.
  var bareContent: CatarNode.Content? {
    [.directory, .fifo, .socket].first { $0.type == type }
  }

  // MARK: ENTRY

  /// - Parameter archive: features of the archive where its first ENTRY has told them.
  init(entry body: RawSpan, at offset: UInt64, archive: FeatureFlags?) throws(CatarError) {
    guard let rawFeatures = body.word(at: 0), let mode = body.word(at: 8), let flags = body.word(at: 16),
      let uid = body.word(at: 24), let gid = body.word(at: 32), let time = body.word(at: 40)
    else { throw CatarError(.recordSize, at: offset) }
    let features = FeatureFlags(rawValue: rawFeatures)
    try Self.check(features, archive, at: offset)
    guard let mode = UInt32(exactly: mode) else { throw Self.bad("a file mode that cannot be", offset) }
    type = mode & CatarNode.Content.typeMask
    let kinds: [CatarNode.Content] = [
      .regular(size: 0), .directory, .symlink(target: []), .blockDevice(major: 0, minor: 0),
      .characterDevice(major: 0, minor: 0), .fifo, .socket,
    ]
    guard let content = kinds.first(where: { [type] in $0.type == type }),
      mode & ~(CatarNode.Content.typeMask | 0o7777) == 0,
      features.stored(permissions: mode & 0o7777, of: content) == mode & 0o7777, Self.holds(content, features)
    else { throw Self.bad("a file mode that cannot be", offset) }

    let attributes = FeatureFlags(rawValue: flags)
    guard attributes.isSubset(of: Self.attributes(of: content, features)) else {
      throw Self.bad("attributes that the file cannot have", offset)
    }
    guard let uid = Self.id(uid, features), let gid = Self.id(gid, features) else {
      throw Self.bad("an owner that cannot be", offset)
    }
    guard let granularity = features.granularity.map({ time % $0 == 0 }) ?? (time == 0 ? true : nil),
      granularity
    else { throw Self.bad("a time that cannot be", offset) }
    node = CatarNode(
      features: features, content: content, permissions: mode & 0o7777, attributes: attributes, uid: uid,
      gid: gid, modified: time)
  }

  private static func bad(_ what: String, _ offset: UInt64) -> CatarError {
    CatarError(.badRecord(what), at: offset)
  }

  private static func check(
    _ features: FeatureFlags, _ archive: FeatureFlags?, at offset: UInt64
  ) throws(CatarError) {
    guard features.isSubset(of: .known) else { throw CatarError(.unknownFeatures(features), at: offset) }
    guard features == features.normalized else {
      throw CatarError(.inconsistentFeatures(features), at: offset)
    }
    guard archive == nil || archive == features else {
      throw bad("files with other features than the archive", offset)
    }
  }

  /// Whether an archive with these features holds such nodes.
  private static func holds(_ content: CatarNode.Content, _ features: FeatureFlags) -> Bool {
    switch content {
    case .regular, .directory: true
    case .symlink: features.contains(.symlinks)
    case .blockDevice, .characterDevice: features.contains(.deviceNodes)
    case .fifo: features.contains(.fifos)
    case .socket: features.contains(.sockets)
    }
  }

  private static func attributes(of content: CatarNode.Content, _ features: FeatureFlags) -> FeatureFlags {
    switch content {
    case .directory: features.intersection(.entryFlags)
    case .regular: features.intersection([.fatAttributes, .chattr])
    default: []
    }
  }

  private static func id(_ id: UInt64, _ features: FeatureFlags) -> UInt32? {
    guard id != 65535, id < UInt64(UInt32.max) else { return nil }
    if features.contains(.uids16) { return UInt16(exactly: id).map(UInt32.init) }
    return features.contains(.uids32) || id == 0 ? UInt32(exactly: id) : nil
  }
}

// MARK: - The records between

extension CatarNodeBuilder {
  /// Adds a record that is neither ENTRY nor content.
  mutating func add(_ record: CatarRecord, _ body: RawSpan, at offset: UInt64) throws(CatarError) {
    let place = Self.order.firstIndex(of: record) ?? 0
    let repeats: [CatarRecord] = [.xattr, .aclUser, .aclGroup, .aclDefaultUser, .aclDefaultGroup]
    guard place > rank || (place == rank && repeats.contains(record)),
      node.features.contains(Self.feature(of: record)), isAllowed(record)
    else { throw CatarError(.unexpectedRecord, at: offset) }
    rank = place
    length += body.byteCount + CatarRecord.headerLength
    guard length <= Self.limit else { throw CatarError(.tooLarge, at: offset) }
    switch record {
    case .user: node.user = try owner(body, offset)
    case .group: node.group = try owner(body, offset)
    case .xattr: try addXattr(body, offset)
    case .aclUser: try add(body, to: \.acl.users, offset)
    case .aclGroup: try add(body, to: \.acl.groups, offset)
    case .aclGroupObject: node.acl.groupObject = try permissions(body.word(at: 0), offset)
    case .aclDefault: try addDefault(body, offset)
    case .aclDefaultUser: try add(body, to: \.acl.defaultUsers, offset)
    case .aclDefaultGroup: try add(body, to: \.acl.defaultGroups, offset)
    case .selinux:
      guard let label = body.text() else { throw Self.bad("a label that cannot be", offset) }
      node.label = label
    case .fcaps: node.capabilities = body.copy()
    default:
      guard let id = body.word(at: 0).flatMap({ UInt32(exactly: $0) }), id > 0 else {
        throw Self.bad("a project that cannot be", offset)
      }
      node.projectID = id
    }
  }

  /// The records in their order; the first place stands for ENTRY.
  private static let order: [CatarRecord] = [
    .entry, .user, .group, .xattr, .aclUser, .aclGroup, .aclGroupObject, .aclDefault, .aclDefaultUser,
    .aclDefaultGroup, .selinux, .fcaps, .quotaProjectID,
  ]

  private static func feature(of record: CatarRecord) -> FeatureFlags {
    switch record {
    case .user, .group: .userNames
    case .xattr: .xattrs
    case .selinux: .selinux
    case .fcaps: .fcaps
    case .quotaProjectID: .quotaProjectID
    default: .acl
    }
  }

  /// Whether a node of this type has such a record.
  private func isAllowed(_ record: CatarRecord) -> Bool {
    switch record {
    case .user, .group, .selinux: true
    case .fcaps: type == CatarNode.Content.regular(size: 0).type
    case .aclDefault, .aclDefaultUser, .aclDefaultGroup: isDirectory
    case .quotaProjectID: isDirectory || type == CatarNode.Content.regular(size: 0).type
    default: type != CatarNode.Content.symlink(target: []).type
    }
  }

  private func owner(_ body: RawSpan, _ offset: UInt64) throws(CatarError) -> [UInt8] {
    guard let name = body.text(), CatarNode.isStored(owner: name, in: node.features) else {
      throw Self.bad("a user or group name that cannot be", offset)
    }
    return name
  }

  private mutating func addXattr(_ body: RawSpan, _ offset: UInt64) throws(CatarError) {
    let bytes = body.copy()
    guard let end = bytes.firstIndex(of: 0) else {
      throw Self.bad("an extended attribute without name", offset)
    }
    let name = Array(bytes[..<end])
    guard CatarNode.isStored(xattr: name) else {
      throw Self.bad("an extended attribute whose name cannot be", offset)
    }
    if let last = node.xattrs.last, !last.name.lexicographicallyPrecedes(name) {
      throw Self.bad("extended attributes out of order", offset)
    }
    node.xattrs.append(CatarNode.Xattr(name: name, value: Array(bytes[(end + 1)...])))
  }

  // MARK: ACLs

  private func permissions(_ word: UInt64?, _ offset: UInt64) throws(CatarError) -> UInt8 {
    guard let word, word <= 7 else { throw Self.bad("permissions of an ACL that cannot be", offset) }
    return UInt8(word)
  }

  private mutating func add(
    _ body: RawSpan, to list: WritableKeyPath<CatarNode, [CatarACL.Entry]>, _ offset: UInt64
  ) throws(CatarError) {
    let bits = try permissions(body.word(at: 8), offset)
    guard let id = body.word(at: 0).flatMap({ UInt32(exactly: $0) }), id != .max, id != 65535 else {
      throw Self.bad("an ACL for nobody", offset)
    }
    let rest = body.extracting(16..<body.byteCount)
    let name = rest.byteCount == 0 ? nil : try owner(rest, offset)
    let entry = CatarACL.Entry(id: id, permissions: bits, name: name)
    if let last = node[keyPath: list].last, !(last < entry) { throw Self.bad("an ACL out of order", offset) }
    node[keyPath: list].append(entry)
  }

  private mutating func addDefault(_ body: RawSpan, _ offset: UInt64) throws(CatarError) {
    let mask = body.word(at: 24)
    node.acl.defaults = CatarACL.Default(
      user: try permissions(body.word(at: 0), offset), group: try permissions(body.word(at: 8), offset),
      other: try permissions(body.word(at: 16), offset),
      mask: mask == .max ? nil : try permissions(mask, offset))
  }

  // MARK: The end

  /// What a SYMLINK or DEVICE says the node is; `nil` when the ENTRY says otherwise.
  func content(
    _ record: CatarRecord, _ body: RawSpan, at offset: UInt64
  ) throws(CatarError) -> CatarNode.Content? {
    if record == .symlink {
      guard let target = body.text() else { throw Self.bad("a symbolic link to nowhere", offset) }
      return .symlink(target: target)
    }
    guard let major = body.word(at: 0), let minor = body.word(at: 8), major < 1 << 12, minor < 1 << 20 else {
      throw Self.bad("a device number that cannot be", offset)
    }
    return type == CatarNode.Content.blockDevice(major: 0, minor: 0).type
      ? .blockDevice(major: UInt32(major), minor: UInt32(minor))
      : .characterDevice(major: UInt32(major), minor: UInt32(minor))
  }

  /// The node, all of its records seen.
  mutating func finish(_ content: CatarNode.Content, at offset: UInt64) throws(CatarError) -> CatarNode {
    guard content.type == type else { throw CatarError(.unexpectedRecord, at: offset) }
    let acl = node.acl
    guard acl.groupObject != nil || (acl.users.isEmpty && acl.groups.isEmpty),
      acl.defaults?.mask != nil || (acl.defaultUsers.isEmpty && acl.defaultGroups.isEmpty)
    else { throw Self.bad("an ACL without its mask", offset) }
    node.content = content
    return node
  }
}

extension CatarNode {
  /// Whether an archive may name a user or group so: casync's rule. Without numeric IDs a number may stand
  /// for a name.
  package static func isStored(owner name: [UInt8], in features: FeatureFlags) -> Bool {
    guard let first = name.first, name.count <= 255, name != Array("root".utf8), name != Array("0".utf8)
    else {
      return false
    }
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    if name.allSatisfy(digits.contains) { return !features.hasNumericIDs }
    let isLetter: (UInt8) -> Bool = {
      UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0
        || $0 == UInt8(ascii: "_")
    }
    return isLetter(first)
      && name.allSatisfy { isLetter($0) || digits.contains($0) || $0 == UInt8(ascii: "-") }
  }

  /// Whether an archive holds extended attributes of this name: `user.` or `trusted.` and something behind.
  package static func isStored(xattr name: [UInt8]) -> Bool {
    guard name.count <= 255, name.last != UInt8(ascii: ".") else { return false }
    return ["user.", "trusted."].contains { name.count > $0.utf8.count && name.starts(with: $0.utf8) }
  }
}
