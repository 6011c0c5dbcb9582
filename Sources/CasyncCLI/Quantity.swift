/// Numbers as a person writes and reads them.
enum Quantity {
  // MARK: Reading

  /// casync's booleans: 1 yes y true t on, 0 no n false f off, in any case.
  static func boolean(_ text: String) -> Bool? {
    switch text.lowercased() {
    case "1", "yes", "y", "true", "t", "on": true
    case "0", "no", "n", "false", "f", "off": false
    default: nil
    }
  }

  /// casync's sizes in bytes: a number, perhaps with a fraction and one of B K M G T P E (powers of 1024), or
  /// several of them in falling order (`1G2M`), with blanks between.
  static func size(_ text: String) -> UInt64? {
    let letters = Array("EPTGMKB")
    return sum(text, units: letters.enumerated().map { ($1, 1 << (10 * UInt64(6 - $0))) })
  }

  /// A time in seconds: a number, perhaps with a fraction and one of d h m s, or several of them in falling
  /// order.
  static func time(_ text: String) -> Duration? {
    sum(text, units: [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)]).flatMap { Int64(exactly: $0) }
      .map { .seconds($0) }
  }

  private static func sum(_ text: String, units: [(suffix: Character, factor: UInt64)]) -> UInt64? {
    var rest = text[...]
    var units = units[...]
    var total: UInt64 = 0
    repeat {
      rest = rest.drop(while: \.isWhitespace)
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      rest = rest.dropFirst(digits.count)
      var fraction = rest.prefix(0)
      if rest.first == "." {
        fraction = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
        rest = rest.dropFirst(1 + fraction.count)
      }
      rest = rest.drop(while: \.isWhitespace)
      guard let whole = UInt64(digits) else { return nil }
      var factor: UInt64 = 1
      if let suffix = rest.first {
        guard let index = units.firstIndex(where: { $0.suffix == suffix }) else { return nil }
        factor = units[index].factor
        units = units[(index + 1)...]
        rest = rest.dropFirst()
      }
      let part = whole.multipliedReportingOverflow(by: factor)
      let sum = total.addingReportingOverflow(part.partialValue)
      let more = sum.partialValue.addingReportingOverflow(
        UInt64((Double("0.\(fraction)0") ?? 0) * Double(factor)))
      guard !part.overflow, !sum.overflow, !more.overflow else { return nil }
      total = more.partialValue
      rest = rest.drop(while: \.isWhitespace)
    } while !rest.isEmpty
    return total
  }

  // MARK: Writing

  /// `17 B`, `1.2 GiB`: one decimal, powers of 1024.
  static func bytes(_ count: UInt64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    guard count >= 1024 else { return "\(count) B" }
    var value = Double(count) / 1024
    var index = 0
    // What would be printed as 1024.0 is 1.0 of the next unit.
    while value >= 1023.95, index < units.count - 1 {
      value /= 1024
      index += 1
    }
    return decimal(value) + " " + units[index]
  }

  /// casync's short form: `17B`, `292.9K`: one truncated decimal.
  static func short(_ count: UInt64) -> String {
    guard count >= 1024 else { return "\(count)B" }
    let letters = Array("KMGTPE")
    let power = (63 - UInt64(count.leadingZeroBitCount)) / 10
    let shift = 10 * power
    let tenths = ((count & ((1 << shift) - 1)) * 10) >> shift
    return "\(count >> shift).\(tenths)\(letters[Int(power) - 1])"
  }

  /// `48.0%`; of nothing it is nothing.
  static func percent(_ part: UInt64, of whole: UInt64) -> String {
    decimal(whole == 0 ? 0 : 100 * Double(part) / Double(whole)) + "%"
  }

  /// One decimal, rounded.
  static func decimal(_ value: Double) -> String {
    let tenths = UInt64((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  /// `0.4 s`, `12 s`, `3:07`, `1:02:03`.
  static func duration(_ duration: Duration) -> String {
    let seconds = max(0, duration / .seconds(1))
    guard seconds >= 9.95 else { return decimal(seconds) + " s" }
    let whole = UInt64(seconds.rounded())
    guard whole >= 60 else { return "\(whole) s" }
    guard whole >= 3600 else { return "\(whole / 60):\(twoDigits(whole % 60))" }
    return "\(whole / 3600):\(twoDigits(whole / 60 % 60)):\(twoDigits(whole % 60))"
  }

  /// As Go writes whole seconds, and so desync: `45s`, `1m3s`, `2h0m7s`.
  static func goDuration(_ duration: Duration) -> String {
    let seconds = max(0, duration.components.seconds)
    let minutes = seconds / 60
    let hours = minutes / 60
    if hours > 0 { return "\(hours)h\(minutes % 60)m\(seconds % 60)s" }
    return minutes > 0 ? "\(minutes)m\(seconds % 60)s" : "\(seconds)s"
  }

  /// `208.1 MiB/s`.
  static func rate(_ count: UInt64, in duration: Duration) -> String {
    let seconds = duration / .seconds(1)
    guard seconds > 0 else { return "-" }
    return bytes(UInt64(min(Double(count) / seconds, 1e18))) + "/s"
  }

  private static func twoDigits(_ value: UInt64) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
