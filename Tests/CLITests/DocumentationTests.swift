import Foundation
import Testing

@testable import CasyncCLI

@Suite("The documentation")
struct DocumentationTests {
  static func text(_ path: String) throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
    return try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  @Test(
    "names every verb and every option that does something",
    arguments: ["docs/manual.md", "docs/man/casync-swift.1"])
  func complete(_ path: String) throws {
    let text = try Self.text(path).replacingOccurrences(of: "\\-", with: "-")
    for verb in Verb.allCases { #expect(text.contains(verb.rawValue), "\(path) lacks \(verb.rawValue)") }
    for option in Option.table where !option.verbs.isEmpty {
      let name = option.name.rawValue
      // mdoc has a macro for the second hyphen.
      #expect(text.contains("--\(name)") || text.contains("Fl -\(name)"), "\(path) lacks --\(name)")
    }
  }
}
