package import CasyncFormat

extension CatarNode {
  /// What a node has of extended attributes on Linux, ACLs, capabilities and label among them.
  /// - Parameter owner: the number here of a user or group of the archive.
  package func linuxXattrs(owner: (UInt32) -> UInt32) -> [Xattr] {
    var all = xattrs
    if let access = PosixACL(accessOf: self, id: { owner($0.id) }) {
      all.append(Xattr(name: XattrName.accessACL, value: access.encoded))
    }
    if let defaults = PosixACL(defaultOf: self, id: { owner($0.id) }) {
      all.append(Xattr(name: XattrName.defaultACL, value: defaults.encoded))
    }
    if let capabilities { all.append(Xattr(name: XattrName.capability, value: capabilities)) }
    if let label { all.append(Xattr(name: XattrName.label, value: label + [0])) }
    return all
  }

  /// The attributes of chattr(1), FS_*_FL, and of FAT.
  package var chattrFlags: UInt32 { AttributeMap.chattr(attributes) }
  package var fatFlags: UInt32 { AttributeMap.fat(attributes) }
}

extension PosixACL {
  /// The access ACL of a node; `nil` where the permission bits say it all.
  /// - Parameter id: the number of who an entry is for.
  init?(accessOf node: CatarNode, id: (CatarACL.Entry) throws -> UInt32) rethrows {
    let acl = node.acl
    guard acl.groupObject != nil || !acl.users.isEmpty || !acl.groups.isEmpty else { return nil }
    func bits(_ shift: UInt32) -> UInt8 { UInt8(node.permissions >> shift & 7) }
    self.init(
      user: bits(6), users: try acl.users.map { (try id($0), $0.permissions) },
      group: acl.groupObject ?? bits(3), groups: try acl.groups.map { (try id($0), $0.permissions) },
      mask: bits(3), other: bits(0))
  }

  /// The default ACL of a directory; `nil` where it has none.
  init?(defaultOf node: CatarNode, id: (CatarACL.Entry) throws -> UInt32) rethrows {
    guard let defaults = node.acl.defaults else { return nil }
    self.init(
      user: defaults.user, users: try node.acl.defaultUsers.map { (try id($0), $0.permissions) },
      group: defaults.group, groups: try node.acl.defaultGroups.map { (try id($0), $0.permissions) },
      mask: defaults.mask, other: defaults.other)
  }
}
