/// The coding of bytes as `%XX` in URLs (RFC 3986, section 2.1).
package enum Percents {
  /// The bytes that `text` stands for; `nil` when a `%` is not followed by two hexadecimal digits.
  package static func decoded(_ text: some StringProtocol) -> [UInt8]? {
    var bytes = [UInt8]()
    var rest = Substring(text).utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = rest.prefix(2)
      guard digits.count == 2, digits.first != UInt8(ascii: "+"),
        let value = UInt8(Substring(digits), radix: 16)
      else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return bytes
  }
}
