import CasyncChunking
import CasyncFormat
import CasyncIO
import Foundation
import TestSupport
import Testing

@testable import CasyncArchive

enum Vectors {
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Vectors/tree").path

  /// Makes the tree of make-tree.sh.
  static func makeTree(_ scratch: Scratch) throws -> String {
    let run = try Command.run("sh", ["\(directory)/make-tree.sh", scratch("tree")])
    #expect(run.status == 0, "\(run.errors)")
    return scratch("tree")
  }
}

@Suite("Trees into archives")
struct TreeVectorTests {
  struct File: Decodable {
    struct Set: Decodable {
      let name: String
      let digests: [String: Digest]
    }
    struct Digest: Decodable {
      let feature_flags: String
      let catar_size: Int
      let catar_sha256: String
      let digest: String
    }
    let sets: [Set]
  }

  static func encode(_ path: String, _ features: FeatureFlags) throws -> [UInt8] {
    var bytes = [UInt8]()
    let encoder = TreeEncoder(TreeOptions(features: features), Cancellation()) { piece in
      for index in 0..<piece.byteCount { bytes.append(piece.byte(at: index) ?? 0) }
    } content: { archived in
      bytes += try archived.file.readAll(limit: Int(archived.size))
    }
    try encoder.encode(path)
    return bytes
  }

  @Test("are casync's bytes for every set of features in tree.json")
  func vectors() throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: Vectors.directory + "/tree.json"))
    let file = try JSONDecoder().decode(File.self, from: data)
    let scratch = try Scratch()
    let tree = try Vectors.makeTree(scratch)
    var count = 0
    for set in file.sets {
      for (name, expected) in set.digests {
        let flags = try #require(UInt64(expected.feature_flags.dropFirst(2), radix: 16))
        let bytes = try Self.encode(tree, FeatureFlags(rawValue: flags))
        var sha256 = StreamDigest(.sha256)
        sha256.update(bytes.rawSpan)
        var digest = StreamDigest(try #require(DigestAlgorithm(rawValue: name)))
        digest.update(bytes.rawSpan)
        let hexes = (sha256.finish().hex, digest.finish().hex)
        #expect(bytes.count == expected.catar_size, "\(set.name) \(name)")
        #expect(hexes.0 == expected.catar_sha256 && hexes.1 == expected.digest, "\(set.name) \(name)")
        count += 1
      }
    }
    #expect(count == 14)
  }

  @Test("leave out what .caexclude, its exceptions and the files below say")
  func excludes() throws {
    var rules = ExcludeRules()
    try rules.add(Array("# no\n *.o \n/top\nsub/skip\n!keep.o\nonly/\n".utf8), path: "x")
    func isOut(_ name: String, _ isDirectory: Bool = false) -> Bool {
      rules.excludes(Array(name.utf8), isDirectory: isDirectory)
    }
    #expect(isOut("a.o") && isOut("top") && isOut("only", true))
    #expect(!isOut("keep.o") && !isOut(".x.o") && !isOut("only") && !isOut("skip") && !isOut("# no"))
    rules = rules.below(Array("sub".utf8))
    #expect(isOut("a.o") && isOut("skip") && !isOut("top") && !isOut("keep.o"))
    #expect(throws: ArchiveError.self) { try rules.add(Array("a/../b".utf8), path: "x") }
    #expect(throws: ArchiveError.self) { try rules.add(Array("/".utf8), path: "x") }
  }

  @Test("move owners by the shift")
  func shift() {
    let shift = UIDShift(shift: 100_000, range: 65536)
    #expect(shift.archived(100_001) == 1 && shift.archived(99_999) == nil)
    #expect(shift.restored(1) == 100_001 && shift.restored(65537) == 100_001)
    #expect(UIDShift.none.restored(4_000_000_000) == 4_000_000_000)
    #expect(UIDShift.none.restored(.max) == nil)
  }

  @Test("refuse a time before 1970")
  func times() throws {
    let scratch = try Scratch()
    #expect(try Command.run("touch", ["-d", "@-1", scratch("old")]).status == 0)
    #expect(throws: ArchiveError.self) { try Self.encode(scratch.path, [.secondTime]) }
    #expect(try !Self.encode(scratch.path, []).isEmpty)
  }
}
