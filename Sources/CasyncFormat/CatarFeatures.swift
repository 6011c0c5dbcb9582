/// The features of an archive: what of a file's metadata it holds (docs/formats/catar.md, features).
extension FeatureFlags {
  package static let symlinks = FeatureFlags(rawValue: 0x200)
  package static let deviceNodes = FeatureFlags(rawValue: 0x400)
  package static let fifos = FeatureFlags(rawValue: 0x800)
  package static let sockets = FeatureFlags(rawValue: 0x1000)
  package static let flagHidden = FeatureFlags(rawValue: 0x2000)
  package static let flagSystem = FeatureFlags(rawValue: 0x4000)
  package static let flagArchive = FeatureFlags(rawValue: 0x8000)
  package static let flagAppend = FeatureFlags(rawValue: 0x1_0000)
  package static let flagImmutable = FeatureFlags(rawValue: 0x40_0000)
  package static let xattrs = FeatureFlags(rawValue: 0x1000_0000)
  package static let selinux = FeatureFlags(rawValue: 0x4000_0000)
  package static let fcaps = FeatureFlags(rawValue: 0x8000_0000)
  package static let quotaProjectID = FeatureFlags(rawValue: 0x1_0000_0000)

  /// Every single feature.
  public static let allFeatures = FeatureFlags(rawValue: 0x1_ffff_ffff)
  /// The attributes of FAT: hidden, system, archive.
  package static let fatAttributes = FeatureFlags(rawValue: 0xe000)
  /// The attributes of chattr(1).
  package static let chattr = FeatureFlags(rawValue: 0x3ff_0000)
  /// What flags say of an archive as a whole: its digest, and what was left out.
  package static let archiveWide: FeatureFlags = [
    .sha512_256, .excludeNodump, .excludeSubmounts, .excludeFile,
  ]
  /// Features that an ENTRY's own flags tell of.
  static let entryFlags: FeatureFlags = [.fatAttributes, .chattr, .subvolume, .subvolumeReadOnly]
  static let numericIDs: FeatureFlags = [.uids16, .uids32]
  package static let times: FeatureFlags = [.nanosecondTime, .microsecondTime, .secondTime, .twoSecondTime]

  /// Whether user and group are held as numbers.
  package var hasNumericIDs: Bool { !isDisjoint(with: Self.numericIDs) }
  /// Whether the permission bits are held, by themselves or with the ACL.
  package var hasPermissions: Bool { !isDisjoint(with: [.permissions, .acl]) }

  /// Nanoseconds that a time in the archive is a multiple of; `nil` where there are no times.
  package var granularity: UInt64? {
    if contains(.nanosecondTime) { return 1 }
    if contains(.microsecondTime) { return 1000 }
    if contains(.secondTime) { return 1_000_000_000 }
    return contains(.twoSecondTime) ? 2_000_000_000 : nil
  }

  /// Whether nodes of a type go into the archive.
  package func archives(_ content: CatarNode.Content) -> Bool { archives(mode: content.type) }

  /// The same by the type bits of `stat`.
  package func archives(mode: UInt32) -> Bool {
    switch mode & CatarNode.Content.typeMask {
    case 0o040000, 0o100000: true
    case 0o120000: contains(.symlinks)
    case 0o060000, 0o020000: contains(.deviceNodes)
    case 0o010000: contains(.fifos)
    case 0o140000: contains(.sockets)
    default: false
    }
  }

  /// What of an archive with these flags is restored when only `mask` is wanted (`--with=`, `--without=` of
  /// extract).
  package func restored(by mask: FeatureFlags) -> FeatureFlags {
    expanded.intersection(mask.expanded).normalized
  }

  /// With everything that can be had from what is there: coarser times, plain permissions.
  private var expanded: FeatureFlags {
    var flags = self
    if hasNumericIDs { flags.formUnion(Self.numericIDs) }
    if !isDisjoint(with: Self.times) { flags.formUnion(Self.times) }
    if contains(.acl) { flags.formUnion([.permissions, .readOnly]) }
    if contains(.permissions) { flags.insert(.readOnly) }
    if contains(.subvolumeReadOnly) { flags.insert(.subvolume) }
    return flags
  }
}
