import CasyncFormat
import CasyncIO

/// Sets the metadata of extracted nodes, as far as it is wanted; on any thread.
final class NodeRestorer: Sendable {
  private let mask: FeatureFlags
  private let shift: UIDShift
  private let names = OwnerNames()
  /// Whether the target's file system has the attributes of FAT.
  private let isFAT: Bool

  init(mask: FeatureFlags, shift: UIDShift, isFAT: Bool) {
    self.mask = mask
    self.shift = shift
    self.isFAT = isFAT
  }

  private func wanted(_ node: CatarNode) -> FeatureFlags { node.features.restored(by: mask) }

  /// Whether nodes of this type are made at all.
  func makes(_ node: CatarNode) -> Bool {
    switch node.content {
    case .regular, .directory: true
    case .symlink: wanted(node).contains(.symlinks)
    case .blockDevice, .characterDevice: wanted(node).contains(.deviceNodes)
    case .fifo: wanted(node).contains(.fifos)
    case .socket: wanted(node).contains(.sockets)
    }
  }

  /// Attributes that are better set on an empty file: noatime, compr, nocow, nocomp, projinherit.
  private static let early = FeatureFlags(rawValue: 0x30e_0000)

  /// Whether a directory is to be a btrfs subvolume.
  func isSubvolume(_ node: CatarNode) -> Bool {
    node.attributes.contains(.subvolume) && wanted(node).contains(.subvolume)
  }

  /// Right after a file or directory was created.
  /// - Returns: the attributes of chattr(1) that it has now; `nil` when nobody asked.
  func created(_ node: CatarNode, _ file: File) throws -> UInt32? {
    let wanted = wanted(node)
    let attributes = try setAttributes(node, file, wanted.intersection(Self.early), present: nil)
    try setProject(node, file, wanted)
    return attributes
  }

  private func setProject(_ node: CatarNode, _ file: File, _ wanted: FeatureFlags) throws {
    guard wanted.contains(.quotaProjectID) else { return }
    guard let present = try file.project() else {
      guard let project = node.projectID else { return }
      throw ArchiveError(
        .unsupported, "\(file.path): its file system has no quota projects, the archive wants \(project)",
        hint: "--without=quota-projid leaves it out")
    }
    if present != node.projectID ?? 0 { try file.setProject(node.projectID ?? 0) }
  }

  /// Permission bits to create a file with: its own where everybody may read it anyway, else such that nobody
  /// sees it before its own are set.
  func creationMode(_ node: CatarNode) -> UInt32 {
    guard wanted(node).hasPermissions else { return 0o666 }
    let isPublic = node.permissions == 0o644 || node.permissions == 0o755
    // With an ACL the bits of the group are only a bound.
    return isPublic && node.acl == CatarACL() ? node.permissions : 0o600
  }

  /// Everything that does not keep the node from being renamed, in casync's order.
  /// - Parameter status: what it is like now.
  func complete(_ node: CatarNode, _ file: File, _ status: NodeStatus) throws {
    let wanted = wanted(node)
    let isSymlink = if case .symlink = node.content { true } else { false }
    var permissions = status.mode & 0o7777
    if wanted.hasNumericIDs || wanted.contains(.userNames) {
      let uid = try owner(node.uid, node.user, names.uid, wanted, file)
      let gid = try owner(node.gid, node.group, names.gid, wanted, file)
      if uid != status.uid || gid != status.gid {
        try file.setOwner(uid: uid, gid: gid)
        // That may have cleared some of the bits.
        permissions = .max
      }
    }
    if !isSymlink {
      try setPermissions(node, file, wanted, present: permissions)
      let present = wanted.isDisjoint(with: [.acl, .xattrs]) ? [] : try file.xattrNames()
      if wanted.contains(.acl) { try setACLs(node, file, wanted, present) }
      if wanted.contains(.xattrs) { try setXattrs(node, file, present) }
      if wanted.contains(.fcaps), case .regular = node.content { try setCapabilities(node, file) }
    }
    if wanted.contains(.selinux), let label = node.label {
      try file.setXattr(XattrName.label, label + [0])
    }
    try setTime(node, file, wanted)
  }

  /// What may keep the node from being changed: last, under its final name.
  /// - Parameter attributes: of chattr(1), if known.
  func guardNode(_ node: CatarNode, _ file: File, _ attributes: UInt32?) throws {
    let wanted = wanted(node)
    _ = try setAttributes(node, file, wanted.intersection(.chattr), present: attributes)
    if node.attributes.contains(.subvolumeReadOnly), wanted.contains(.subvolumeReadOnly),
      try file.nodeStatus().inode == 256
    {
      try file.setReadOnlySubvolume(true)
    }
    guard isFAT, !wanted.isDisjoint(with: .fatAttributes), let present = try file.fatAttributes() else {
      return
    }
    let mask = AttributeMap.fat(wanted)
    let attributes = present & ~mask | AttributeMap.fat(node.attributes.intersection(wanted))
    if attributes != present { try file.setFATAttributes(attributes) }
  }

  // MARK: Owners

  private func owner(
    _ id: UInt32, _ name: [UInt8]?, _ look: ([UInt8]) -> UInt32?, _ wanted: FeatureFlags, _ file: File
  ) throws -> UInt32 {
    var id = id
    if wanted.contains(.userNames), let name {
      if let known = look(name) { return known }
      let text = String(decoding: name, as: UTF8.self)
      guard let number = UInt32(text) else {
        throw ArchiveError(
          .unsupported, "\(file.path): nobody here is called \(text)",
          hint: "--without=user-names goes by the number alone")
      }
      id = number
    } else if !wanted.hasNumericIDs {
      return 0
    }
    guard let restored = shift.restored(id) else {
      throw ArchiveError(.unsupported, "\(file.path): its owner \(id) cannot be shifted")
    }
    return restored
  }

  // MARK: Permissions

  private func setPermissions(
    _ node: CatarNode, _ file: File, _ wanted: FeatureFlags, present: UInt32
  ) throws {
    if wanted.hasPermissions {
      if present != node.permissions { try file.setPermissions(node.permissions) }
      return
    }
    guard wanted.contains(.readOnly) else { return }
    guard node.permissions & 0o222 == 0 else { return }
    try file.setPermissions(file.nodeStatus().mode & 0o7777 & ~0o222)
  }

  private func setACLs(
    _ node: CatarNode, _ file: File, _ wanted: FeatureFlags, _ present: [[UInt8]]
  ) throws {
    func remove(_ name: [UInt8]) throws {
      if present.contains(name) { try file.removeXattr(name) }
    }
    let acl = node.acl
    func entries(_ list: [CatarACL.Entry], _ look: ([UInt8]) -> UInt32?) throws -> [(
      id: UInt32, permissions: UInt8
    )] {
      try list.map { (try owner($0.id, $0.name, look, wanted, file), $0.permissions) }
    }
    func bits(_ shift: UInt32) -> UInt8 { UInt8(node.permissions >> shift & 7) }
    if acl.groupObject == nil, acl.users.isEmpty, acl.groups.isEmpty {
      try remove(XattrName.accessACL)
    } else {
      let value = PosixACL(
        user: bits(6), users: try entries(acl.users, names.uid), group: acl.groupObject ?? bits(3),
        groups: try entries(acl.groups, names.gid), mask: bits(3), other: bits(0))
      try file.setXattr(XattrName.accessACL, value.encoded)
    }
    guard node.content == .directory else { return }
    guard let defaults = acl.defaults else { return try remove(XattrName.defaultACL) }
    let value = PosixACL(
      user: defaults.user, users: try entries(acl.defaultUsers, names.uid), group: defaults.group,
      groups: try entries(acl.defaultGroups, names.gid), mask: defaults.mask, other: defaults.other)
    try file.setXattr(XattrName.defaultACL, value.encoded)
  }

  // MARK: Extended attributes

  private func setXattrs(_ node: CatarNode, _ file: File, _ names: [[UInt8]]) throws {
    switch node.content {
    case .regular, .directory: break
    default: return
    }
    let present = names.filter(CatarNode.isStored(xattr:))
    for name in present where !node.xattrs.contains(where: { $0.name == name }) { try file.removeXattr(name) }
    for xattr in node.xattrs { try file.setXattr(xattr.name, xattr.value) }
  }

  private func setCapabilities(_ node: CatarNode, _ file: File) throws {
    // A file that was just made has none to be removed.
    guard let value = node.capabilities else { return }
    try file.setXattr(XattrName.capability, value)
  }

  // MARK: Times and attributes

  private func setTime(_ node: CatarNode, _ file: File, _ wanted: FeatureFlags) throws {
    guard !wanted.isDisjoint(with: .times), let granularity = node.features.granularity else { return }
    try file.setModified(node.modified)
    let status = try file.nodeStatus()
    let seconds = UInt64(clamping: status.seconds)
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let stored = overflow ? UInt64.max : product &+ UInt64(status.nanoseconds)
    guard stored - stored % granularity == node.modified else {
      throw ArchiveError(
        .unsupported, "\(file.path): its file system does not hold the archive's time",
        hint: "leave times out by naming what is wanted with --with=")
    }
  }

  /// - Parameter present: the attributes that it has, if known.
  /// - Returns: those that it has then, if they were asked for.
  private func setAttributes(
    _ node: CatarNode, _ file: File, _ features: FeatureFlags, present known: UInt32?
  ) throws -> UInt32? {
    switch node.content {
    case .regular, .directory: break
    default: return nil
    }
    guard !features.isEmpty else { return nil }
    let value = AttributeMap.chattr(node.attributes.intersection(features))
    guard let present = try known ?? file.attributes() else {
      guard value != 0 else { return nil }
      throw ArchiveError(
        .unsupported, "\(file.path): its file system has no chattr attributes",
        hint: "--without=chattr leaves them out")
    }
    let attributes = present & ~AttributeMap.chattr(features) | value
    guard attributes != present else { return present }
    do {
      try file.setAttributes(attributes)
    } catch let error as SystemError where error.isUnsupported {
      throw ArchiveError(.unsupported, "\(error)", hint: "--without=chattr leaves such attributes out")
    }
    return attributes
  }
}
