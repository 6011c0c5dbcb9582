import CasyncFormat
import CasyncIO
import Testing

@testable import CasyncStore

@Suite("LocalStore, going through it")
struct StoreWalkTests {
  static let hex = "6a1db6c1dd481f7aab2adb9c262b210edcca35624ec64c29ffca6857b1e30253"

  static let names: [(name: String, kind: String)] = [
    ("6a1d/\(hex).cacnk", "compressed"), ("6a1d/\(hex)", "plain"), ("6a1d/\(hex).xz", "foreign"),
    ("6a1d/\(hex).0123456789abcdef.tmp", "temporary"), ("6a1d/.tmp-cacnk123", "temporary"),
    ("6a1d/\(hex).cacnk.bad", "aside"), ("6a1d/\(hex).bad", "aside"),
    ("6a1d/\(hex.uppercased()).cacnk", "foreign"),
    ("6a1d/\(hex.dropLast()).cacnk", "foreign"), ("6a1d/.cacnk", "foreign"), ("6a1d/readme", "foreign"),
    ("6a1e/\(hex).cacnk", "foreign"), ("6A1D/\(hex).cacnk", "foreign"), ("README", "foreign"),
    ("abcd", "foreign"),
  ]

  @Test("each name in a store is a chunk, temporary, moved aside, or foreign", arguments: names)
  func classification(name: String, kind: String) throws {
    let scratch = try Scratch()
    try scratch.file(name, [1])
    let store = try LocalStore(scratch.path, suffix: ".cacnk")
    var found: [String] = []
    try store.forEachEntry {
      #expect($0.id.hex == Self.hex)
      #expect($0.name == name)
      found.append("\($0.form)")
    } stray: {
      #expect($0.name == name)
      found.append("\($0.kind)")
    }
    #expect(found == [kind])
  }

  @Test(
    "a directory whose name has not four characters is foreign, as a whole",
    arguments: ["abc", "abcde", "é12"])
  func directories(name: String) throws {
    let scratch = try Scratch()
    try scratch.file("\(name)/\(Self.hex).cacnk", [1])
    var strays: [String] = []
    var entries = 0
    try LocalStore(scratch.path).forEachEntry { _ in
      entries += 1
    } stray: {
      strays.append($0.name)
    }
    #expect(name == "é12" || strays == [name])
    #expect(entries == 0)
  }

  @Test("directories are visited in order, each left after its entries")
  func order() throws {
    let scratch = try Scratch()
    let ids = ["00aa", "00ab", "ffff"].map { $0 + String(repeating: "1", count: 60) }
    for id in ids.reversed() { try scratch.file("\(id.prefix(4))/\(id).cacnk", [1]) }
    try scratch.file("00ab/stray")
    var visited: [String] = []
    try LocalStore(scratch.path, suffix: ".cacnk").forEachEntry {
      visited.append($0.id.hex)
    } stray: {
      visited.append($0.name)
    } directory: {
      visited.append($0)
    }
    #expect(visited == [ids[0], "00aa", ids[1], "00ab/stray", "00ab", ids[2], "ffff"])
  }

  @Test("an error of the visitor ends the walk")
  func errors() throws {
    struct Odd: Error {}
    let scratch = try Scratch()
    try scratch.file("6a1d/\(Self.hex).cacnk", [1])
    let store = try LocalStore(scratch.path, suffix: ".cacnk")
    #expect(throws: Odd.self) { try store.forEachEntry { _ in throw Odd() } }
  }

  @Test("a file that is gone has neither size nor age")
  func gone() throws {
    let scratch = try Scratch()
    #expect(try LocalStore(scratch.path).sizeAndAge(of: "6a1d/none") == nil)
  }
}
