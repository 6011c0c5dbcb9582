import CasyncFormat
import Foundation
import TestSupport
import Testing

@testable import CasyncArchive

@Suite("Reading an archive at random")
struct TreeReaderTests {
  /// casync's own archive of every kind of node.
  private static let archive: [UInt8] = {
    let data = try? Data(contentsOf: URL(fileURLWithPath: Vectors.directory + "/rich.catar"))
    return Array(data ?? Data())
  }()

  private static func reader(_ bytes: [UInt8]) throws -> TreeReader {
    try TreeReader(size: UInt64(bytes.count)) { range in
      #expect(range.upperBound <= UInt64(bytes.count))
      return Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
    }
  }

  /// Everything below a directory, by its tables: path, node, content; at most `limit` nodes.
  private static func walk(
    _ tree: TreeReader, _ directory: TreeReader.Place, _ path: String, _ limit: inout Int,
    _ visit: (String, TreeReader.Found) throws -> Void
  ) throws {
    for item in try tree.children(of: directory) {
      limit -= 1
      guard limit > 0 else { return }
      let (name, found) = try tree.child(item, of: directory)
      let below = path + "/" + String(decoding: name, as: UTF8.self)
      try visit(below, found)
      let again = try tree.child(named: name, of: directory)
      #expect(again?.entry == found.entry || again == nil)
      if found.node.content == .directory { try walk(tree, found.place, below, &limit, visit) }
    }
  }

  @Test("finds what reading front to back finds, by order and by name")
  func same() throws {
    var expected = [(path: String, node: CatarNode, content: UInt64)]()
    var names = [String]()
    var reader = ArchiveReader()
    try reader.push(Self.archive.rawSpan) { event, _, position in
      switch event {
      case .name(let name): names.append(String(decoding: name, as: UTF8.self))
      case .node(let node): expected.append(("/" + names.joined(separator: "/"), node, position.offset))
      case .end: _ = names.popLast()
      default: break
      }
    }
    let tree = try Self.reader(Self.archive)
    #expect(tree.root.node == expected.first?.node)
    var found = [(path: String, node: CatarNode, content: UInt64)]()
    var limit = 1000
    try Self.walk(tree, tree.root.place, "", &limit) { path, node in
      found.append((path, node.node, node.content.lowerBound))
      let again = try tree.node(node.place)
      #expect(again == node.node)
    }
    #expect(found.count == expected.count - 1 && found.count > 10)
    for (a, b) in zip(found, expected.dropFirst()) {
      #expect(a.path == b.path && a.node == b.node && a.content == b.content)
      var place = tree.root.place
      for name in a.path.split(separator: "/") {
        place = try #require(try tree.child(named: Array(name.utf8), of: place)).place
      }
      #expect(place.content.lowerBound == b.content)
    }
    #expect(try tree.child(named: Array("none".utf8), of: tree.root.place) == nil)
  }

  @Test("refuses an archive that is cut anywhere")
  func truncated() throws {
    for count in 0..<Self.archive.count {
      #expect(throws: CatarError.self) { try Self.reader(Array(Self.archive[..<count])) }
    }
  }

  @Test("comes to an end, without a trap, whichever byte is another")
  func damaged() throws {
    var generator = SystemRandomNumberGenerator()
    for place in Self.archive.indices {
      var bytes = Self.archive
      bytes[place] ^= UInt8.random(in: 1...255, using: &generator)
      do {
        let tree = try Self.reader(bytes)
        var limit = 200
        try Self.walk(tree, tree.root.place, "", &limit) { _, _ in }
      } catch is CatarError {
        // What is damaged is said to be.
      }
    }
  }

  @Test("gives up where more names have one hash than chance brings about")
  func collisions() throws {
    // 200 files, whose items all claim the hash of "x".
    var encoder = CatarEncoder()
    var bytes = [UInt8]()
    let directory = CatarNode(features: [], content: .directory, permissions: 0o777)
    let file = CatarNode(features: [], content: .regular(size: 0), permissions: 0o666)
    encoder.begin(nil, directory, to: &bytes)
    for number in 100..<300 { encoder.begin(Array("\(number)".utf8), file, to: &bytes) }
    encoder.endDirectory(to: &bytes)
    let hash = CatarTable.hash(Array("x".utf8))
    for item in 0..<200 {
      let place = bytes.count - 24 - 24 * (item + 1) + 16
      for byte in 0..<8 { bytes[place + byte] = UInt8(truncatingIfNeeded: hash >> UInt64(8 * byte)) }
    }
    let tree = try Self.reader(bytes)
    #expect(throws: CatarError.self) { try tree.child(named: Array("x".utf8), of: tree.root.place) }
    #expect(try tree.children(of: tree.root.place).count == 200)
  }

  @Test("refuses a directory whose table names a place outside it, or leaves some out")
  func outside() throws {
    let tree = try Self.reader(Self.archive)
    let count = try tree.children(of: tree.root.place).count
    let first = Self.archive.count - 24 - 24 * count
    for (field, value) in [(0, UInt64.max), (0, 1), (8, 0), (8, .max)] {
      var bytes = Self.archive
      for byte in 0..<8 { bytes[first + field + byte] = UInt8(truncatingIfNeeded: value >> UInt64(8 * byte)) }
      let tree = try Self.reader(bytes)
      #expect(throws: CatarError.self, "\(field) \(value)") { try tree.children(of: tree.root.place) }
    }
  }
}
