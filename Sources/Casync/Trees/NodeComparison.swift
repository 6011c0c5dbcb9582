import CasyncFormat

/// In what two nodes differ, as far as both archives hold it.
enum NodeComparison {
  typealias Field = (what: String, expected: String, found: String)

  static func type(_ node: CatarNode) -> String {
    switch node.content {
    case .regular: "file"
    case .directory: "directory"
    case .symlink: "link"
    case .blockDevice: "block device"
    case .characterDevice: "character device"
    case .fifo: "fifo"
    case .socket: "socket"
    }
  }

  static func differences(_ expected: ComparedNode, _ found: ComparedNode) -> [Field] {
    let (a, b) = (expected.node, found.node)
    guard type(a) == type(b) else { return [("type", type(a), type(b))] }
    var fields = [content(expected, found)].compactMap { $0 }
    // The found node's features are the common ones.
    let features = b.features
    func add(_ what: String, _ expected: String?, _ found: String?) {
      if expected != found { fields.append((what, expected ?? "none", found ?? "none")) }
    }
    func text(_ bytes: [UInt8]?) -> String? { bytes.map(NodeText.escaped) }
    add(
      "mode", octal(features.stored(permissions: a.permissions, of: a.content)), octal(b.permissions))
    if features.hasNumericIDs {
      add("uid", "\(a.uid)", "\(b.uid)")
      add("gid", "\(a.gid)", "\(b.gid)")
    }
    if features.contains(.userNames) {
      add("user", text(a.user), text(b.user))
      add("group", text(a.group), text(b.group))
    }
    if let granularity = features.granularity {
      add("time", time(a.modified - a.modified % granularity), time(b.modified))
    }
    add("attributes", words(a.attributes.intersection(features)), words(b.attributes))
    if features.contains(.xattrs) { fields += xattrs(a, b) }
    if features.contains(.acl), a.acl != b.acl { fields.append(("acl", acl(a.acl), acl(b.acl))) }
    if features.contains(.selinux) { add("label", text(a.label), text(b.label)) }
    if features.contains(.fcaps) { add("capabilities", hex(a.capabilities), hex(b.capabilities)) }
    if features.contains(.quotaProjectID) {
      add("project", a.projectID.map(String.init), b.projectID.map(String.init))
    }
    return fields
  }

  private static func content(_ expected: ComparedNode, _ found: ComparedNode) -> Field? {
    switch (expected.node.content, found.node.content) {
    case (.regular(let a), .regular(let b)) where a != b: ("size", "\(a)", "\(b)")
    case (.regular, .regular) where expected.content != found.content:
      ("content", expected.content?.hex ?? "none", found.content?.hex ?? "none")
    case (.symlink(let a), .symlink(let b)) where a != b:
      ("target", NodeText.escaped(a), NodeText.escaped(b))
    case (.blockDevice(let major, let minor), .blockDevice(let otherMajor, let otherMinor)),
      (.characterDevice(let major, let minor), .characterDevice(let otherMajor, let otherMinor)):
      major == otherMajor && minor == otherMinor
        ? nil : ("device", "\(major):\(minor)", "\(otherMajor):\(otherMinor)")
    default: nil
    }
  }

  private static func xattrs(_ a: CatarNode, _ b: CatarNode) -> [Field] {
    let expected = Dictionary(a.xattrs.map { ($0.name, $0.value) }) { first, _ in first }
    let found = Dictionary(b.xattrs.map { ($0.name, $0.value) }) { first, _ in first }
    let names = Set(expected.keys).union(found.keys).sorted { $0.lexicographicallyPrecedes($1) }
    return names.filter { expected[$0] != found[$0] }.map { name in
      func text(_ value: [UInt8]?) -> String { value.map { "\"\(NodeText.escaped($0))\"" } ?? "none" }
      return ("xattr \(NodeText.escaped(name))", text(expected[name]), text(found[name]))
    }
  }

  /// In the short form of setfacl(1), by number.
  private static func acl(_ acl: CatarACL) -> String {
    func permissions(_ bits: UInt8) -> String {
      (bits & 4 != 0 ? "r" : "-") + (bits & 2 != 0 ? "w" : "-") + (bits & 1 != 0 ? "x" : "-")
    }
    func entries(_ tag: String, _ list: [CatarACL.Entry]) -> [String] {
      list.map { "\(tag):\($0.id):\(permissions($0.permissions))" }
    }
    var words = entries("u", acl.users) + entries("g", acl.groups)
    if let group = acl.groupObject { words.append("g::\(permissions(group))") }
    if let defaults = acl.defaults {
      words.append("d:u::\(permissions(defaults.user))")
      words.append("d:g::\(permissions(defaults.group))")
      words.append("d:o::\(permissions(defaults.other))")
      if let mask = defaults.mask { words.append("d:m::\(permissions(mask))") }
    }
    words += entries("d:u", acl.defaultUsers) + entries("d:g", acl.defaultGroups)
    return words.isEmpty ? "none" : words.joined(separator: ",")
  }

  private static func octal(_ permissions: UInt32) -> String {
    let digits = String(permissions, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
  }

  private static func time(_ nanoseconds: UInt64) -> String {
    let rest = String(nanoseconds % 1_000_000_000)
    return "\(nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 9 - rest.utf8.count) + rest
  }

  private static func hex(_ bytes: [UInt8]?) -> String? {
    bytes.map { $0.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
  }

  private static func words(_ attributes: FeatureFlags) -> String {
    let names: [(FeatureFlags, String)] = [
      (.flagHidden, "hidden"), (.flagSystem, "system"), (.flagArchive, "archive"), (.subvolume, "subvolume"),
      (.subvolumeReadOnly, "subvolume-ro"),
    ]
    let chattr: [(UInt64, String)] = [
      (0x1_0000, "append"), (0x2_0000, "noatime"), (0x4_0000, "compr"), (0x8_0000, "nocow"),
      (0x10_0000, "nodump"), (0x20_0000, "dirsync"), (0x40_0000, "immutable"), (0x80_0000, "sync"),
      (0x100_0000, "nocomp"), (0x200_0000, "projinherit"),
    ]
    let words =
      names.filter { attributes.contains($0.0) }.map(\.1)
      + chattr.filter { attributes.rawValue & $0.0 != 0 }.map(\.1)
    return words.isEmpty ? "none" : words.joined(separator: ",")
  }
}
