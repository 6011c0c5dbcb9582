internal import Casync
internal import CasyncIO
internal import CasyncStore

/// The configuration files: what holds without being said on the command line.
///
///     cache = "/var/cache/casync"          # as --cache=
///     cache-size = "10G"
///
///     [store."https://images.example/"]    # for every location that begins like this
///     headers = ["Authorization: Bearer …"]
struct Configuration {
  var cache: String?
  var cacheSize: UInt64?
  var sites: [ConnectionSettings.Site] = []

  /// Reads `$CASYNC_CONFIG` if it is set, else what is there of /etc/casync/config.toml and the user's; the
  /// user's goes before the system's. Blocks.
  /// - Throws: `UsageError` naming the file and the line.
  init(_ environment: Environment) throws {
    if let path = environment["CASYNC_CONFIG"] {
      try read(path, String(decoding: File.open(path).readAll(limit: 1 << 20), as: UTF8.self))
      return
    }
    let home = environment["XDG_CONFIG_HOME"] ?? environment["HOME"].map { "\($0)/.config" }
    for path in ["/etc/casync/config.toml"] + (home.map { ["\($0)/casync/config.toml"] } ?? []) {
      guard try File.status(path) != nil else { continue }
      try read(path, String(decoding: File.open(path).readAll(limit: 1 << 20), as: UTF8.self))
    }
  }

  /// - Parameter name: of the file, for messages.
  init(_ text: String, name: String) throws { try read(name, text) }

  private mutating func read(_ path: String, _ text: String) throws {
    let entries: [TOML.Entry]
    do {
      entries = try TOML.entries(of: text)
    } catch {
      throw UsageError("\(path):\(error.line): \(error.reason)")
    }
    for entry in entries {
      do {
        try set(entry)
      } catch let error as Mistake {
        throw UsageError("\(path):\(entry.line): \(entry.key) \(error.expected)")
      }
    }
  }

  /// Something else was expected of a key. Its value may be a secret and is not named.
  private struct Mistake: Error {
    let expected: String
  }

  private mutating func set(_ entry: TOML.Entry) throws {
    switch (entry.table.count, entry.table.first) {
    case (0, _):
      switch entry.key {
      case "cache": cache = try Self.text(entry)
      case "cache-size": cacheSize = try Self.size(entry)
      default: throw Mistake(expected: "is no key that is known here")
      }
    case (2, "store"):
      let location = entry.table[1]
      let index = sites.firstIndex { $0.location == location } ?? sites.count
      if index == sites.count { sites.append(.init(location, ConnectionSettings())) }
      try Self.set(entry, in: &sites[index].settings)
    default: throw Mistake(expected: "is in a table that is not [store.\"URL\"]")
    }
  }

  private static func set(_ entry: TOML.Entry, in settings: inout ConnectionSettings) throws {
    switch entry.key {
    case "headers":
      guard case .strings(let lines) = entry.value, lines.allSatisfy(Session.isHeader) else {
        throw Mistake(expected: "takes an array of lines NAME: VALUE")
      }
      settings.headers = lines
    case "cacert": settings.certificateAuthorities = try text(entry)
    case "cert": settings.certificate = try text(entry)
    case "key": settings.certificateKey = try text(entry)
    case "user": settings.user = try text(entry)
    case "password": settings.password = try text(entry)
    case "rate-limit-bps": settings.rateLimit = try size(entry)
    case "connect-timeout": settings.connectTimeout = try time(entry)
    case "stall-timeout": settings.stallTimeout = try time(entry)
    case "tries":
      guard case .integer(let count) = entry.value, count > 0 else {
        throw Mistake(expected: "takes a number of at least 1")
      }
      settings.tries = count
    case "profile": settings.profile = try text(entry)
    case "access-key-id": settings.accessKey = try text(entry)
    case "secret-access-key": settings.secretKey = try text(entry)
    case "session-token": settings.sessionToken = try text(entry)
    case "region": settings.region = try text(entry)
    case "endpoint": settings.endpoint = try text(entry)
    default: throw Mistake(expected: "is no key that is known here")
    }
  }

  private static func text(_ entry: TOML.Entry) throws -> String {
    guard case .string(let text) = entry.value, !text.isEmpty, !text.contains(where: \.isNewline) else {
      throw Mistake(expected: "takes a string")
    }
    return text
  }

  private static func size(_ entry: TOML.Entry) throws -> UInt64 {
    switch entry.value {
    case .integer(let count) where count > 0: return UInt64(count)
    case .string(let text):
      guard let size = Quantity.size(text), size > 0 else { break }
      return size
    default: break
    }
    throw Mistake(expected: "takes a size, such as \"10M\"")
  }

  private static func time(_ entry: TOML.Entry) throws -> Duration {
    switch entry.value {
    case .integer(let seconds) where seconds > 0: return .seconds(seconds)
    case .string(let text):
      guard let time = Quantity.time(text), time > .zero else { break }
      return time
    default: break
    }
    throw Mistake(expected: "takes a time, such as \"30s\"")
  }
}
