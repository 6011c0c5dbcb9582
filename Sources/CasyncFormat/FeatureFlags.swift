/// The 64 feature flags of an index header (casync caformat.h, CA_FORMAT_*).
public struct FeatureFlags: OptionSet, Hashable, Sendable {
  public let rawValue: UInt64

  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  package static let uids16 = FeatureFlags(rawValue: 0x1)
  package static let uids32 = FeatureFlags(rawValue: 0x2)
  package static let userNames = FeatureFlags(rawValue: 0x4)
  package static let secondTime = FeatureFlags(rawValue: 0x8)
  package static let microsecondTime = FeatureFlags(rawValue: 0x10)
  package static let nanosecondTime = FeatureFlags(rawValue: 0x20)
  package static let twoSecondTime = FeatureFlags(rawValue: 0x40)
  package static let readOnly = FeatureFlags(rawValue: 0x80)
  package static let permissions = FeatureFlags(rawValue: 0x100)
  package static let flagNodump = FeatureFlags(rawValue: 0x10_0000)
  package static let subvolume = FeatureFlags(rawValue: 0x400_0000)
  package static let subvolumeReadOnly = FeatureFlags(rawValue: 0x800_0000)
  package static let acl = FeatureFlags(rawValue: 0x2000_0000)

  /// `.caexclude` files were honoured.
  public static let excludeFile = FeatureFlags(rawValue: 0x1000_0000_0000_0000)
  /// Chunk IDs and digests are SHA-512/256; SHA-256 when clear.
  public static let sha512_256 = FeatureFlags(rawValue: 0x2000_0000_0000_0000)
  /// Submounts were left out.
  public static let excludeSubmounts = FeatureFlags(rawValue: 0x4000_0000_0000_0000)
  /// Files with the `nodump` attribute were left out.
  public static let excludeNodump = FeatureFlags(rawValue: 0x8000_0000_0000_0000)

  /// Every flag that casync 2 knows (casync caformat.h, CA_FORMAT_FEATURE_FLAGS_MAX).
  package static let known = FeatureFlags(rawValue: 0xf000_0001_ffff_ffff)

  /// What casync's `make` writes for a blob with its default options.
  public static func blob(_ digest: DigestAlgorithm) -> FeatureFlags {
    digest == .sha512_256 ? [.excludeNodump, .excludeFile, .sha512_256] : [.excludeNodump, .excludeFile]
  }

  /// The digest that names the chunks.
  public var digest: DigestAlgorithm { contains(.sha512_256) ? .sha512_256 : .sha256 }

  /// The flags as a writer must write them: what one flag implies is set, what it replaces is clear.
  package var normalized: FeatureFlags {
    var flags = self
    if flags.contains(.acl), flags.isDisjoint(with: [.uids16, .uids32, .userNames]) {
      flags.formUnion([.uids32, .userNames])
    }
    if flags.contains(.uids32) { flags.remove(.uids16) }
    let times: [FeatureFlags] = [.nanosecondTime, .microsecondTime, .secondTime, .twoSecondTime]
    if let finest = times.first(where: flags.contains) {
      for time in times where time != finest { flags.remove(time) }
    }
    if flags.contains(.acl) { flags.subtract([.permissions, .readOnly]) }
    if flags.contains(.permissions) { flags.remove(.readOnly) }
    if flags.contains(.excludeNodump) { flags.remove(.flagNodump) }
    if flags.contains(.subvolumeReadOnly) { flags.insert(.subvolume) }
    return flags
  }
}
