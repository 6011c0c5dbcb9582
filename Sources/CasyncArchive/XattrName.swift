/// Extended attributes of Linux that an archive has records of its own for.
enum XattrName {
  static let capability = Array("security.capability".utf8)
  static let label = Array("security.selinux".utf8)
  static let accessACL = Array("system.posix_acl_access".utf8)
  static let defaultACL = Array("system.posix_acl_default".utf8)
}
