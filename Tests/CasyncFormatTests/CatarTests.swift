import Foundation
import Testing

@testable import CasyncFormat

/// An archive taken apart.
struct Decoded: Equatable {
  struct Node: Equatable {
    var name: [UInt8]?
    var node: CatarNode
    var content: [UInt8] = []
    var isEnd = false
  }
  var nodes: [Node] = []

  /// - Parameter pieceLength: bytes that each step is shown.
  init(_ bytes: [UInt8], pieceLength: Int = .max) throws {
    var decoder = CatarDecoder()
    var offset = 0
    var shown = min(pieceLength, bytes.count)
    var name: [UInt8]?
    while !decoder.isAtEnd {
      let span = bytes.rawSpan.extracting(offset..<max(offset, shown))
      guard let step = try decoder.step(span) else {
        guard shown < bytes.count else { throw CatarError(.truncated, at: UInt64(bytes.count)) }
        shown = min(bytes.count, max(shown, offset) + min(pieceLength, bytes.count))
        continue
      }
      switch step.event {
      case .name(let next): name = next
      case .node(let node):
        nodes.append(Node(name: name, node: node))
        name = nil
      case .payload:
        nodes[nodes.count - 1].content += bytes[offset..<offset + step.consumed]
      case .end: nodes.append(Node(node: CatarTests.anyNode, isEnd: true))
      case nil: break
      }
      offset += step.consumed
      #expect(decoder.offset == UInt64(offset))
    }
  }

  var encoded: [UInt8] {
    var bytes = [UInt8]()
    var encoder = CatarEncoder()
    var open: [Bool] = []
    for item in nodes {
      if item.isEnd {
        if open.removeLast() { encoder.endDirectory(to: &bytes) }
        continue
      }
      encoder.begin(item.name, item.node, to: &bytes)
      bytes += item.content
      open.append(item.node.content == .directory)
    }
    return bytes
  }
}

@Suite("Archives as bytes")
struct CatarTests {
  static let anyNode = CatarNode(features: [], content: .directory, permissions: 0o777)

  /// Made by casync of the tree of make-rich-tree.py.
  static let rich: [UInt8] = {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Vectors/tree/rich.catar")
    guard let data = try? Data(contentsOf: path) else { preconditionFailure("\(path) is part of the tests") }
    return [UInt8](data)
  }()

  @Test(
    "casync's archive, taken apart and put together again, is the same bytes", arguments: [1, 7, 64, Int.max])
  func identity(pieceLength: Int) throws {
    let decoded = try Decoded(Self.rich, pieceLength: pieceLength)
    #expect(decoded.encoded == Self.rich)
    #expect(decoded.nodes.filter { !$0.isEnd }.count == 16)
  }

  @Test("the metadata of casync's archive is what the tree had")
  func metadata() throws {
    let nodes = try Decoded(Self.rich).nodes.filter { !$0.isEnd }
    func node(_ name: String) throws -> Decoded.Node {
      try #require(nodes.first { $0.name == Array(name.utf8) })
    }
    #expect(try node("plain").node.permissions == 0o6755)
    #expect(try node("plain").content == Array("plain".utf8))
    #expect(
      try node("xattr").node.xattrs.map(\.name)
        == ["trusted.a", "user.empty", "user.one"].map { Array($0.utf8) })
    #expect(try node("cap").node.capabilities?.count == 20)
    #expect(try node("label").node.label == Array("a_label".utf8))
    #expect(try node("block").node.content == .blockDevice(major: 259, minor: 70000))
    #expect(try node("link").node.content == .symlink(target: Array("a/b".utf8)))
    #expect(try node("nobody").node.uid == 54321)
    #expect(try node("odd owner").node.group == Array("www-data".utf8))
    #expect(try node("nodump").node.attributes.contains(.flagNodump))
    let acl = try node("acl").node.acl
    #expect(
      acl.users.map(\.id) == [1, 12345] && acl.groups.map(\.permissions) == [5] && acl.groupObject == 4)
    #expect(try node("dir").node.acl.defaults == CatarACL.Default(user: 7, group: 5, other: 5, mask: 5))
    #expect(try node("sub").node.acl.defaults?.mask == nil)
    #expect(try node("xattr").node.modified == 1_600_000_000_123_456_789 + 5)
  }

  @Test("an archive that ends early is refused, wherever it ends")
  func truncation() {
    for count in 0..<Self.rich.count {
      #expect(throws: CatarError.self) { try Decoded(Array(Self.rich[..<count])) }
    }
  }

  /// Where the items of each GOODBYE lie; the reader of a stream has no use for them.
  private static var goodbyeItems: [Range<Int>] {
    (0..<rich.count - 16).filter { rich.rawSpan.word(at: $0 + 8) == CatarRecord.goodbye.rawValue }.map {
      start in
      start + 16..<start + Int(rich.rawSpan.word(at: start) ?? 0) - 24
    }
  }

  @Test("a flipped bit is refused or gives another tree, outside the tables of hashes", arguments: 0..<8)
  func flips(bit: Int) throws {
    let whole = try Decoded(Self.rich)
    let items = Self.goodbyeItems
    #expect(items.count == 3)
    for offset in stride(from: bit % 3, to: Self.rich.count, by: 3) {
      if items.contains(where: { $0.contains(offset) }) { continue }
      var bytes = Self.rich
      bytes[offset] ^= 1 << UInt8(bit)
      let other = try? Decoded(bytes)
      #expect(other != whole, "byte \(offset)")
    }
  }

  @Test("bytes that follow a random prefix never trap", arguments: Generator.seeds(20))
  func noise(seed: UInt64) {
    var generator = Generator(seed: seed)
    for _ in 0..<200 {
      var bytes = Array(Self.rich[..<Int.random(in: 0..<Self.rich.count, using: &generator)])
      for _ in 0..<Int.random(in: 0..<64, using: &generator) { bytes.append(word: generator.next() >> 40) }
      _ = try? Decoded(bytes)
    }
  }

  @Test(
    "the tree of a GOODBYE is complete, the smaller to the left", arguments: Array(0...70) + [127, 128, 1000])
  func arrangement(count: Int) {
    let tree = CatarGoodbye.arranged(Array(0..<count))
    #expect(tree.sorted() == Array(0..<count))
    func inOrder(_ index: Int) -> [Int] {
      index < tree.count ? inOrder(2 * index + 1) + [tree[index]] + inOrder(2 * index + 2) : []
    }
    #expect(inOrder(0) == Array(0..<count))
  }

  @Test("names are hashed by SipHash-2-4 under casync's key")
  func sipHash() throws {
    // The one item of the GOODBYE of "dir" is that of "sub".
    let items = try #require(Self.goodbyeItems.first { $0.count == 24 })
    #expect(Self.rich.rawSpan.word(at: items.lowerBound + 16) == SipHash.hash(Array("sub".utf8)))
  }
}
