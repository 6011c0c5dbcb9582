/// A file, directory or other node of an archive: everything that its records say but its content and its
/// children.
public struct CatarNode: Equatable, Sendable {
  /// What a node is, and what belongs to that.
  public enum Content: Equatable, Sendable {
    case regular(size: UInt64)
    case directory
    case symlink(target: [UInt8])
    case blockDevice(major: UInt32, minor: UInt32)
    case characterDevice(major: UInt32, minor: UInt32)
    case fifo
    case socket
  }

  /// Feature flags of the archive: the same in each node.
  public var features: FeatureFlags
  public var content: Content
  /// Permission bits, 07777; without the feature `permissions` or `acl` what stands for them.
  public var permissions: UInt32
  /// The attributes that are on: some of FAT's, chattr's, subvolume and subvolume-ro.
  public var attributes: FeatureFlags
  public var uid: UInt32
  public var gid: UInt32
  /// Modification time in nanoseconds since 1970.
  public var modified: UInt64
  public var user: [UInt8]?
  public var group: [UInt8]?
  /// Extended attributes, ascending by name.
  public var xattrs: [Xattr] = []
  public var acl = CatarACL()
  public var label: [UInt8]?
  /// The raw value of `security.capability`.
  public var capabilities: [UInt8]?
  public var projectID: UInt32?

  public struct Xattr: Equatable, Sendable {
    public var name: [UInt8]
    public var value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
      self.name = name
      self.value = value
    }
  }

  public init(
    features: FeatureFlags, content: Content, permissions: UInt32, attributes: FeatureFlags = [],
    uid: UInt32 = 0, gid: UInt32 = 0, modified: UInt64 = 0
  ) {
    self.features = features
    self.content = content
    self.permissions = permissions
    self.attributes = attributes
    self.uid = uid
    self.gid = gid
    self.modified = modified
  }

  /// Directories that may be inside one another, the top one counted.
  package static var maximumDepth: Int { CatarRecord.maximumDepth }

  /// File type and permission bits as in `stat`.
  public var mode: UInt32 { content.type | permissions }
}

extension CatarNode.Content {
  package static let typeMask: UInt32 = 0o170000

  /// The file type bits of `stat`.
  package var type: UInt32 {
    switch self {
    case .regular: 0o100000
    case .directory: 0o040000
    case .symlink: 0o120000
    case .blockDevice: 0o060000
    case .characterDevice: 0o020000
    case .fifo: 0o010000
    case .socket: 0o140000
    }
  }
}

extension FeatureFlags {
  /// The permission bits that an ENTRY holds for a file with the bits `permissions` (docs/formats/catar.md,
  /// mode).
  package func stored(permissions: UInt32, of content: CatarNode.Content) -> UInt32 {
    if case .symlink = content { return 0o777 }
    if hasPermissions { return permissions & 0o7777 }
    let isDirectory = content == .directory
    if contains(.readOnly), permissions & 0o222 == 0 { return isDirectory ? 0o555 : 0o444 }
    return isDirectory ? 0o777 : 0o666
  }
}

/// The access and default ACL of a node, as far as the permission bits do not say it.
public struct CatarACL: Equatable, Sendable {
  /// An entry for one user or group. Permissions: read 4, write 2, execute 1.
  public struct Entry: Equatable, Sendable {
    public var id: UInt32
    public var permissions: UInt8
    public var name: [UInt8]?

    public init(id: UInt32, permissions: UInt8, name: [UInt8]? = nil) {
      self.id = id
      self.permissions = permissions
      self.name = name
    }

    /// The order of records: by ID, without a name first, by name, by permissions.
    static func < (a: Entry, b: Entry) -> Bool {
      if a.id != b.id { return a.id < b.id }
      if a.name != b.name {
        guard let nameA = a.name else { return true }
        guard let nameB = b.name else { return false }
        return nameA.lexicographicallyPrecedes(nameB)
      }
      return a.permissions < b.permissions
    }
  }

  /// The default ACL's entries that are not for one user or group.
  public struct Default: Equatable, Sendable {
    public var user: UInt8
    public var group: UInt8
    public var other: UInt8
    public var mask: UInt8?

    public init(user: UInt8, group: UInt8, other: UInt8, mask: UInt8?) {
      self.user = user
      self.group = group
      self.other = other
      self.mask = mask
    }
  }

  public var users: [Entry] = []
  public var groups: [Entry] = []
  /// Permissions of the owning group where the mode's group bits are the mask.
  public var groupObject: UInt8?
  public var defaults: Default?
  public var defaultUsers: [Entry] = []
  public var defaultGroups: [Entry] = []

  public init() {}

  /// Whether the permission bits say it all.
  public var isEmpty: Bool { self == CatarACL() }

  /// Puts the entries in the order of their records.
  package mutating func sort() {
    users.sort { $0 < $1 }
    groups.sort { $0 < $1 }
    defaultUsers.sort { $0 < $1 }
    defaultGroups.sort { $0 < $1 }
  }
}
