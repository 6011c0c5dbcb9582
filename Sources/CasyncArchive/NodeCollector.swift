import CasyncFormat
import CasyncIO

/// Reads the metadata that an archive's features ask for off nodes of a tree.
final class NodeCollector {
  let features: FeatureFlags
  private let shift: UIDShift
  private let names = OwnerNames()
  private var kinds: [UInt64: FileSystemKind] = [:]

  init(_ features: FeatureFlags, _ shift: UIDShift) {
    self.features = features
    self.shift = shift
  }

  /// The kind of file system a node lies on.
  /// - Parameter file: the node, or its directory where that is on the same device.
  func kind(_ status: NodeStatus, _ file: File) throws -> FileSystemKind {
    if let known = kinds[status.device] { return known }
    let kind = FileSystemKind(magic: try file.fileSystemMagic())
    kinds[status.device] = kind
    return kind
  }

  /// The node that `status` and `file` tell of.
  /// - Parameters:
  ///   - file: the open file or directory, or a reference to what cannot be opened.
  ///   - chattr: its attributes as the caller read them.
  ///   - owners: their names, if they are not those that the system has for their numbers.
  func node(
    _ content: CatarNode.Content, _ status: NodeStatus, _ file: File?, chattr: UInt32, path: String,
    owners: (user: [UInt8]?, group: [UInt8]?)? = nil
  ) throws -> CatarNode {
    var node = CatarNode(
      features: features, content: content,
      permissions: features.stored(permissions: status.mode & 0o7777, of: content))
    node.modified = try time(status, path)
    try addOwner(&node, status, path, owners)
    guard let file else { return node }
    try addAttributes(&node, status, file, chattr)
    try addXattrs(&node, status, file)
    return node
  }

  /// The node of an open regular file.
  func regular(_ file: File) throws -> CatarNode {
    let status = try file.nodeStatus()
    let chattr = features.isDisjoint(with: .chattr) ? 0 : try file.attributes() ?? 0
    return try node(.regular(size: status.size), status, file, chattr: chattr, path: file.path)
  }

  private func time(_ status: NodeStatus, _ path: String) throws -> UInt64 {
    guard let granularity = features.granularity else { return 0 }
    let (product, overflow) =
      UInt64(exactly: status.seconds)?.multipliedReportingOverflow(by: 1_000_000_000) ?? (0, true)
    let (sum, carry) = product.addingReportingOverflow(UInt64(status.nanoseconds))
    guard !overflow, !carry else {
      throw ArchiveError(
        .unrepresentable, "\(path): its time, \(status.seconds) s from 1970, does not fit an archive",
        hint: "touch it, or leave out times with --without=2sec-time,sec-time,usec-time,nsec-time one by one")
    }
    return sum - sum % granularity
  }

  // MARK: Owners

  private func addOwner(
    _ node: inout CatarNode, _ status: NodeStatus, _ path: String,
    _ owners: (user: [UInt8]?, group: [UInt8]?)?
  ) throws {
    let uid = try archived(status.uid, path)
    let gid = try archived(status.gid, path)
    if features.hasNumericIDs {
      node.uid = uid
      node.gid = gid
    }
    guard features.contains(.userNames) else { return }
    node.user = name(status.uid, { owners.map(\.user) ?? names.user($0) }, uid)
    node.group = name(status.gid, { owners.map(\.group) ?? names.group($0) }, gid)
  }

  private func archived(_ id: UInt32, _ path: String) throws -> UInt32 {
    guard features.hasNumericIDs || features.contains(.userNames) else { return 0 }
    guard let shifted = shift.archived(id) else {
      throw ArchiveError(.unrepresentable, "\(path): its owner \(id) is below the shift of \(shift.shift)")
    }
    guard UIDShift.isValid(shifted), !features.contains(.uids16) || shifted <= 0xffff else {
      throw ArchiveError(
        .unrepresentable, "\(path): its owner \(shifted) does not fit the archive",
        hint: features.contains(.uids16) ? "--with=32bit-uids holds it" : nil)
    }
    return shifted
  }

  /// Root has no name in an archive; without numbers a number stands for a missing name.
  private func name(_ id: UInt32, _ look: (UInt32) -> [UInt8]?, _ shifted: UInt32) -> [UInt8]? {
    if id == 0 { return nil }
    if let name = look(id), name.count <= 255 { return name }
    return features.hasNumericIDs ? nil : Array(String(shifted).utf8)
  }

  // MARK: Attributes

  private func addAttributes(_ node: inout CatarNode, _ status: NodeStatus, _ file: File, _ chattr: UInt32)
    throws
  {
    guard status.isRegular || status.isDirectory else { return }
    let kind = try kind(status, file)
    var found = AttributeMap.features(chattr: chattr)
    if !features.isDisjoint(with: .fatAttributes), kind == .fat || kind == .fuse,
      let attributes = try file.fatAttributes()
    {
      found.formUnion(AttributeMap.features(fat: attributes))
    }
    if status.isDirectory, kind == .btrfs, status.inode == 256, features.contains(.subvolume) {
      found.insert(.subvolume)
      if file.isReadOnlySubvolume() { found.insert(.subvolumeReadOnly) }
    }
    node.attributes = found.intersection(features)
    if features.contains(.quotaProjectID), let project = try file.project(), project > 0 {
      node.projectID = project
    }
  }

  private func addXattrs(_ node: inout CatarNode, _ status: NodeStatus, _ file: File) throws {
    guard !features.isDisjoint(with: [.xattrs, .acl, .fcaps, .selinux]) else { return }
    // casync stores none of special files, although they may have some.
    let holdsXattrs = features.contains(.xattrs) && (status.isRegular || status.isDirectory)
    for name in try file.xattrNames() {
      if name == XattrName.label {
        guard features.contains(.selinux), let value = try file.xattr(name) else { continue }
        let label = Array(value.prefix { $0 != 0 })
        if !label.isEmpty { node.label = label }
      } else if status.isSymlink {
        continue
      } else if name == XattrName.capability {
        if features.contains(.fcaps), status.isRegular { node.capabilities = try file.xattr(name) }
      } else if name == XattrName.accessACL {
        guard features.contains(.acl), let acl = try acl(name, file) else { continue }
        try addAccess(&node, acl, path: file.path)
      } else if name == XattrName.defaultACL {
        guard features.contains(.acl), status.isDirectory, let acl = try acl(name, file) else { continue }
        try addDefault(&node, acl, path: file.path)
      } else if holdsXattrs, CatarNode.isStored(xattr: name), let value = try file.xattr(name) {
        node.xattrs.append(CatarNode.Xattr(name: name, value: value))
      }
    }
    node.xattrs.sort { $0.name.lexicographicallyPrecedes($1.name) }
    node.acl.sort()
  }

  private func acl(_ name: [UInt8], _ file: File) throws -> PosixACL? {
    guard let bytes = try file.xattr(name) else { return nil }
    guard let acl = PosixACL(bytes.rawSpan) else {
      throw ArchiveError(.unsupported, "\(file.path): its ACL is of an unknown kind")
    }
    return acl
  }

  func addAccess(_ node: inout CatarNode, _ acl: PosixACL, path: String) throws {
    node.acl.users = try entries(acl, PosixACL.Tag.user, names.user, path)
    node.acl.groups = try entries(acl, PosixACL.Tag.group, names.group, path)
    if acl.permissions(PosixACL.Tag.mask) != nil {
      node.acl.groupObject = acl.permissions(PosixACL.Tag.groupObject)
    }
  }

  func addDefault(_ node: inout CatarNode, _ acl: PosixACL, path: String) throws {
    guard
      let user = acl.permissions(PosixACL.Tag.userObject),
      let group = acl.permissions(PosixACL.Tag.groupObject), let other = acl.permissions(PosixACL.Tag.other)
    else { return }
    node.acl.defaults = CatarACL.Default(
      user: user, group: group, other: other, mask: acl.permissions(PosixACL.Tag.mask))
    node.acl.defaultUsers = try entries(acl, PosixACL.Tag.user, names.user, path)
    node.acl.defaultGroups = try entries(acl, PosixACL.Tag.group, names.group, path)
  }

  private func entries(
    _ acl: PosixACL, _ tag: UInt16, _ look: (UInt32) -> [UInt8]?, _ path: String
  ) throws -> [CatarACL.Entry] {
    try acl.entries.filter { $0.tag == tag }.map { entry in
      let id = try archived(entry.id, path)
      let name = features.contains(.userNames) ? name(entry.id, look, id) : nil
      return CatarACL.Entry(id: id, permissions: entry.permissions, name: name)
    }
  }
}
