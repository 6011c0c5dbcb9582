package import CasyncFormat
package import CasyncIO

/// Makes a tar archive of the nodes of an archive, in their order.
///
/// Not to be shared between threads.
package final class TarTreeWriter {
  private let writer: TarWriter
  private let mask: FeatureFlags
  private let shift: UIDShift
  /// Whether the node entered last is in the tar archive.
  private var isIn = false
  /// Sockets, which tar cannot hold.
  package private(set) var leftOut = 0

  /// - Parameters:
  ///   - file: where it goes.
  ///   - mask: what of the metadata is wanted.
  package init(_ file: File, mask: FeatureFlags, shift: UIDShift) throws {
    writer = try TarWriter(file)
    self.mask = mask
    self.shift = shift
  }

  /// A node begins.
  /// - Parameter path: from the top directory down; `.` is that itself.
  package func enter(_ path: [UInt8], _ node: CatarNode) throws {
    let wanted = node.features.restored(by: mask)
    isIn = wanted.archives(node.content) && node.content != .socket
    if node.content == .socket { leftOut += 1 }
    guard isIn else { return }
    var entry = TarEntry(
      path: path == [0x2e] ? Array("./".utf8) : Array("./".utf8) + path, content: .node(node.content))
    entry.permissions = node.permissions
    if wanted.hasNumericIDs {
      guard let uid = shift.restored(node.uid), let gid = shift.restored(node.gid) else {
        throw ArchiveError(
          .unsupported, "\(String(decoding: path, as: UTF8.self)): its owner cannot be shifted")
      }
      (entry.uid, entry.gid) = (UInt64(uid), UInt64(gid))
    }
    if wanted.contains(.userNames) {
      entry.user = node.user ?? (node.uid == 0 ? Array("root".utf8) : nil)
      entry.group = node.group ?? (node.gid == 0 ? Array("root".utf8) : nil)
    }
    if !wanted.isDisjoint(with: .times) {
      entry.seconds = Int64(node.modified / 1_000_000_000)
      entry.nanoseconds = UInt32(node.modified % 1_000_000_000)
    }
    if wanted.contains(.xattrs) { entry.xattrs = node.xattrs }
    if wanted.contains(.fcaps), let value = node.capabilities {
      entry.xattrs.append(CatarNode.Xattr(name: Array("security.capability".utf8), value: value))
    }
    if wanted.contains(.selinux), let label = node.label {
      entry.xattrs.append(CatarNode.Xattr(name: Array("security.selinux".utf8), value: label + [0]))
    }
    if wanted.contains(.acl) { entry.acl = acl(node) }
    try writer.begin(entry)
  }

  /// The next bytes of the regular file that was entered last.
  package func content(_ bytes: RawSpan) throws { if isIn { try writer.write(bytes) } }

  /// The archive is at its end.
  package func finish() throws { try writer.finish() }

  private func acl(_ node: CatarNode) -> [TarEntry.ACLEntry] {
    var entries = [TarEntry.ACLEntry]()
    func add(_ tag: UInt16, _ permissions: UInt8, isDefault: Bool = false) {
      entries.append(
        TarEntry.ACLEntry(isDefault: isDefault, tag: tag, permissions: permissions, id: nil, name: nil))
    }
    func add(_ tag: UInt16, _ list: [CatarACL.Entry], isDefault: Bool = false) {
      for entry in list {
        let root = entry.id == 0 ? Array("root".utf8) : nil
        entries.append(
          TarEntry.ACLEntry(
            isDefault: isDefault, tag: tag, permissions: entry.permissions, id: shift.restored(entry.id),
            name: entry.name ?? root))
      }
    }
    let acl = node.acl
    if acl.groupObject != nil || !acl.users.isEmpty || !acl.groups.isEmpty {
      add(PosixACL.Tag.user, acl.users)
      add(PosixACL.Tag.groupObject, acl.groupObject ?? UInt8(node.permissions >> 3 & 7))
      add(PosixACL.Tag.group, acl.groups)
      add(PosixACL.Tag.mask, UInt8(node.permissions >> 3 & 7))
    }
    if let defaults = acl.defaults {
      add(PosixACL.Tag.userObject, defaults.user, isDefault: true)
      add(PosixACL.Tag.user, acl.defaultUsers, isDefault: true)
      add(PosixACL.Tag.groupObject, defaults.group, isDefault: true)
      add(PosixACL.Tag.group, acl.defaultGroups, isDefault: true)
      if let mask = defaults.mask { add(PosixACL.Tag.mask, mask, isDefault: true) }
      add(PosixACL.Tag.other, defaults.other, isDefault: true)
    }
    return entries
  }
}
