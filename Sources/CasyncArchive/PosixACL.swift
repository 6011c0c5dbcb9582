import CasyncFormat

/// ACLs as Linux keeps them in `system.posix_acl_access` and `system.posix_acl_default`: a version, then for
/// each entry a tag, permissions and a number (linux posix_acl_xattr.h).
struct PosixACL: Equatable {
  struct Entry: Equatable {
    let tag: UInt16
    let permissions: UInt8
    let id: UInt32
  }

  enum Tag {
    static let userObject: UInt16 = 1
    static let user: UInt16 = 2
    static let groupObject: UInt16 = 4
    static let group: UInt16 = 8
    static let mask: UInt16 = 16
    static let other: UInt16 = 32
  }

  private static let version: UInt32 = 2
  private static let nobody = UInt32.max

  var entries: [Entry] = []

  init(_ entries: [Entry]) { self.entries = entries }

  /// `nil` for bytes that are no ACL of this version.
  init?(_ bytes: RawSpan) {
    guard bytes.word32(at: 0) == Self.version, (bytes.byteCount - 4) % 8 == 0 else { return nil }
    for offset in stride(from: 4, to: bytes.byteCount, by: 8) {
      guard let word = bytes.word32(at: offset), let id = bytes.word32(at: offset + 4) else { return nil }
      entries.append(
        Entry(
          tag: UInt16(truncatingIfNeeded: word), permissions: UInt8(truncatingIfNeeded: word >> 16 & 7),
          id: id))
    }
  }

  /// The value of the attribute.
  var encoded: [UInt8] {
    var bytes = [UInt8]()
    func append(_ word: UInt32) {
      for shift in stride(from: UInt32(0), to: 32, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: word >> shift))
      }
    }
    append(Self.version)
    for entry in entries {
      append(UInt32(entry.tag) | UInt32(entry.permissions) << 16)
      append(entry.id)
    }
    return bytes
  }

  func permissions(_ tag: UInt16) -> UInt8? { entries.first { $0.tag == tag }?.permissions }

  /// An ACL of the three owner entries, users and groups by number, and the mask.
  init(
    user: UInt8, users: [(id: UInt32, permissions: UInt8)], group: UInt8,
    groups: [(id: UInt32, permissions: UInt8)], mask: UInt8?, other: UInt8
  ) {
    entries.append(Entry(tag: Tag.userObject, permissions: user, id: Self.nobody))
    for entry in users.sorted(by: { $0.id < $1.id }) {
      entries.append(Entry(tag: Tag.user, permissions: entry.permissions, id: entry.id))
    }
    entries.append(Entry(tag: Tag.groupObject, permissions: group, id: Self.nobody))
    for entry in groups.sorted(by: { $0.id < $1.id }) {
      entries.append(Entry(tag: Tag.group, permissions: entry.permissions, id: entry.id))
    }
    if let mask { entries.append(Entry(tag: Tag.mask, permissions: mask, id: Self.nobody)) }
    entries.append(Entry(tag: Tag.other, permissions: other, id: Self.nobody))
  }
}
