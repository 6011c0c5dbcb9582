internal import CasyncIO
internal import Glibc

/// The environment variables, as a parameter.
struct Environment: Sendable {
  private let lookup: @Sendable (String) -> String?

  init(_ lookup: @escaping @Sendable (String) -> String?) { self.lookup = lookup }

  /// Those of this process.
  static let process = Environment { name in
    // SAFETY: getenv gives null or a NUL-terminated string, copied here; nobody changes the environment.
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }

  /// A variable that is set and not empty.
  subscript(name: String) -> String? {
    lookup(name).flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Where files that nobody keeps are made: as casync chooses it.
  var temporaryDirectory: String {
    ["TMPDIR", "TEMP", "TMP"].compactMap { self[$0] }.first { path in
      path.hasPrefix("/") && FileSystem.isDirectory(path)
    } ?? "/var/tmp"
  }

  /// `CASYNC_LOG_LEVEL`; a value that is none is reported and ignored.
  func logLevel(_ console: Console) -> LogLevel {
    guard let value = self["CASYNC_LOG_LEVEL"] else { return .info }
    if let level = LogLevel(value) { return level }
    console.warning("CASYNC_LOG_LEVEL=\(value) is no log level, ignored")
    return .info
  }

  /// `CASYNC_VERBOSE`; what is no boolean counts as no.
  var isVerbose: Bool { self["CASYNC_VERBOSE"].flatMap(Quantity.boolean) ?? false }
}
