internal import Casync
internal import CasyncFormat
internal import CasyncIO
internal import CasyncStore

/// Where an argument says that an archive, index or store is (casync's rules: the manual, chapter
/// "Locators").
enum Locator: Equatable {
  case standardStream
  case path(String)
  case url(String)
  case ssh(host: String, path: String)

  init(_ argument: String) {
    if argument == "-" {
      self = .standardStream
    } else if let path = Self.filePath(argument) {
      self = .path(path)
    } else if argument.hasPrefix("/") || argument.hasPrefix("./") || argument == "." || argument == ".." {
      self = .path(argument)
    } else if Self.isURL(argument) {
      self = .url(argument)
    } else if let (host, path) = Location.sshParts(argument) {
      self = .ssh(host: host, path: path)
    } else {
      self = .path(argument)
    }
  }

  // MARK: The three forms

  /// The path of `file:///path` or `file://localhost/path`, with %XX decoded.
  private static func filePath(_ argument: String) -> String? {
    for prefix in ["file:///", "file://localhost/"] where argument.hasPrefix(prefix) {
      guard let bytes = Percents.decoded("/" + argument.dropFirst(prefix.count)), !bytes.contains(0) else {
        return nil
      }
      return String(decoding: bytes, as: UTF8.self)
    }
    return nil
  }

  /// A lower-case scheme, `://`, a host, then the end or one of `/;?`.
  private static func isURL(_ argument: String) -> Bool {
    let scheme = argument.prefix {
      ("a"..."z").contains($0) || ("0"..."9").contains($0) || "+.-".contains($0)
    }
    guard let first = scheme.first, ("a"..."z").contains(first) else { return false }
    let rest = argument.dropFirst(scheme.count)
    guard rest.hasPrefix("://") else { return false }
    // nbd+unix:///… has no host; it is ours alone.
    if scheme == "nbd+unix" { return true }
    let host = rest.dropFirst(3).prefix { Location.isNameCharacter($0) || "@:[]".contains($0) }
    let next = rest.dropFirst(3 + host.count).first
    return !host.isEmpty && (next.map { "/;?".contains($0) } ?? true)
  }

  // MARK: What follows from it

  /// Whether it names an NBD export, which is read and written like a device.
  var isNBD: Bool {
    guard case .url(let url) = self else { return false }
    return url.hasPrefix("nbd://") || url.hasPrefix("nbds://") || url.hasPrefix("nbd+unix://")
  }

  /// Whether its last component is longer than `suffix` and ends with it; of a URL the arguments do not
  /// count.
  func hasSuffix(_ suffix: String) -> Bool {
    let text: Substring
    switch self {
    case .standardStream: return false
    case .path(let path), .ssh(_, let path): text = path[...]
    case .url(let url):
      text = (url.lastIndex(of: "?") ?? url.lastIndex(of: ";")).map { url[..<$0] } ?? url[...]
    }
    let name = text.lastIndex(of: "/").map { text[text.index(after: $0)...] } ?? text
    return name.hasSuffix(suffix) && name.count > suffix.count
  }

  /// The last component of its path; of a URL without arguments.
  var name: String {
    switch self {
    case .standardStream: return "index.caibx"
    case .path(let path), .ssh(_, let path): return FileSystem.name(of: path)
    case .url(let url): return FileSystem.name(of: String(url.prefix { !"?;".contains($0) }))
    }
  }

  /// Where the engine finds a file of this name in the same directory.
  func beside(_ name: String, _ what: String) throws -> String { try Locator(neighbour(name)).location(what) }

  /// The store that goes with an index when none is named: `default.castr` beside it.
  var defaultStore: String { neighbour("default.castr") }

  private func neighbour(_ name: String) -> String {
    switch self {
    case .standardStream: return name
    case .path(let path): return Self.directory(path) + name
    case .ssh(let host, let path): return "\(host):\(Self.directory(path))\(name)"
    case .url(let url):
      guard let slashes = url.firstRange(of: "://") else { return name }
      let host = url[slashes.upperBound...].prefix { !"/;?".contains($0) }
      let path = url[host.endIndex...].prefix { !";?".contains($0) }
      // Of S3 they say how the bucket is reached.
      let arguments = url.hasPrefix("s3") ? url[path.endIndex...] : ""
      return url[..<host.endIndex] + (path.isEmpty ? "/" : Self.directory(String(path))) + name + arguments
    }
  }

  /// Everything up to and with the last slash.
  private static func directory(_ path: String) -> String {
    path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
  }

  /// The path for the engine (`-` for a standard stream).
  /// - Throws: `UsageError` for what lies on another machine.
  func localPath(_ what: String) throws -> String {
    switch self {
    case .standardStream: return "-"
    case .path(let path): return path
    case .url(let url) where Stores.reaches(url):
      throw UsageError("the \(what) must be local, not \(Stores.name(url))")
    case .url(let url): throw Self.unsupported(what, Self.masked(url))
    case .ssh(let host, let path):
      throw UsageError(
        "the \(what) must be local, not \(host):\(path)",
        hint: "a local file with a colon in its name is written ./\(host):\(path)")
    }
  }

  /// Where the engine reads or writes an index or store: a path, or what `Stores` reaches.
  /// - Throws: `UsageError` for what lies elsewhere.
  func location(_ what: String) throws -> String {
    switch self {
    case .url(let url) where Stores.reaches(url): return url
    case .ssh(let host, let path): return "\(host):\(path)"
    default: return try localPath(what)
    }
  }

  /// A URL without its user and password.
  private static func masked(_ url: String) -> String {
    guard let slashes = url.firstRange(of: "://") else { return url }
    let authority = url[slashes.upperBound...].prefix { !"/?;".contains($0) }
    guard let at = authority.lastIndex(of: "@") else { return url }
    return String(url[..<slashes.upperBound] + url[url.index(after: at)...])
  }

  private static func unsupported(_ what: String, _ address: String) -> UsageError {
    UsageError("cannot use the \(what) \(address): URLs of this kind are not supported yet in this version")
  }
}
