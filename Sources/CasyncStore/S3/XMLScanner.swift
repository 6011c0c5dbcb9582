/// Reads the little XML that S3 answers with: elements and their texts; attributes, comments and
/// declarations are skipped.
struct XMLScanner {
  enum Event: Equatable {
    /// An element that holds text alone.
    case text(name: String, String)
    /// The end of one that holds others.
    case end(name: String)
  }

  private var rest: Substring
  /// Elements that are open, and whether they hold others.
  private var open: [(name: String, hasElements: Bool)] = []
  private var text = ""

  init(_ bytes: [UInt8]) { rest = Substring(String(decoding: bytes, as: UTF8.self)) }

  /// The next event; `nil` at the end, or where it is no XML.
  mutating func next() -> Event? {
    while let start = rest.firstIndex(of: "<") {
      text += rest[..<start]
      rest = rest[start...].dropFirst()
      guard let end = rest.firstIndex(of: ">") else { return nil }
      let tag = rest[..<end]
      rest = rest[end...].dropFirst()
      if tag.hasPrefix("?") || tag.hasPrefix("!") { continue }
      if tag.hasPrefix("/") {
        guard let element = open.popLast(), tag.dropFirst().prefix(while: Self.isName) == element.name else {
          return nil
        }
        defer { text = "" }
        return element.hasElements ? .end(name: element.name) : .text(name: element.name, Self.decoded(text))
      }
      let name = String(tag.prefix(while: Self.isName))
      if !open.isEmpty { open[open.count - 1].hasElements = true }
      text = ""
      guard !tag.hasSuffix("/") else { return .text(name: name, "") }
      open.append((name, false))
    }
    return nil
  }

  private static func isName(_ character: Character) -> Bool {
    !character.isWhitespace && character != "/" && character != ">"
  }

  /// Text with its entities replaced; what is none stays as it is.
  private static func decoded(_ text: String) -> String {
    guard text.contains("&") else { return text }
    var result = ""
    var rest = text[...]
    while let start = rest.firstIndex(of: "&") {
      result += rest[..<start]
      guard let end = rest[start...].firstIndex(of: ";"),
        let character = character(rest[rest.index(after: start)..<end])
      else {
        result += "&"
        rest = rest[rest.index(after: start)...]
        continue
      }
      result.append(character)
      rest = rest[rest.index(after: end)...]
    }
    return result + rest
  }

  private static func character(_ entity: Substring) -> Character? {
    switch entity {
    case "amp": return "&"
    case "lt": return "<"
    case "gt": return ">"
    case "quot": return "\""
    case "apos": return "'"
    default:
      guard entity.hasPrefix("#") else { return nil }
      let digits = entity.dropFirst()
      let number = digits.hasPrefix("x") ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
      return number.flatMap(UnicodeScalar.init).map(Character.init)
    }
  }
}
