/// Where a store, an index or an archive lies, by the form of its name.
package enum Location: Equatable, Sendable {
  case path(String)
  /// `http://…` or `https://…`.
  case http(String)
  /// `s3://bucket/…`, `s3+http://host/bucket/…` or `s3+https://host/bucket/…`.
  case s3(String)
  /// `sftp://…`.
  case sftp(String)
  /// `ssh://host/path`, or casync's `[user@]host:path`.
  case ssh(String)
  /// A URL that nothing here knows.
  case unknown(String)

  package init(_ text: String) {
    guard !text.hasPrefix("/"), !text.hasPrefix("./") else {
      self = .path(text)
      return
    }
    switch text.firstRange(of: "://").map({ text[..<$0.lowerBound] }) {
    case "http", "https": self = .http(text)
    case "s3", "s3+http", "s3+https": self = .s3(text)
    case "sftp": self = .sftp(text)
    case "ssh": self = .ssh(text)
    case let scheme? where !scheme.isEmpty && scheme.allSatisfy(Self.isSchemeCharacter):
      self = .unknown(text)
    default: self = Self.sshParts(text) == nil ? .path(text) : .ssh(text)
    }
  }

  /// Whether it lies on another machine, perhaps.
  package var isRemote: Bool { if case .path = self { false } else { true } }

  private static func isSchemeCharacter(_ character: Character) -> Bool {
    ("a"..."z").contains(character) || ("0"..."9").contains(character) || "+.-".contains(character)
  }

  /// The two parts of `[user@]host:path`; `nil` for anything else.
  package static func sshParts(_ text: String) -> (host: String, path: String)? {
    guard let colon = text.firstIndex(of: ":") else { return nil }
    let path = text[text.index(after: colon)...]
    let names = text[..<colon].split(separator: "@", omittingEmptySubsequences: false)
    guard !path.isEmpty, names.count <= 2, names.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isNameCharacter) })
    else { return nil }
    return (String(text[..<colon]), String(path))
  }

  /// Of the name of a host or user.
  package static func isNameCharacter(_ character: Character) -> Bool {
    character.isASCII && (character.isLetter || character.isNumber || "._%-".contains(character))
  }
}
