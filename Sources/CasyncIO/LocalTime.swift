internal import Glibc

/// Times as the local clock shows them.
package enum LocalTime {
  /// `YYYY-MM-DD HH:MM:SS` of a time in seconds since 1970.
  package static func text(seconds: UInt64) -> String {
    var time = time_t(clamping: seconds)
    // SAFETY: both structures live during the call, which fills the second; its pointer to a name is not
    // used.
    var parts = unsafe tm()
    guard unsafe localtime_r(&time, &parts) != nil else { return "\(seconds)" }
    func padded(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let date = unsafe "\(parts.tm_year + 1900)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
    return unsafe "\(date) \(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec))"
  }
}
