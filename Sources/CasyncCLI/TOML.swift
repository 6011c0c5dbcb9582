/// The part of TOML that configuration files need: comments, tables, and keys with strings, whole numbers,
/// booleans and arrays of strings. What is none of it is an error that names the line.
struct TOML {
  enum Value: Equatable {
    case string(String)
    case integer(Int)
    case boolean(Bool)
    case strings([String])
  }

  /// A key of a table, and where it stands.
  struct Entry {
    /// Names of the table, from the outermost; none before the first table.
    let table: [String]
    let key: String
    let value: Value
    let line: Int
  }

  struct Failure: Error, Equatable {
    let line: Int
    let reason: String
  }

  /// The keys of a text in their order.
  static func entries(of text: String) throws(Failure) -> [Entry] {
    var parser = TOML(text)
    return try parser.parse()
  }

  private var rest: Substring.UnicodeScalarView
  private var line = 1

  private init(_ text: String) { rest = Substring(text).unicodeScalars }

  private mutating func parse() throws(Failure) -> [Entry] {
    var entries = [Entry]()
    var table = [String]()
    var tables = [[String]]()
    while true {
      skip(newlines: true)
      guard let first = rest.first else { return entries }
      if first == "[" {
        rest.removeFirst()
        table = try names()
        guard take("]") else { throw failure("a table's name ends with ]") }
        guard !tables.contains(table) else { throw failure("the table is there already") }
        tables.append(table)
      } else {
        let start = line
        let key = try names()
        guard key.count == 1, take("=") else { throw failure("expected KEY = VALUE") }
        guard !entries.contains(where: { $0.table == table && $0.key == key[0] }) else {
          throw failure("\(key[0]) is there already")
        }
        entries.append(Entry(table: table, key: key[0], value: try value(), line: start))
      }
      skip(newlines: false)
      guard rest.isEmpty || rest.first == "\n" else { throw failure("something follows on the line") }
    }
  }

  private func failure(_ reason: String) -> Failure { Failure(line: line, reason: reason) }

  /// Skips blanks and comments, and newlines if wanted.
  private mutating func skip(newlines: Bool) {
    while let next = rest.first {
      switch next {
      case " ", "\t", "\r": rest.removeFirst()
      case "\n" where newlines:
        line += 1
        rest.removeFirst()
      case "#": rest = rest.drop { $0 != "\n" }
      default: return
      }
    }
  }

  private mutating func take(_ scalar: UnicodeScalar) -> Bool {
    skip(newlines: false)
    guard rest.first == scalar else { return false }
    rest.removeFirst()
    return true
  }

  /// `a.b."c d"`.
  private mutating func names() throws(Failure) -> [String] {
    var names = [String]()
    repeat {
      skip(newlines: false)
      if rest.first == "\"" || rest.first == "'" {
        names.append(try string())
      } else {
        let name = rest.prefix {
          $0.isASCII && ($0.properties.isAlphabetic || "0"..."9" ~= $0 || $0 == "-" || $0 == "_")
        }
        guard !name.isEmpty else { throw failure("expected a name") }
        rest = rest.dropFirst(name.count)
        names.append(String(name))
      }
    } while take(".")
    return names
  }

  private mutating func value() throws(Failure) -> Value {
    skip(newlines: false)
    switch rest.first {
    case "\"", "'": return .string(try string())
    case "[": return .strings(try strings())
    default:
      let word = String(rest.prefix { !" \t\r\n#,]".unicodeScalars.contains($0) })
      rest = rest.dropFirst(word.unicodeScalars.count)
      switch word {
      case "true": return .boolean(true)
      case "false": return .boolean(false)
      default:
        guard let number = Int(word.filter { $0 != "_" }) else {
          throw failure("expected a string in quotes, a number, true or false, or an array of strings")
        }
        return .integer(number)
      }
    }
  }

  private mutating func strings() throws(Failure) -> [String] {
    rest.removeFirst()
    var strings = [String]()
    while true {
      skip(newlines: true)
      if take("]") { return strings }
      guard rest.first == "\"" || rest.first == "'" else { throw failure("an array holds strings in quotes") }
      strings.append(try string())
      skip(newlines: true)
      if take("]") { return strings }
      guard take(",") else { throw failure("expected , or ]") }
    }
  }

  /// A string in one line: `"…"` with escapes, or `'…'` as it stands.
  private mutating func string() throws(Failure) -> String {
    let quote = rest.removeFirst()
    var text = String.UnicodeScalarView()
    while let next = rest.popFirst() {
      switch next {
      case quote: return String(text)
      case "\n": throw failure("a string ends on its line")
      case "\\" where quote == "\"": text.append(try escaped())
      default: text.append(next)
      }
    }
    throw failure("a string has no end")
  }

  private mutating func escaped() throws(Failure) -> UnicodeScalar {
    switch rest.popFirst() {
    case "\"": return "\""
    case "\\": return "\\"
    case "n": return "\n"
    case "t": return "\t"
    case "r": return "\r"
    case "u": return try scalar(digits: 4)
    case "U": return try scalar(digits: 8)
    default: throw failure("an unknown escape in a string")
    }
  }

  private mutating func scalar(digits: Int) throws(Failure) -> UnicodeScalar {
    let text = String(rest.prefix(digits))
    guard text.count == digits, let number = UInt32(text, radix: 16), let scalar = UnicodeScalar(number)
    else {
      throw failure("an unknown escape in a string")
    }
    rest = rest.dropFirst(digits)
    return scalar
  }
}
