import CasyncFormat
import CasyncIO
import Foundation
import TestSupport
import Testing

@testable import CasyncArchive

@Suite("Archives into trees")
struct ExtractTests {
  /// Extracts `archive` into `path`, which is made.
  static func extract(_ archive: [UInt8], into path: String, _ options: ExtractOptions = ExtractOptions())
    throws
  {
    try FileSystem.makeDirectory(path)
    try TreeExtractor.extract(into: File.open(path, .directory), options) { extractor in
      var reader = ArchiveReader()
      var names: [[UInt8]] = []
      try reader.push(archive.rawSpan) { event, bytes, position in
        switch event {
        case .name(let name): names.append(name)
        case .node(let node): try extractor.enter(names.last, node, contentOffset: position.offset)
        case .payload: try extractor.content(bytes)
        case .end:
          try extractor.leave()
          _ = names.popLast()
        case nil: break
        }
      }
      try reader.finish()
    }
  }

  static var vector: [UInt8] {
    get throws { [UInt8](try Data(contentsOf: URL(fileURLWithPath: Vectors.directory + "/rich.catar"))) }
  }

  static let features: FeatureFlags = [.permissions, .symlinks, .fifos]

  static func node(_ content: CatarNode.Content, permissions: UInt32 = 0o755) -> CatarNode {
    let isSymlink = if case .symlink = content { true } else { false }
    return CatarNode(features: features, content: content, permissions: isSymlink ? 0o777 : permissions)
  }

  /// A file's name and content in a test's archive; `nil` ends a directory.
  struct Entry {
    let name: String
    let content: CatarNode.Content
    var bytes: [UInt8] = []

    static func file(_ name: String, _ text: String) -> Entry {
      Entry(name: name, content: .regular(size: UInt64(text.utf8.count)), bytes: Array(text.utf8))
    }
    static func link(_ name: String, _ target: String) -> Entry {
      Entry(name: name, content: .symlink(target: Array(target.utf8)))
    }
    static func directory(_ name: String) -> Entry { Entry(name: name, content: .directory) }
  }

  static func archive(_ entries: [Entry?]) -> [UInt8] {
    var bytes = [UInt8]()
    var encoder = CatarEncoder()
    encoder.begin(nil, node(.directory), to: &bytes)
    for entry in entries {
      guard let entry else {
        encoder.endDirectory(to: &bytes)
        continue
      }
      encoder.begin(Array(entry.name.utf8), node(entry.content), to: &bytes)
      bytes += entry.bytes
    }
    while encoder.depth > 0 { encoder.endDirectory(to: &bytes) }
    return bytes
  }

  static func names(_ path: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: path).sorted()
  }

  @Test("give the tree of casync's archive, which archived again is the same bytes")
  func roundTrip() throws {
    let scratch = try Scratch()
    let archive = try Self.vector
    let features = try #require(archive.rawSpan.word(at: 16).map { FeatureFlags(rawValue: $0) })
    for _ in 0..<2 {
      // The second time over what the first made.
      try Self.extract(archive, into: scratch("out"))
      #expect(try TreeVectorTests.encode(scratch("out"), features) == archive)
    }
  }

  @Test("leave zeros out of files, unless told otherwise")
  func holes() throws {
    let scratch = try Scratch()
    let text = "x" + String(repeating: "\0", count: 1 << 20) + "y"
    for isSparse in [true, false] {
      var options = ExtractOptions()
      options.punchHoles = isSparse
      try Self.extract(Self.archive([.file("f", text)]), into: scratch("\(isSparse)"), options)
      let path = scratch("\(isSparse)/f")
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(text.utf8))
      let blocks = try Command.run("stat", ["-c", "%b", path]).output
      #expect((Int(blocks.dropLast()) ?? 0) * 512 > 1 << 20 ? !isSparse : isSparse)
    }
  }

  @Test("replace what is of another kind, and remove what is not listed")
  func replacing() throws {
    let scratch = try Scratch()
    try Self.extract(
      Self.archive([
        .directory("a"), .file("x", "1"), nil, .file("b", "2"), .link("c", "b"), .file("gone", "3"),
      ]),
      into: scratch("out"))
    let archive = Self.archive([
      .file("a", "now a file"), .directory("b"), .link("x", "y"), nil, .file("c", "4"),
    ])
    var options = ExtractOptions()
    options.delete = false
    try Self.extract(archive, into: scratch("out"), options)
    #expect(try Self.names(scratch("out")) == ["a", "b", "b/x", "c", "gone"])
    try Self.extract(archive, into: scratch("out"))
    #expect(try Self.names(scratch("out")) == ["a", "b", "b/x", "c"])
    #expect(try String(contentsOfFile: scratch("out/a"), encoding: .utf8) == "now a file")
  }

  @Test("write nothing through links that are there already")
  func links() throws {
    let scratch = try Scratch()
    try FileSystem.makeDirectory(scratch("outside"))
    try FileSystem.makeDirectory(scratch("out"))
    try FileManager.default.createSymbolicLink(
      atPath: scratch("out/d"), withDestinationPath: scratch("outside"))
    try FileManager.default.createSymbolicLink(
      atPath: scratch("out/f"), withDestinationPath: scratch("outside/f"))
    try Self.extract(
      Self.archive([.directory("d"), .file("x", "1"), nil, .file("f", "2")]), into: scratch("out"))
    #expect(try Self.names(scratch("outside")) == [])
    #expect(try Self.names(scratch("out")) == ["d", "d/x", "f"])
  }

  @Test(
    "write nothing outside the target, whatever the names say",
    arguments: ["../escaped", "/tmp/casync-escaped", "..", ".", "a/b", "d/../../escaped"])
  func escapes(name: String) throws {
    let scratch = try Scratch()
    #expect(throws: CatarError.self) {
      try Self.extract(Self.archive([.file(name, "x")]), into: scratch("out"))
    }
    // Through a link of the archive itself.
    #expect(throws: CatarError.self) {
      try Self.extract(
        Self.archive([.link("l", ".."), .directory("l"), .file("escaped", "x"), nil]), into: scratch("out"))
    }
    #expect(try Self.names(scratch.path).allSatisfy { $0 == "out" || $0.hasPrefix("out/") })
    #expect(!FileManager.default.fileExists(atPath: "/tmp/casync-escaped"))
  }

  @Test("that end early are refused and leave no temporary name behind")
  func truncation() throws {
    let archive = try Self.vector
    let scratch = try Scratch()
    for count in stride(from: 0, to: archive.count, by: 7) {
      #expect(throws: CatarError.self) { try Self.extract(Array(archive[..<count]), into: scratch("out")) }
      #expect(try !Self.names(scratch("out")).contains { $0.contains(".#") }, "after \(count) bytes")
    }
    try Self.extract(archive, into: scratch("out"))
  }

  @Test("take what is immutable out of the way only when told")
  func immutable() throws {
    let scratch = try Scratch()
    try Self.extract(Self.archive([.file("f", "old")]), into: scratch("out"))
    let file = try File.open(scratch("out/f"))
    guard let attributes = try file.attributes() else { return }
    // Where nothing can be made immutable there is nothing to test.
    guard (try? file.setAttributes(attributes | 0x10)) != nil else { return }
    defer { try? file.setAttributes(attributes) }
    let archive = Self.archive([.file("f", "new")])
    #expect(throws: SystemError.self) { try Self.extract(archive, into: scratch("out")) }
    #expect(try Self.names(scratch("out")) == ["f"])
    var options = ExtractOptions()
    options.undoImmutable = true
    try Self.extract(archive, into: scratch("out"), options)
    #expect(try String(contentsOfFile: scratch("out/f"), encoding: .utf8) == "new")
  }

  @Test("restore only what is wanted")
  func masks() throws {
    let scratch = try Scratch()
    var options = ExtractOptions()
    options.mask = [.symlinks]
    try Self.extract(
      Self.archive([Entry(name: "fifo", content: .fifo), .link("l", "x")]), into: scratch("out"), options)
    #expect(try Self.names(scratch("out")) == ["l"])
  }

  /// A small archive with a file, a link, a fifo and a directory.
  static var small: [UInt8] {
    archive([
      .directory("d"), .file("f", "text"), .link("l", "f"), nil, Entry(name: "p", content: .fifo),
      .file("z", ""),
    ])
  }

  @Test("cut at any byte are refused, and leave only what is whole")
  func everyPrefix() throws {
    let scratch = try Scratch()
    for count in 0..<Self.small.count {
      #expect(throws: CatarError.self) { try Self.extract(Array(Self.small[..<count]), into: scratch("out")) }
      let names = try Self.names(scratch("out"))
      #expect(Set(names).isSubset(of: ["d", "d/f", "d/l", "p", "z"]), "after \(count) bytes: \(names)")
    }
  }

  @Test("with any byte changed either fail or stay inside the target")
  func everyByte() throws {
    let scratch = try Scratch()
    for index in 0..<Self.small.count {
      for bits in [0x01, 0x80, 0xff] as [UInt8] {
        var archive = Self.small
        archive[index] ^= bits
        // Whatever becomes of it: what it may not do is told below.
        try? Self.extract(archive, into: scratch("out"))
        try FileManager.default.removeItem(atPath: scratch("out"))
      }
      #expect(try Self.names(scratch.path) == [], "byte \(index)")
    }
  }

  @Test("with names twice or out of order are refused before the second is made")
  func order() throws {
    let scratch = try Scratch()
    for names in [["a", "a"], ["b", "a"], ["a", "B"]] {
      let archive = Self.archive(names.map { .file($0, $0 + " first") })
      #expect(throws: CatarError.self) { try Self.extract(archive, into: scratch("out")) }
    }
    #expect(throws: CatarError.self) {
      try Self.extract(Self.archive([.link("x", "/etc"), .directory("x"), nil]), into: scratch("out"))
    }
    #expect(try Self.names(scratch.path).allSatisfy { $0 == "out" || $0.hasPrefix("out/") })
  }

  @Test("with sizes that lie are refused")
  func sizes() throws {
    let scratch = try Scratch()
    for size in [3, 5, 1 << 20, UInt64.max >> 1, UInt64.max - 16] {
      var bytes = [UInt8]()
      var encoder = CatarEncoder()
      encoder.begin(nil, Self.node(.directory), to: &bytes)
      let start = bytes.count
      encoder.begin(Array("f".utf8), Self.node(.regular(size: 4)), to: &bytes)
      // The header of PAYLOAD comes last.
      for (index, shift) in stride(from: UInt64(0), to: 64, by: 8).enumerated() {
        bytes[bytes.count - 16 + index] = UInt8(truncatingIfNeeded: (size &+ 16) >> shift)
      }
      #expect(start < bytes.count - 16)
      bytes += Array("text".utf8)
      encoder.endDirectory(to: &bytes)
      #expect(throws: CatarError.self) { try Self.extract(bytes, into: scratch("out")) }
    }
  }

  @Test("are as deep as 64 directories and no deeper")
  func depth() throws {
    let scratch = try Scratch()
    try Self.extract(Self.archive((1..<64).map { _ in .directory("d") }), into: scratch("out"))
    #expect(throws: CatarError.self) {
      try Self.extract(Self.archive((1..<2000).map { _ in .directory("d") }), into: scratch("deep"))
    }
  }
}
