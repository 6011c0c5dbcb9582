internal import CasyncFormat

/// Why a request is refused: a status and a line for whoever sent it.
package struct HTTPRefusal: Error, Equatable, Sendable {
  package let status: Int
  package let reason: String

  package init(_ status: Int, _ reason: String) {
    self.status = status
    self.reason = reason
  }
}

/// The head of a request (RFC 9112), read strictly: what two readers could take for different things is
/// refused.
package struct HTTPHead: Equatable, Sendable {
  package enum Method: Equatable, Sendable {
    case get, head, put, other
  }

  package let method: Method
  /// The path, decoded: no component is empty, begins with a dot, or holds a slash or a control character.
  package let path: [String]
  /// Whether the connection may be used for another request.
  package let isKept: Bool
  /// Bytes of body that follow; `nil` when the head says nothing of it.
  package let length: Int?
  /// By lower-case name, those of the same name joined.
  private let fields: [String: String]

  /// The longest head in bytes.
  package static let limit = 16 << 10

  /// A field by its lower-case name.
  package subscript(name: String) -> String? { fields[name] }

  /// Reads the head at the start of `bytes`.
  /// - Returns: the head and its length in bytes; `nil` when it is not there to its end.
  /// - Throws: `HTTPRefusal`; then nothing that follows has a meaning.
  package static func parse(_ bytes: [UInt8]) throws(HTTPRefusal) -> (head: HTTPHead, length: Int)? {
    guard let end = end(of: bytes) else {
      guard bytes.count <= limit else { throw HTTPRefusal(431, "the head of the request is too long") }
      return nil
    }
    guard end <= limit else { throw HTTPRefusal(431, "the head of the request is too long") }
    guard let text = String(validating: bytes[..<(end - 4)], as: UTF8.self),
      text.unicodeScalars.allSatisfy({
        $0.value >= 32 && $0.value != 127 || "\r\n\t".unicodeScalars.contains($0)
      })
    else { throw HTTPRefusal(400, "the head of the request is no text") }
    var lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)[...]
    guard lines.allSatisfy({ !$0.unicodeScalars.contains { $0 == "\r" || $0 == "\n" } }) else {
      throw HTTPRefusal(400, "a line of the head does not end as it must")
    }
    return (try HTTPHead(line: lines.popFirst() ?? "", fields: lines), end)
  }

  /// Where the empty line ends.
  private static func end(of bytes: [UInt8]) -> Int? {
    var index = 3
    while index < bytes.count {
      if bytes[index] == 10, bytes[index - 1] == 13, bytes[index - 2] == 10, bytes[index - 3] == 13 {
        return index + 1
      }
      index += 1
    }
    return nil
  }

  private init(line: Substring, fields lines: ArraySlice<Substring>) throws(HTTPRefusal) {
    let words = line.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, !words[0].isEmpty, words[0].utf8.allSatisfy(Self.isToken) else {
      throw HTTPRefusal(400, "no request line")
    }
    let isModern = words[2] == "HTTP/1.1"
    guard isModern || words[2] == "HTTP/1.0" else { throw HTTPRefusal(505, "only HTTP/1.1 is spoken here") }
    switch words[0] {
    case "GET": method = .get
    case "HEAD": method = .head
    case "PUT": method = .put
    default: method = .other
    }
    path = try Self.path(words[1])
    fields = try Self.fields(lines)
    guard !isModern || fields["host"] != nil else { throw HTTPRefusal(400, "no Host") }
    guard fields["transfer-encoding"] == nil else {
      throw HTTPRefusal(501, "bodies come with a Content-Length here, in no other coding")
    }
    if let text = fields["content-length"] {
      guard text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(text) else {
        throw HTTPRefusal(400, "a Content-Length that is no number")
      }
      length = number
    } else {
      length = nil
    }
    let options = (fields["connection"] ?? "").lowercased()
    isKept = isModern ? !options.contains("close") : options.contains("keep-alive")
  }

  private static func fields(_ lines: ArraySlice<Substring>) throws(HTTPRefusal) -> [String: String] {
    var fields = [String: String]()
    for line in lines {
      guard let colon = line.firstIndex(of: ":"), colon > line.startIndex,
        line[..<colon].utf8.allSatisfy(isToken)
      else { throw HTTPRefusal(400, "a line of the head that is no field") }
      let name = line[..<colon].lowercased()
      let value = trimmed(line[line.index(after: colon)...])
      if let former = fields[name] {
        guard name != "content-length", name != "host" else { throw HTTPRefusal(400, "\(name) twice") }
        fields[name] = "\(former), \(value)"
      } else {
        fields[name] = String(value)
      }
    }
    return fields
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var text = text
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
  }

  /// A character of a method or of a field's name (RFC 9110, tchar).
  private static func isToken(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
  }

  /// The components of a target's path; its query says nothing here.
  private static func path(_ target: Substring) throws(HTTPRefusal) -> [String] {
    var rest = target.prefix { $0 != "?" && $0 != "#" }
    // A proxy's form.
    if let scheme = rest.firstRange(of: "://"), !rest.hasPrefix("/") {
      rest = rest[scheme.upperBound...]
      rest = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
    }
    guard rest.hasPrefix("/") else { throw HTTPRefusal(400, "the target is no path") }
    guard rest.count > 1 else { return [] }
    var components = [String]()
    for part in rest.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      guard let name = Percents.decoded(part).flatMap({ String(validating: $0, as: UTF8.self) }) else {
        throw HTTPRefusal(400, "a bad %XX")
      }
      guard !name.isEmpty, !name.hasPrefix("."), !name.contains("/"),
        name.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 })
      else { throw HTTPRefusal(404, "not there") }
      components.append(name)
    }
    return components
  }
}

extension HTTPHead {
  /// What part of a file is wanted.
  package enum Part: Equatable, Sendable {
    case all
    case range(Range<UInt64>)
    /// None of what there is.
    case none
  }

  /// The part of a file of `size` bytes that the request wants.
  /// - Parameter validator: the file's: a range of another version is not wanted.
  package func part(of size: UInt64, validator: String) -> Part {
    guard let text = self["range"], text.hasPrefix("bytes="),
      self["if-range"].map({ $0 == validator }) ?? true
    else { return .all }
    let bounds = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
    // Several ranges may be answered with the whole.
    guard bounds.count == 2, !text.contains(","),
      bounds.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } })
    else { return .all }
    let (first, last) = (UInt64(bounds[0]), UInt64(bounds[1]))
    switch (bounds[0].isEmpty, bounds[1].isEmpty) {
    case (false, false):
      guard let first, let last, first <= last else { return .all }
      return first < size ? .range(first..<min(last, size - 1) + 1) : .none
    case (false, true):
      guard let first else { return .all }
      return first < size ? .range(first..<size) : .none
    case (true, false):
      guard let last else { return .all }
      return last > 0 && size > 0 ? .range(size - min(last, size)..<size) : .none
    case (true, true): return .all
    }
  }

  /// Whether the requester has the version that `validator` names.
  package func isKnown(_ validator: String) -> Bool {
    guard let text = self["if-none-match"] else { return false }
    return text == "*" || text.split(separator: ",").contains { Self.trimmed($0) == validator }
  }
}
