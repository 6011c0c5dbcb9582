import CasyncFormat
import CasyncIO

/// What casync prints of a node (docs/formats/catar.md, texts).
enum NodeText {
  // MARK: list

  static func list(_ item: TreeItem) -> String { "\(mode(item.node)) \(escaped(item.path))\n" }

  /// As `ls -l` shows it.
  static func mode(_ node: CatarNode) -> String {
    let type =
      switch node.content {
      case .regular: "-"
      case .directory: "d"
      case .symlink: "l"
      case .blockDevice: "b"
      case .characterDevice: "c"
      case .fifo: "p"
      case .socket: "s"
      }
    let bits = node.permissions
    func triple(_ shift: UInt32, _ special: UInt32, _ letter: String) -> String {
      let isExecutable = bits >> shift & 1 != 0
      let last =
        bits & special == 0 ? (isExecutable ? "x" : "-") : (isExecutable ? letter : letter.uppercased())
      return (bits >> shift & 4 != 0 ? "r" : "-") + (bits >> shift & 2 != 0 ? "w" : "-") + last
    }
    return type + triple(6, 0o4000, "s") + triple(3, 0o2000, "s") + triple(0, 0o1000, "t")
  }

  /// Blanks, control characters, what is not ASCII, `\` and `#` as three octal digits.
  static func escaped(_ bytes: [UInt8]) -> String {
    var text = ""
    for byte in bytes {
      if byte <= 0x20 || byte >= 0x7f || byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "#") {
        text += "\\" + padded(String(byte, radix: 8), to: 3)
      } else {
        text.unicodeScalars.append(UnicodeScalar(byte))
      }
    }
    return text
  }

  private static func padded(_ digits: String, to count: Int) -> String {
    String(repeating: "0", count: max(0, count - digits.utf8.count)) + digits
  }

  // MARK: mtree

  /// - Parameters:
  ///   - digest: of the content of a regular file.
  ///   - digestName: the word for it.
  static func mtree(_ item: TreeItem, _ digest: ChunkID?, digestName: DigestAlgorithm) -> String {
    let node = item.node
    var fields = [escaped(item.path), "type=\(type(node.content))", "mode=\(octal(node.permissions))"]
    switch node.content {
    case .regular(let size): fields.append("size=\(size)")
    case .symlink(let target): fields.append("link=\(escaped(target))")
    case .blockDevice(let major, let minor), .characterDevice(let major, let minor):
      fields.append("device=linux,\(major),\(minor)")
    case .directory, .fifo, .socket: break
    }
    if node.features.hasNumericIDs { fields += ["uid=\(node.uid)", "gid=\(node.gid)"] }
    if let user = user(node) { fields.append("uname=\(escaped(user))") }
    if let group = group(node) { fields.append("gname=\(escaped(group))") }
    let words = attributeWords(node)
    if !words.isEmpty { fields.append("flags=" + words.joined(separator: ",")) }
    if node.features.granularity != nil { fields.append("time=\(seconds(node)).\(nanoseconds(node))") }
    if let digest { fields.append("\(digestName == .sha256 ? "sha256" : "sha512256")digest=\(digest.hex)") }
    return fields.joined(separator: " ") + "\n"
  }

  private static func type(_ content: CatarNode.Content) -> String {
    switch content {
    case .regular: "file"
    case .directory: "dir"
    case .symlink: "link"
    case .blockDevice: "block"
    case .characterDevice: "char"
    case .fifo: "fifo"
    case .socket: "socket"
    }
  }

  private static func octal(_ permissions: UInt32) -> String {
    padded(String(permissions, radix: 8), to: 4)
  }

  private static func seconds(_ node: CatarNode) -> UInt64 { node.modified / 1_000_000_000 }

  private static func nanoseconds(_ node: CatarNode) -> String {
    padded(String(node.modified % 1_000_000_000), to: 9)
  }

  private static let root = Array("root".utf8)

  private static func user(_ node: CatarNode) -> [UInt8]? {
    guard node.features.contains(.userNames) else { return nil }
    return node.user ?? (node.uid == 0 ? root : nil)
  }

  private static func group(_ node: CatarNode) -> [UInt8]? {
    guard node.features.contains(.userNames) else { return nil }
    return node.group ?? (node.gid == 0 ? root : nil)
  }

  private static func attributeWords(_ node: CatarNode) -> [String] {
    let words: [(FeatureFlags, String)] = [
      (.flagHidden, "hidden"), (.flagSystem, "system"), (.flagArchive, "archive"), (.flagAppend, "sappend"),
      (.flagNodump, "nodump"), (.flagImmutable, "simmutable"),
    ]
    return words.filter { node.features.contains($0.0) }.map { flag, word in
      // Of what has no attributes casync prints every word bare.
      node.attributes.contains(flag) || !hasAttributes(node) ? word : "no" + word
    }
  }

  private static func hasAttributes(_ node: CatarNode) -> Bool {
    switch node.content {
    case .regular, .directory: true
    default: false
    }
  }

  // MARK: stat

  /// - Parameters:
  ///   - isOnDisk: whether the node is a directory's own, not an archive's.
  ///   - content, records: digests of a file's content, and of the node's records.
  static func stat(_ item: TreeItem, isOnDisk: Bool, content: ChunkID?, records: ChunkID?) -> String {
    let node = item.node
    var lines: [(String, String)] = [("File", escaped(item.path)), ("Mode", mode(node))]
    if hasAttributes(node) {
      // casync asks a directory on disk only for what is archived, but always for these.
      lines.append(("FileAttr", letters(node, chattrLetters)))
      if !isOnDisk || !node.features.isDisjoint(with: .fatAttributes) {
        lines.append(("FATAttr", letters(node, fatLetters)))
      }
    }
    lines.append(("Offset", "\(item.offset)"))
    if node.features.granularity != nil {
      let time = LocalTime.text(seconds: seconds(node))
      lines.append(("Time", "\(time).\(nanoseconds(node))"))
    }
    if case .regular(let size) = node.content { lines.append(("Size", "\(size)")) }
    if let owner = owner(user(node), node.uid, node) { lines.append(("User", owner)) }
    if let owner = owner(group(node), node.gid, node) { lines.append(("Group", owner)) }
    if let project = node.projectID { lines.append(("ProjID", "\(project)")) }
    if isOnDisk, node.projectID == nil, node.features.contains(.quotaProjectID) {
      lines.append(("ProjID", "0"))
    }
    switch node.content {
    case .symlink(let target): lines.append(("Target", escaped(target)))
    case .blockDevice(let major, let minor), .characterDevice(let major, let minor):
      lines.append(("Device", "\(major):\(minor)"))
    default: break
    }
    for xattr in node.xattrs {
      lines.append(("XAttr", "\(escaped(xattr.name)) → \(escaped(xattr.value))"))
    }
    if let content { lines.append(("Digest", content.hex)) }
    if let records { lines.append(("HLDigest", records.hex)) }
    return lines.map { name, value in
      String(repeating: " ", count: 8 - name.utf8.count) + "\(name): \(value)\n"
    }.joined()
  }

  private static func owner(_ name: [UInt8]?, _ id: UInt32, _ node: CatarNode) -> String? {
    if let name { return node.features.hasNumericIDs ? "\(escaped(name)) (\(id))" : escaped(name) }
    return node.features.hasNumericIDs ? "\(id)" : nil
  }

  private static let chattrLetters: [(UInt64, String)] = [
    (0x80_0000, "S"), (0x20_0000, "D"), (0x40_0000, "i"), (0x1_0000, "a"), (0x10_0000, "d"),
    (0x2_0000, "A"), (0x4_0000, "c"), (0x100_0000, "N"), (0x8_0000, "C"), (0x200_0000, "P"),
  ]
  private static let fatLetters: [(UInt64, String)] = [(0x2000, "h"), (0x4000, "s"), (0x8000, "a")]

  private static func letters(_ node: CatarNode, _ letters: [(UInt64, String)]) -> String {
    letters.map { node.attributes.rawValue & $0.0 != 0 ? $0.1 : "-" }.joined()
  }
}
