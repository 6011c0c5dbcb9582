import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore
import Foundation
import TestSupport
import Testing

@testable import Casync

@Suite("VerifyRequest")
struct VerifyRequestTests {
  static func verify(_ scratch: Scratch, _ target: String) throws -> VerifySummary {
    try VerifyRequest(index: scratch("image.index"), target: scratch(target)).run(Progress())
  }

  @Test("a target that holds the image is identical, also with more behind it")
  func identical() throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 1)
    let image = generator.image(900_000)
    try scratch.put(image)
    #expect(try Self.verify(scratch, "image").isIdentical)
    try scratch.write(image + [1, 2, 3], to: "longer")
    let summary = try Self.verify(scratch, "longer")
    #expect(summary.isIdentical)
    #expect(summary.size == 900_000)
  }

  @Test("a changed byte is in the one difference", arguments: [0, 450_000, 899_999])
  func changed(place: Int) throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 2)
    var image = generator.bytes(900_000)
    try scratch.put(image)
    image[place] ^= 1
    try scratch.write(image, to: "changed")
    let differences = try Self.verify(scratch, "changed").differences
    #expect(differences.count == 1)
    #expect(differences.first?.range.contains(UInt64(place)) == true)
    #expect(differences.first.map { $0.range.length <= 65536 } == true)
  }

  @Test("neighbouring differences are one, and what is missing differs")
  func short() throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 3)
    let image = generator.bytes(900_000)
    try scratch.put(image)
    try scratch.write(Array(image[..<500_000]), to: "short")
    let differences = try Self.verify(scratch, "short").differences
    #expect(differences.count == 1)
    #expect(differences.first?.range.upperBound == 900_000)
    #expect(differences.first.map { $0.range.lowerBound <= 500_000 } == true)
    try scratch.write([], to: "none")
    #expect(try Self.verify(scratch, "none").differences.map(\.range) == [0..<900_000])
  }
}

@Suite("DigestRequest")
struct DigestRequestTests {
  @Test("a file has the digest asked for, an index SHA-512/256 of its image")
  func digests() throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 4)
    let image = generator.image(1_500_000)
    try scratch.put(image)
    for algorithm in DigestAlgorithm.allCases {
      var request = DigestRequest(input: scratch("image"), isIndex: false, stores: [])
      request.digest = algorithm
      #expect(try request.run(Progress()) == digest(image, algorithm))
    }
    let request = DigestRequest(input: scratch("image.index"), isIndex: true, stores: [scratch("store")])
    #expect(try request.run(Progress()) == digest(image, .sha512_256))
  }

  @Test("nothing has the digest of nothing", arguments: [false, true])
  func empty(isIndex: Bool) throws {
    let scratch = try Scratch()
    try scratch.put([])
    let input = scratch(isIndex ? "image.index" : "image")
    let request = DigestRequest(input: input, isIndex: isIndex, stores: [])
    #expect(
      try request.run(Progress()).hex == "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a")
  }

  @Test("a size of whole buffers is read to its end")
  func wholeBuffers() throws {
    let scratch = try Scratch()
    let image = [UInt8](repeating: 7, count: 2 << 20)
    let request = DigestRequest(input: try scratch.write(image, to: "image"), isIndex: false, stores: [])
    #expect(try request.run(Progress()) == digest(image, .sha512_256))
  }
}

@Suite("DiffRequest")
struct DiffRequestTests {
  @Test("what is kept, added and dropped adds up, and the download is what the store holds")
  func parts() throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 5)
    let old = generator.bytes(600_000)
    let new = Array(old[..<400_000]) + generator.bytes(300_000)
    try scratch.put(old, "old")
    let put = try scratch.put(new, "new")
    var request = DiffRequest(
      old: scratch("old.index"), new: scratch("new.index"), stores: [scratch("store")])
    let part = try #require(try request.run(Progress()).parts.first)
    #expect(part.name == "image")
    #expect(part.kept.bytes + part.added.bytes == 700_000)
    #expect(part.kept.bytes > 300_000)
    #expect(part.dropped.bytes == 600_000 - part.kept.bytes)
    #expect(part.added.chunks == put.newChunks)
    #expect(part.download == put.storedBytes)
    #expect(part.missing == 0)
    try scratch.removeChunks(of: "new")
    #expect(try request.run(Progress()).parts.first?.missing == put.newChunks)
    request.stores = []
    let without = try request.run(Progress())
    #expect(without.parts.count == 1)
    #expect(without.parts.first?.download == nil)
  }

  @Test("an index differs in nothing from itself")
  func same() throws {
    let scratch = try Scratch()
    try scratch.put([1, 2, 3])
    let path = scratch("image.index")
    let part = try #require(try DiffRequest(old: path, new: path, stores: []).run(Progress()).parts.first)
    #expect(part.kept.bytes == 3)
    #expect(part.added.chunks == 0)
    #expect(part.dropped.chunks == 0)
  }

  @Test("partitions are compared each for itself", .needs("sgdisk", "mke2fs"))
  func partitions() throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 6)
    let old = try makeDisk(scratch, &generator)
    var new = old
    let second = 14337 * 512..<20481 * 512
    new.replaceSubrange(second, with: generator.bytes(second.count))
    try scratch.put(old, "old")
    try scratch.put(new, "new")
    let request = DiffRequest(
      old: scratch("old.index"), new: scratch("new.index"), stores: [scratch("store")])
    let parts = try request.run(Progress()).parts
    #expect(parts.map(\.name) == ["image", "partition 1", "partition 2"])
    #expect(parts.map(\.added.bytes) == [UInt64(second.count), 0, UInt64(second.count)])
    #expect(parts[1].kept.bytes == 6 << 20)
  }

  @Test("indexes of different digests cannot be compared")
  func digests() throws {
    let scratch = try Scratch()
    try scratch.put([1], "old")
    try scratch.put([1], "new") { $0.digest = .sha512_256 }
    let request = DiffRequest(old: scratch("old.index"), new: scratch("new.index"), stores: [])
    let error = #expect(throws: JobError.self) { try request.run(Progress()) }
    #expect(error?.code == .badRequest)
    #expect(
      error?.message == "the indexes name their chunks by different digests, sha256 and sha512-256")
  }
}

@Suite("IndexSummary")
struct IndexSummaryTests {
  @Test("distinct chunks and zeros are counted")
  func counts() throws {
    let scratch = try Scratch()
    var generator = Generator(seed: 7)
    let part = generator.bytes(303_104)
    let image = part + part + [UInt8](repeating: 0, count: 65536 * 4)
    let put = try scratch.put(image)
    let summary = try IndexSummary(path: scratch("image.index"))
    #expect(summary.index.count == put.chunks)
    #expect(summary.distinctChunks == put.newChunks)
    #expect(summary.zeroBytes == put.zeroBytes)
  }
}

@Suite("CollectionRequest")
struct CollectionRequestTests {
  /// Two images in one store, and the names of the chunks that only the first has.
  static func store(_ scratch: Scratch) throws -> [String] {
    var generator = Generator(seed: 8)
    let shared = generator.bytes(200_000)
    try scratch.put(shared + generator.bytes(200_000), "a")
    let before = Set(try scratch.chunks())
    try scratch.put(shared + generator.bytes(200_000), "b", store: "other")
    let needed = Set(try scratch.chunks("other"))
    try scratch.remove("other")
    try scratch.put(scratch.bytes("b"), "b")
    return before.subtracting(needed).sorted()
  }

  static func request(_ scratch: Scratch, _ names: String...) -> CollectionRequest {
    CollectionRequest(indexes: names.map { scratch("\($0).index") }, store: scratch("store"))
  }

  @Test("what no index names is removed, and nothing else")
  func removes() throws {
    let scratch = try Scratch(.memory)
    let unused = try Self.store(scratch)
    let all = try scratch.chunks()
    var dry = Self.request(scratch, "b")
    dry.dryRun = true
    let planned = try dry.run(Progress())
    #expect(try scratch.chunks() == all)
    let summary = try Self.request(scratch, "b").run(Progress())
    #expect(summary.removed.sorted() == unused.map { FileSystem.name(of: $0) }.sorted())
    #expect(planned.removed.sorted() == summary.removed.sorted())
    #expect(summary.removedBytes == planned.removedBytes)
    #expect(summary.remaining == all.count - unused.count)
    #expect(summary.references == (try scratch.index("b").count))
    #expect(try scratch.chunks().count == all.count - unused.count)
    #expect(try scratch.names(in: "store").count == Set(try scratch.chunks().map { $0.prefix(4) }).count)
    try scratch.get("b", to: "target")
    #expect(try scratch.bytes("target") == scratch.bytes("b"))
  }

  @Test("with every index nothing is removed")
  func keepsAll() throws {
    let scratch = try Scratch(.memory)
    _ = try Self.store(scratch)
    let all = try scratch.chunks()
    let summary = try Self.request(scratch, "a", "b").run(Progress())
    #expect(summary.removed == [])
    #expect(summary.removedDirectories == 0)
    #expect(try scratch.chunks() == all)
  }

  @Test("young chunks are spared with a grace period")
  func grace() throws {
    let scratch = try Scratch(.memory)
    let unused = try Self.store(scratch)
    let old = try #require(unused.first)
    let date = Date(timeIntervalSinceNow: -7200)
    try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: scratch("store/\(old)"))
    var request = Self.request(scratch, "b")
    request.grace = .seconds(3600)
    let summary = try request.run(Progress())
    #expect(summary.removed == [FileSystem.name(of: old)])
    #expect(summary.spared == unused.count - 1)
  }

  @Test("old temporary files go, young ones, plain chunks and foreign names stay")
  func strays() throws {
    let scratch = try Scratch(.memory)
    try scratch.put([1, 2, 3], "b")
    let hex = String(repeating: "ab", count: 32)
    try Tool.run("mkdir", scratch("store/abab"))
    for name in ["\(hex).0.tmp", "\(hex).1.tmp", hex, "\(hex).cacnk.bad", "readme"] {
      try scratch.write([1], to: "store/abab/\(name)")
    }
    let date = Date(timeIntervalSinceNow: -25 * 3600)
    try FileManager.default.setAttributes(
      [.modificationDate: date], ofItemAtPath: scratch("store/abab/\(hex).0.tmp"))
    let summary = try Self.request(scratch, "b").run(Progress())
    #expect(summary.removed == [])
    #expect(summary.warnings == ["\(scratch("store"))/abab/readme is no chunk; it was left alone"])
    #expect(
      try scratch.names(in: "store/abab") == ["\(hex).1.tmp", hex, "\(hex).cacnk.bad", "readme"].sorted())
  }

  @Test("nothing is removed when an index is missing, damaged, or not given, or while somebody writes")
  func refuses() throws {
    let scratch = try Scratch(.memory)
    _ = try Self.store(scratch)
    let all = try scratch.chunks()
    try scratch.write([1, 2, 3], to: "bad.index")
    #expect(throws: JobError.self) { try Self.request(scratch).run(Progress()) }
    #expect(throws: JobError.self) { try Self.request(scratch, "b", "bad").run(Progress()) }
    #expect(throws: SystemError.self) { try Self.request(scratch, "b", "none").run(Progress()) }
    do {
      let writer = try LocalStoreWriter(LocalStore(scratch("store")))
      let error = #expect(throws: StoreError.self) { try Self.request(scratch, "b").run(Progress()) }
      #expect(error?.code == .busy)
      withExtendedLifetime(writer) {}
    }
    #expect(try scratch.chunks() == all)
  }
}

@Suite("CheckRequest")
struct CheckRequestTests {
  @Test("a good store has nothing bad, whatever is in it", arguments: DigestAlgorithm.allCases)
  func good(algorithm: DigestAlgorithm) throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 9)
    let put = try scratch.put(generator.bytes(300_000)) { $0.digest = algorithm }
    let plain = digest([1, 2, 3], algorithm)
    try Tool.run("mkdir", "-p", scratch("store/\(plain.hex.prefix(4))"))
    try scratch.write([1, 2, 3], to: "store/\(plain.hex.prefix(4))/\(plain)")
    let summary = try CheckRequest(store: scratch("store")).run(Progress())
    #expect(summary.bad.isEmpty)
    #expect(summary.chunks == put.newChunks + 1)
    #expect(summary.bytes == put.storedBytes + 3)
  }

  @Test("bad chunks are found, moved aside when asked, and put anew")
  func bad() throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 10)
    let image = generator.bytes(300_000)
    try scratch.put(image)
    let names = try scratch.chunks()
    let reasons = [
      "it is empty, or no regular file", "the chunk is neither zstd nor xz nor gzip",
      "its content does not match its name",
    ]
    for (name, bytes) in zip(names, [[], Array("no chunk".utf8), try scratch.bytes("store/\(names[3])")]) {
      try scratch.remove("store/\(name)")
      try scratch.write(bytes, to: "store/\(name)")
    }
    var request = CheckRequest(store: scratch("store"))
    let found = try request.run(Progress())
    #expect(found.bad.map(\.path) == Array(names[..<3]))
    #expect(found.bad.map(\.reason) == reasons)
    #expect(found.bad.allSatisfy { $0.movedTo == nil })
    #expect(try scratch.chunks() == names)
    request.repair = true
    let repaired = try request.run(Progress())
    #expect(repaired.bad.map(\.movedTo) == names[..<3].map { $0 + ".bad" })
    #expect(try scratch.chunks() == Array(names[3...]))
    #expect(try scratch.put(image).newChunks == 3)
    #expect(try request.run(Progress()).bad.isEmpty)
    try scratch.get(to: "target")
    #expect(try scratch.bytes("target") == image)
  }
}
