/// What a user calls a device (casync's NODE).
package enum DeviceName: Equatable, Sendable {
  /// Any that is free.
  case any
  /// `/dev/nbdN`.
  case number(UInt32)
  /// `/dev/NAME`, a link that udev makes.
  case friendly(String)
  /// Any other path: a symbolic link that we make.
  case link(String)

  /// - Returns: `nil` for a name below /dev that udev would not take.
  package init?(_ node: String) {
    guard node.hasPrefix("/dev/"), !node.dropFirst(5).contains("/"), node.count > 5 else {
      guard !node.isEmpty, !node.contains("\n") else { return nil }
      self = .link(node)
      return
    }
    let name = node.dropFirst(5)
    if let number = Self.number(of: name) {
      self = .number(number)
    } else {
      // udev separates the names of links by blanks and replaces others.
      let isPlain = name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "#+-.:=@_".contains($0)) }
      guard isPlain, name != ".", name != ".." else { return nil }
      self = .friendly(String(name))
    }
  }

  /// N of `nbdN`.
  package static func number(of name: some StringProtocol) -> UInt32? {
    guard name.hasPrefix("nbd"), name.dropFirst(3).allSatisfy({ $0.isASCII && $0.isNumber }) else {
      return nil
    }
    return UInt32(name.dropFirst(3))
  }

  /// As the user wrote it; empty for any.
  package var text: String {
    switch self {
    case .any: ""
    case .number(let number): "/dev/nbd\(number)"
    case .friendly(let name): "/dev/\(name)"
    case .link(let path): path
    }
  }
}
