import Testing

@testable import CasyncCLI

@Suite("A configuration file")
struct TOMLTests {
  @Test("holds keys in tables")
  func entries() throws {
    let text = """
      # comment
      a = "x\\t\\u0041" # more
      b-1 = 1_000
      [store."http://h/#"]
      c = ['one', "t\\"wo", # comment
        "three",
      ]
      d = true
      """
    let entries = try TOML.entries(of: text)
    #expect(entries.map(\.key) == ["a", "b-1", "c", "d"])
    #expect(entries.map(\.line) == [2, 3, 5, 8])
    #expect(entries.map(\.table) == [[], [], ["store", "http://h/#"], ["store", "http://h/#"]])
    #expect(
      entries.map(\.value) == [
        .string("x\tA"), .integer(1000), .strings(["one", "t\"wo", "three"]), .boolean(true),
      ])
  }

  @Test(
    "that is wrong is refused by the line",
    arguments: [
      ("a = 1\nb", 2), ("a = 1 2", 1), ("a = \"x", 1), ("a = 'x\n'", 1), ("[a\nb = 1", 1), ("\n\na = x", 3),
      ("a = [1]", 1), ("a = ['x' 'y']", 1), ("a = \"\\q\"", 1), ("a = 1\na = 2", 2), ("[a]\n[a]", 2),
      ("= 1", 1),
      ("a.b = 1", 1), ("a = [\n'x'", 2),
    ])
  func refusals(_ text: String, _ line: Int) {
    let failure = #expect(throws: TOML.Failure.self) { try TOML.entries(of: text) }
    #expect(failure?.line == line)
  }
}
