/// A JSON value (RFC 8259) to be printed; the members of an object keep their order.
enum JSON: Equatable {
  case null
  case bool(Bool)
  case integer(UInt64)
  case decimal(Double)
  case string(String)
  case array([JSON])
  case object(KeyValuePairs<String, JSON>)

  /// A count, which is never negative.
  static func count(_ value: Int) -> JSON { .integer(UInt64(clamping: value)) }

  /// The value, or null.
  static func optional<Value>(_ value: Value?, _ make: (Value) -> JSON) -> JSON { value.map(make) ?? .null }

  /// Seconds, to the millisecond.
  static func seconds(_ duration: Duration) -> JSON {
    .decimal((duration / .milliseconds(1)).rounded() / 1000)
  }

  static func == (a: JSON, b: JSON) -> Bool { a.text == b.text }

  /// The value on one line, without spaces.
  var text: String {
    var text = ""
    append(to: &text)
    return text
  }

  private func append(to text: inout String) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .integer(let value): text += "\(value)"
    case .decimal(let value): text += value.isFinite ? "\(value)" : "null"
    case .string(let value): Self.append(value, to: &text)
    case .array(let values):
      Self.append(values, in: ("[", "]"), to: &text) { $0.append(to: &$1) }
    case .object(let members):
      Self.append(members, in: ("{", "}"), to: &text) { member, text in
        Self.append(member.key, to: &text)
        text += ":"
        member.value.append(to: &text)
      }
    }
  }

  private static func append<Items: Sequence>(
    _ items: Items, in brackets: (String, String), to text: inout String,
    _ item: (Items.Element, inout String) -> Void
  ) {
    text += brackets.0
    var separator = ""
    for element in items {
      text += separator
      item(element, &text)
      separator = ","
    }
    text += brackets.1
  }

  private static func append(_ string: String, to text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case "\u{0}"..."\u{1f}":
        let hex = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
