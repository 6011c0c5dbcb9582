import CasyncFormat

/// What a tar archive says of a file.
struct TarEntry {
  enum Content {
    /// What an archive of ours calls it, too.
    case node(CatarNode.Content)
    /// Another name for a file that came before.
    case hardlink(to: [UInt8])
  }

  /// An entry of an ACL; the number is missing where the archive has the name alone.
  struct ACLEntry {
    let isDefault: Bool
    let tag: UInt16
    let permissions: UInt8
    let id: UInt32?
    let name: [UInt8]?
  }

  var path: [UInt8]
  var content: Content
  var permissions: UInt32 = 0
  var uid: UInt64 = 0
  var gid: UInt64 = 0
  var user: [UInt8]?
  var group: [UInt8]?
  var seconds: Int64 = 0
  var nanoseconds: UInt32 = 0
  var xattrs: [CatarNode.Xattr] = []
  var acl: [ACLEntry] = []
}
