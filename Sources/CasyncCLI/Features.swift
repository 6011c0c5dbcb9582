internal import CasyncFormat

/// The names that `--with=` and `--without=` take (casync caformat-util.c; the bits: docs/formats/index.md).
///
/// A blob has none of these features, but casync writes the flags into its index all the same.
enum Features {
  /// The single features, from bit 0 up.
  static let names: [(name: String, bits: UInt64)] = [
    "16bit-uids", "32bit-uids", "user-names", "sec-time", "usec-time", "nsec-time", "2sec-time", "read-only",
    "permissions", "symlinks", "device-nodes", "fifos", "sockets", "flag-hidden", "flag-system",
    "flag-archive",
    "flag-append", "flag-noatime", "flag-compr", "flag-nocow", "flag-nodump", "flag-dirsync",
    "flag-immutable",
    "flag-sync", "flag-nocomp", "flag-projinherit", "subvolume", "subvolume-ro", "xattrs", "acl", "selinux",
    "fcaps", "quota-projid",
  ].enumerated().map { ($1, 1 << UInt64($0)) }

  static let groups: [(name: String, bits: UInt64)] = [
    ("best", 0x1_ffff_fe26), ("unix", 0x1f09), ("fat", 0xe0c0), ("chattr", 0x3ff_0000), ("fat-attrs", 0xe000),
    ("privileged", 0x1_ec41_4407), ("fuse", 0x13ff_fffb), ("all", 0x1_ffff_ffff),
  ]

  /// The bits of a feature or group.
  static func value(of name: String) -> UInt64? {
    (groups + names).first { $0.name == name }?.bits
  }

  /// The flags of a blob's index that the options of `make` ask for.
  static func flags(for arguments: Arguments, digest: DigestAlgorithm) -> FeatureFlags {
    func union(_ name: Option.Name) -> UInt64 {
      arguments.values(name).compactMap(value).reduce(0, |)
    }
    var flags = FeatureFlags(rawValue: union(.with) & ~union(.without))
    if digest == .sha512_256 { flags.insert(.sha512_256) }
    if arguments.boolean(.excludeNodump) ?? true { flags.insert(.excludeNodump) }
    if arguments.boolean(.excludeSubmounts) ?? false { flags.insert(.excludeSubmounts) }
    if arguments.boolean(.excludeFile) ?? true { flags.insert(.excludeFile) }
    return flags
  }
}
