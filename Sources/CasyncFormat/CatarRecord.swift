/// The records of an archive: `u64 size` with these 16 bytes, `u64 type`, body (docs/formats/catar.md,
/// records).
enum CatarRecord: UInt64 {
  case entry = 0x1396_fabc_ea5b_bb51
  case user = 0xf453_131a_aeea_ccb3
  case group = 0x25eb_6ac9_6939_6a52
  case xattr = 0xb815_7091_f80b_c486
  case aclUser = 0x297d_c88b_2ef1_2faf
  case aclGroup = 0x36f2_acb5_6cb3_dd0b
  case aclGroupObject = 0x2304_7110_441f_38f3
  case aclDefault = 0xfe3e_eda6_823c_8cd0
  case aclDefaultUser = 0xbdf0_3df9_bd01_0a91
  case aclDefaultGroup = 0xa0cb_1168_782d_1f51
  case selinux = 0x46fa_f060_2fd2_6c59
  case fcaps = 0xf726_7db0_afed_0629
  case quotaProjectID = 0x161b_af2d_8772_a72b
  case symlink = 0x664a_6fb6_830e_0d6c
  case device = 0xac3d_ace3_69df_e643
  case payload = 0x8b9e_1d93_d6dc_ffc9
  case filename = 0x6dbb_6ebc_b316_1f0b
  case goodbye = 0xdfd3_5c5e_8327_c403

  static let headerLength = 16
  static let goodbyeMarker: UInt64 = 0x5744_6fa5_3370_2943
  /// Bytes of a GOODBYE's item, and of its tail.
  static let goodbyeItemLength = 24
  /// Directories inside one another, the top one included.
  static let maximumDepth = 64

  /// Sizes that a record may have, header included.
  var sizes: ClosedRange<UInt64> {
    switch self {
    case .entry: 64...64
    case .user, .group: 18...272
    case .xattr: 20...65808
    case .aclUser, .aclGroup, .aclDefaultUser, .aclDefaultGroup: 32...288
    case .aclGroupObject, .quotaProjectID: 24...24
    case .aclDefault: 48...48
    case .selinux, .symlink: 18...4112
    case .fcaps: 16...65552
    case .device: 32...32
    case .payload: 16...UInt64.max
    case .filename: 18...272
    case .goodbye: 40...UInt64.max
    }
  }
}
