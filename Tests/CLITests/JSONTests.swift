import Testing

@testable import CasyncCLI

@Suite("JSON")
struct JSONTests {
  @Test(
    "is written on one line",
    arguments: [
      (.null, "null"), (.bool(true), "true"), (.integer(.max), "18446744073709551615"),
      (.decimal(1.5), "1.5"),
      (.decimal(.nan), "null"), (.count(-1), "0"), (.array([]), "[]"), (.object([:]), "{}"),
      (.array([.integer(1), .null]), "[1,null]"),
      (.object(["b": .integer(1), "a": .array([.object([:])])]), "{\"b\":1,\"a\":[{}]}"),
      (.seconds(.milliseconds(12345)), "12.345"),
    ] as [(JSON, String)])
  func values(_ value: JSON, _ text: String) {
    #expect(value.text == text)
  }

  @Test(
    "escapes what a string may not hold",
    arguments: [
      ("a\"b\\c", "\"a\\\"b\\\\c\""), ("\n\t\r", "\"\\n\\t\\r\""), ("\u{0}\u{1f}", "\"\\u0000\\u001f\""),
      ("ä/\u{7f}", "\"ä/\u{7f}\""), ("", "\"\""),
    ])
  func strings(_ string: String, _ text: String) {
    #expect(JSON.string(string).text == text)
  }
}
