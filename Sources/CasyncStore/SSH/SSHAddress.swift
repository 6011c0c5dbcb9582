internal import CasyncFormat

/// A path on a host that is reached by SSH: `ssh://[user@]host[:port]/path`, or casync's `[user@]host:path`.
package struct SSHAddress: Equatable, Sendable {
  /// Host, with the user before it where one is named: never with a leading dash, which ssh would take for an
  /// option.
  package let destination: String
  package let port: UInt16?
  /// As it is on the host; of `host:path` perhaps relative to the home directory. Not empty, no control
  /// characters.
  package let path: String

  /// - Throws: `StoreError` (unsupported) for what is no such address, or one that cannot be passed on
  ///   safely.
  package init(_ location: String) throws {
    let (destination, port, path) =
      try location.hasPrefix("ssh://") ? Self.url(location) : Self.short(location)
    let names = destination.split(separator: "@", omittingEmptySubsequences: false)
    guard names.count <= 2, names.allSatisfy({ !$0.isEmpty && !$0.hasPrefix("-") }) else {
      throw Self.refusal(location, "names no host")
    }
    guard path.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 }) else {
      throw Self.refusal(location, "has control characters in its path")
    }
    (self.destination, self.port, self.path) = (destination, port, path)
  }

  private static func refusal(_ location: String, _ why: String) -> StoreError {
    // Control characters have no place in a message.
    let name = String(
      String.UnicodeScalarView(location.unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }))
    return StoreError(
      .unsupported, name, "the SSH address \(why)",
      hint: "write ssh://HOST/PATH or HOST:PATH, with a user before the host if need be: USER@HOST")
  }

  /// casync's form.
  private static func short(_ location: String) throws -> (String, UInt16?, String) {
    guard let (host, path) = Location.sshParts(location) else {
      throw refusal(location, "is none")
    }
    return (host, nil, path)
  }

  /// `ssh://[user@]host[:port]/path`, of which the path has `%XX` decoded.
  private static func url(_ location: String) throws -> (String, UInt16?, String) {
    let rest = location.dropFirst("ssh://".count)
    guard let slash = rest.firstIndex(of: "/") else { throw refusal(location, "has no path") }
    guard let path = Percents.decoded(rest[slash...]).flatMap({ String(validating: $0, as: UTF8.self) })
    else { throw refusal(location, "has a bad %XX") }
    var host = rest[..<slash]
    var port: UInt16?
    var user = ""
    if let at = host.lastIndex(of: "@") {
      user = String(host[...at])
      host = host[host.index(after: at)...]
    }
    if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") {
      port = UInt16(host[host.index(after: colon)...])
      guard let port, port > 0 else { throw refusal(location, "has a bad port") }
      host = host[..<colon]
    }
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = host.dropFirst().dropLast() }
    guard host.allSatisfy({ Location.isNameCharacter($0) || isBracketed && $0 == ":" }),
      user.dropLast().allSatisfy(Location.isNameCharacter)
    else { throw refusal(location, "names no host") }
    return ("\(user)\(host)", port, path)
  }

  /// Whether both are reached by one connection.
  package func isBeside(_ other: SSHAddress) -> Bool {
    destination == other.destination && port == other.port
  }
}

extension SSHAddress {
  /// How ssh is run: by the environment, as casync does it.
  package struct Programs: Sendable {
    /// `$CASYNC_SSH_PATH`: our ssh.
    var ssh: String
    /// `$CASYNC_REMOTE_PATH`: casync on the other host. Passed on as it is, also when it is several words.
    var remote: String

    package init(ssh: String, remote: String) {
      self.ssh = ssh
      self.remote = remote
    }
  }

  /// What is wanted on the other host.
  package enum Operation: String, Sendable {
    case pull, push
  }

  /// The words that start casync on the host, in the form of casync's own:
  ///
  ///     ssh [-p PORT] [USER@]HOST casync [OPTIONS] pull|push - ARCHIVE INDEX STORE
  ///
  /// ssh joins them with blanks and the shell there splits them again, so words with characters that mean
  /// something to a shell are quoted; others are as casync writes them.
  package func command(
    _ operation: Operation, archive: String? = nil, index: String? = nil, store: String? = nil,
    rateLimit: UInt64? = nil, _ programs: Programs
  ) -> [String] {
    var words = [programs.ssh]
    if let port { words += ["-p", "\(port)"] }
    words += [destination, programs.remote]
    if let rateLimit { words.append("--rate-limit-bps=\(rateLimit)") }
    words += [operation.rawValue, "-"]
    for path in [archive, index, store] { words.append(path.map(Self.quoted) ?? "-") }
    return words
  }

  /// A path as one word of a shell's command line, which no program takes for an option.
  static func quoted(_ path: String) -> String {
    let path = path.hasPrefix("-") ? "./" + path : path
    // A home directory is the shell's to find, as it is for casync.
    let home = path.hasPrefix("~") ? path.prefix { $0 != "/" } : ""
    let isHome = home.dropFirst().allSatisfy(Location.isNameCharacter)
    let rest = isHome ? path[home.endIndex...] : path[...]
    let isPlain = rest.allSatisfy { Location.isNameCharacter($0) || "/@+=:,".contains($0) }
    if isPlain { return path }
    let escaped = rest.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
    return "\(isHome ? home : "")'\(escaped)'"
  }
}
