import CasyncFormat

/// The attributes of chattr(1) and of FAT as an archive and as Linux number them (linux fs.h, FS_*_FL;
/// msdos_fs.h).
enum AttributeMap {
  /// From the feature's bit to the attribute's.
  private static let chattr: [(feature: UInt64, attribute: UInt32)] = [
    (0x1_0000, 0x20), (0x2_0000, 0x80), (0x4_0000, 0x4), (0x8_0000, 0x80_0000), (0x10_0000, 0x40),
    (0x20_0000, 0x1_0000), (0x40_0000, 0x10), (0x80_0000, 0x8), (0x100_0000, 0x400),
    (0x200_0000, 0x2000_0000),
  ]
  private static let fat: [(feature: UInt64, attribute: UInt32)] = [(0x2000, 2), (0x4000, 4), (0x8000, 32)]

  /// FS_NODUMP_FL.
  static let nodump: UInt32 = 0x40
  /// FS_IMMUTABLE_FL and FS_APPEND_FL: what keeps a file from being changed.
  static let guarding: UInt32 = 0x30

  static func features(chattr attributes: UInt32) -> FeatureFlags { features(attributes, chattr) }
  static func features(fat attributes: UInt32) -> FeatureFlags { features(attributes, fat) }
  static func chattr(_ features: FeatureFlags) -> UInt32 { attributes(features, chattr) }
  static func fat(_ features: FeatureFlags) -> UInt32 { attributes(features, fat) }

  private static func features(_ attributes: UInt32, _ map: [(feature: UInt64, attribute: UInt32)])
    -> FeatureFlags
  {
    FeatureFlags(rawValue: map.reduce(0) { attributes & $1.attribute != 0 ? $0 | $1.feature : $0 })
  }

  private static func attributes(_ features: FeatureFlags, _ map: [(feature: UInt64, attribute: UInt32)])
    -> UInt32
  {
    map.reduce(0) { features.rawValue & $1.feature != 0 ? $0 | $1.attribute : $0 }
  }
}

/// File systems that matter to an archive, by the magic number of statfs(2) (linux magic.h).
enum FileSystemKind {
  case virtual, btrfs, fat, fuse, other

  init(magic: UInt64) {
    switch magic {
    case 0x9fa0, 0x6265_6572, 0x27_e0eb, 0x6367_7270, 0x1cd1, 0x6462_6720, 0x7363_6673, 0xf97c_ff8c,
      0x4249_4e4d,
      0x6265_6570, 0xde5e_81e4, 0x6573_5543, 0x9584_58f6, 0x1980_0202, 0x6e66_7364, 0x6165_676c, 0x6759_6969,
      0x4341_5d53:
      self = .virtual
    case 0x9123_683e: self = .btrfs
    case 0x4d44: self = .fat
    case 0x6573_5546: self = .fuse
    default: self = .other
    }
  }
}
