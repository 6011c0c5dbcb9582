internal import CLinux
internal import Casync
internal import CasyncArchive
internal import CasyncIO
internal import CasyncStore
internal import Glibc

/// The levels of `--log-level=`, as syslog names and numbers them.
enum LogLevel: Int, CaseIterable, Comparable, Sendable {
  case emerg, alert, crit, err, warning, notice, info, debug

  init?(_ text: String) {
    guard let level = Self.allCases.first(where: { "\($0)" == text || "\($0.rawValue)" == text }) else {
      return nil
    }
    self = level
  }

  static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

/// Messages to the user, on standard error.
struct Console: Sendable {
  /// What is less urgent than this is not printed.
  var level = LogLevel.info

  /// An error in its one line, with its hint in another.
  func report(_ error: any Error) {
    switch error {
    case let error as UsageError: message(.err, error.message, hint: error.hint)
    case let error as JobError: message(.err, error.message, hint: error.hint)
    case let error as ArchiveError: message(.err, error.message, hint: error.hint)
    case let error as StoreError: message(.err, "\(error)", hint: error.hint)
    default: message(.err, "\(error)")
    }
  }

  func warning(_ text: String) { message(.warning, "warning: \(text)") }

  /// A line of its own, without our name: a table, a line as casync prints it.
  func info(_ text: String) {
    if level >= .info { Self.write(text + "\n") }
  }

  private func message(_ urgency: LogLevel, _ text: String, hint: String? = nil) {
    guard level >= urgency else { return }
    Self.write("casync: \(text)\n" + (hint.map { "hint: \($0)\n" } ?? ""))
  }

  /// Writes in one call, so that lines of two threads do not mix.
  static func write(_ text: String) {
    var text = text
    // SAFETY: the call reads the bytes that it is lent. Its own failure has no place left to be reported.
    _ = text.withUTF8 { bytes in unsafe casync_write(2, bytes.baseAddress, bytes.count) }
  }

  /// Columns of the terminal on standard error; `nil` when there is none.
  static var width: Int? {
    guard isatty(2) == 1 else { return nil }
    let columns = Int(casync_winsize_columns(2))
    return columns > 0 ? columns : 80
  }
}
