import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore
import Foundation
import TestSupport
import Testing

@testable import Casync

@Suite("PutRequest and GetRequest")
struct PutGetTests {
  static let chunkers: [Chunker] = [.image(average: 16384), .imageDefault, .buzhash(.standard)]

  @Test(
    "what was put is got back, whatever it was cut and compressed with",
    arguments: chunkers.indices, DigestAlgorithm.allCases)
  func roundTrip(chunker: Int, algorithm: DigestAlgorithm) throws {
    for (number, compression) in Compression.allCases.enumerated() {
      let scratch = try Scratch(.memory)
      let seed = UInt64.random(in: .min ... .max)
      var generator = Generator(seed: seed)
      let image = generator.image([1, 700_000, 1_300_001][number])
      let put = try scratch.put(image) {
        $0.chunker = Self.chunkers[chunker]
        $0.digest = algorithm
        $0.digestsImage = true
        $0.compression = compression
        $0.compressionLevel = compression == .xz ? 0 : nil
      }
      let index = try scratch.index()
      #expect(put.imageDigest == digest(image, algorithm))
      #expect(try put.indexDigest == digest(scratch.bytes("image.index")))
      #expect(put.size == UInt64(image.count))
      #expect(put.chunks == index.count)
      #expect(index.size == put.size)
      #expect(index.digest == algorithm)
      #expect(index.chunker == Self.chunkers[chunker])
      #expect(try scratch.chunks().count == put.newChunks)
      let get = try scratch.get(to: "target")
      #expect(try scratch.bytes("target") == image, "seed \(seed), \(compression)")
      #expect(get.size == put.size)
      #expect(get.chunks == put.chunks)
      #expect(get.shares.reduce(0) { $0 + $1.bytes } == put.size)
      #expect(get.shares.reduce(0) { $0 + $1.chunks } == put.chunks)
      #expect(try scratch.names() == ["image", "image.index", "store", "target"])
    }
  }

  @Test("nothing has an index of no chunks, no store, and is got as an empty file")
  func empty() throws {
    let scratch = try Scratch()
    let put = try scratch.put([]) { $0.digestsImage = true }
    #expect(put.imageDigest == digest([]))
    #expect(put.chunks == 0)
    #expect(!scratch.exists("store"))
    try scratch.get(to: "target", stores: [])
    #expect(try scratch.bytes("target") == [])
  }

  @Test("an image that is written to meanwhile is refused, and gets no index; the same put may go on")
  func writtenTo() throws {
    let scratch = try Scratch()
    var generator = Generator(seed: 3)
    let image = generator.bytes(3 << 20)
    let path = try scratch.writeSparse(image, to: "image")
    var request = PutRequest(input: path, index: scratch("image.index"), store: scratch("store"))
    request.chunker = .image(average: 16384)
    let file = try File.open(path, .readWrite)
    let end = Cancellation()
    let error = try WorkerPool.with(count: 1, context: {}) { pool in
      // The same byte again and again, so that no moment of the put is without.
      let writing = pool.submit { _ in
        while !end.isCancelled { try file.write(Buffer(count: 1), 0..<1, at: 9) }
      }
      let error = #expect(throws: JobError.self) { try request.run(Progress()) }
      end.cancel()
      try writing.wait()
      return error
    }
    #expect(error?.message == "\(path) changed while it was read")
    #expect(try scratch.names() == ["image", "store"])
    #expect(try request.run(Progress()).size == UInt64(image.count))
  }

  @Test(
    "putting the same again stores nothing new, and what changed only that", arguments: Generator.seeds(3))
  func again(seed: UInt64) throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: seed)
    var image = generator.image(900_000)
    let first = try scratch.put(image, "a")
    let second = try scratch.put(image, "b")
    #expect(second.newChunks == 0)
    #expect(second.storedBytes == 0)
    #expect(second.indexDigest == first.indexDigest)
    #expect(second.imageDigest == nil)
    #expect(try scratch.bytes("a.index") == scratch.bytes("b.index"))
    image[450_000] ^= 1
    let third = try scratch.put(image, "c")
    #expect(third.newChunks >= 1)
    #expect(third.newChunks <= 3)
    try scratch.get("a", to: "target")
    #expect(try scratch.bytes("target") == scratch.bytes("a"))
  }

  @Test("holes are counted, zeros are stored once, and come back as holes")
  func zeros() throws {
    let scratch = try Scratch()
    var generator = Generator(seed: 1)
    let image = generator.bytes(65536) + [UInt8](repeating: 0, count: 4 << 20) + generator.bytes(65536)
    let put = try scratch.put(image)
    #expect(put.holeBytes == 4 << 20)
    #expect(put.zeroBytes == 4 << 20)
    #expect(put.zeroChunks == 64)
    let get = try scratch.get(to: "target")
    #expect(get.share(of: .zero).bytes == 4 << 20)
    #expect(get.zeroedBytes == 4 << 20)
    #expect(try scratch.bytes("target") == image)
    #expect(
      try File.open(scratch("target")).nextData(in: 65536..<UInt64(image.count)) == 4_259_840..<4_325_376)
  }

  @Test(
    "the header says by which digest the chunks are named, whatever other flags were asked for",
    arguments: DigestAlgorithm.allCases)
  func flags(algorithm: DigestAlgorithm) throws {
    for flags in [[], .blob(.sha256), .blob(.sha512_256)] as [FeatureFlags] {
      let scratch = try Scratch()
      try scratch.put([1, 2, 3]) {
        $0.digest = algorithm
        $0.flags = flags
      }
      #expect(try scratch.index().digest == algorithm)
      try scratch.get(to: "target")
      #expect(try scratch.bytes("target") == [1, 2, 3])
    }
  }

  @Test("the index has the mode of the image, and nothing is left when putting fails")
  func indexFile() throws {
    let scratch = try Scratch()
    try scratch.write([1, 2, 3], to: "image")
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: scratch("image"))
    try scratch.put([1, 2, 3])
    #expect(try File.status(scratch("image.index"))?.mode == 0o600)
    try scratch.write([9], to: "file")
    #expect(throws: (any Error).self) { try scratch.put([1, 2, 3], "other", store: "file/store") }
    #expect(throws: (any Error).self) { try scratch.put([1, 2, 3], "third") { $0.compressionLevel = 99 } }
    #expect(try scratch.names() == ["file", "image", "image.index", "other", "store", "third"])
  }

  @Test("only so much of the input is put as was asked for")
  func extent() throws {
    let scratch = try Scratch()
    var generator = Generator(seed: 2)
    let image = generator.bytes(200_000)
    let put = try scratch.put(image) { $0.extent = .bytes(123_456) }
    #expect(put.size == 123_456)
    try scratch.get(to: "target")
    #expect(try scratch.bytes("target") == Array(image[..<123_456]))
  }

  @Test("a stop that was asked for leaves no index and no file")
  func cancel() throws {
    let scratch = try Scratch()
    try scratch.put([1, 2, 3])
    let progress = Progress()
    progress.cancellation.cancel()
    let put = PutRequest(input: scratch("image"), index: scratch("other.index"), store: scratch("store"))
    #expect(throws: CancellationError.self) { try put.run(progress) }
    var get = GetRequest(index: scratch("image.index"), target: scratch("target"), stores: [scratch("store")])
    get.stateDirectory = nil
    let error = #expect(throws: JobError.self) { try get.run(progress) }
    #expect(error?.code == .interrupted)
    #expect(try scratch.names() == ["image", "image.index", "store"])
  }
}

@Suite("GetRequest, sources")
struct GetSourceTests {
  /// An old image in one store and a new one in another that holds only what the old one has not.
  static func update(_ seed: UInt64) throws -> (scratch: Scratch, old: [UInt8], new: [UInt8]) {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: seed)
    let old = generator.image(Int.random(in: 200_000...1_200_000, using: &generator))
    var new = generator.update(old)
    new += generator.bytes(Int.random(in: 0...9000, using: &generator))
    try scratch.put(old, "old", store: "old.store")
    try scratch.put(new, "new")
    try scratch.removeChunks(of: "old")
    return (scratch, old, new)
  }

  @Test(
    "a seed gives what the store has not, with an index or without", arguments: ["named", "beside", "none"],
    Generator.seeds(3))
  func seed(index: String, seed: UInt64) throws {
    let (scratch, _, new) = try Self.update(seed)
    if index == "beside" { try Tool.run("cp", scratch("old.index"), scratch("old.caibx")) }
    let get = try scratch.get("new", to: "target") {
      $0.seeds = [GetRequest.Seed(path: scratch("old"), index: index == "named" ? scratch("old.index") : nil)]
    }
    #expect(try scratch.bytes("target") == new)
    #expect(get.warnings == [])
  }

  @Test("the file that will be replaced is a seed", arguments: Generator.seeds(3))
  func replaced(seed: UInt64) throws {
    let (scratch, _, new) = try Self.update(seed)
    try scratch.get("new", to: "old")
    #expect(try scratch.bytes("old") == new)
    #expect(try scratch.names() == ["new", "new.index", "old", "old.index", "old.store", "store"])
  }

  @Test("unless its content must not be used")
  func notReplaced() throws {
    let (scratch, old, _) = try Self.update(4)
    let error = #expect(throws: JobError.self) { try scratch.get("new", to: "old") { $0.useTarget = false } }
    #expect(error?.code == .missingChunk)
    #expect(try scratch.bytes("old") == old)
  }

  @Test("a seed that is not what its index says costs fetches, not the image", arguments: Generator.seeds(3))
  func wrongSeed(seed: UInt64) throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: seed)
    let image = generator.image(600_000)
    try scratch.put(image)
    var changed = image
    for _ in 0..<5 { changed[Int.random(in: 0..<changed.count, using: &generator)] ^= 0x55 }
    let path = try scratch.write(changed, to: "seed")
    let seed = GetRequest.Seed(path: path, index: scratch("image.index"))
    try scratch.get(to: "target") { $0.seeds = [seed] }
    #expect(try scratch.bytes("target") == image)
  }

  @Test("a damaged index that merely stands beside a seed is told of, and the seed is cut")
  func damagedIndexBeside() throws {
    let (scratch, _, new) = try Self.update(5)
    try scratch.write([1, 2, 3], to: "old.caibx")
    let get = try scratch.get("new", to: "target") { $0.seeds = [GetRequest.Seed(path: scratch("old"))] }
    #expect(try scratch.bytes("target") == new)
    #expect(get.warnings.count == 1)
    #expect(get.warnings.first?.hasPrefix("\(scratch("old.caibx")): ") == true)
  }

  @Test("a seed that is missing is an error, or a warning where casync goes on")
  func missingSeed() throws {
    let scratch = try Scratch()
    try scratch.put([1, 2, 3])
    let seeds = [GetRequest.Seed(path: scratch("none"))]
    #expect(throws: (any Error).self) { try scratch.get(to: "target") { $0.seeds = seeds } }
    let get = try scratch.get(to: "target") {
      $0.seeds = seeds
      $0.ignoreMissingSeeds = true
    }
    #expect(get.warnings.count == 1)
    #expect(try scratch.bytes("target") == [1, 2, 3])
  }

  @Test("a cache keeps what was fetched, and is asked before the stores")
  func cache() throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 6)
    let image = generator.bytes(500_000)
    try scratch.put(image)
    let first = try scratch.get(to: "a") { $0.cache = scratch("cache") }
    #expect(first.share(of: .store).bytes == 500_000)
    #expect(first.fetchedBytes > 400_000)
    #expect(try scratch.chunks("cache") == scratch.chunks())
    try scratch.remove("store")
    try Tool.run("mkdir", scratch("store"))
    let second = try scratch.get(to: "b") { $0.cache = scratch("cache") }
    #expect(second.share(of: .cache).bytes == 500_000)
    #expect(second.fetchedBytes == 0)
    #expect(try scratch.bytes("b") == image)
  }

  @Test(
    "chunks that stand in the image more than once are fetched once, be they in one slab, in slabs in memory, or far away",
    arguments: [400_000, 1_500_000, 30_000_000])
  func duplicates(length: Int) throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 7)
    let part = generator.bytes(length)
    let put = try scratch.put(part + part + part)
    let get = try scratch.get(to: "target")
    #expect(try scratch.bytes("target") == part + part + part)
    #expect(get.share(of: .store).chunks == put.newChunks)
    #expect(get.share(of: .duplicate).bytes > length)
    #expect(get.fetchedBytes == put.storedBytes)
  }

  @Test(
    "a file is updated where it stands, and keeps what is behind the image", arguments: Generator.seeds(4))
  func inPlace(seed: UInt64) throws {
    let (scratch, old, new) = try Self.update(seed)
    try Tool.run("mv", scratch("old.store"), scratch("extra"))
    let get = try scratch.get("new", to: "old", stores: ["store", "extra"]) { $0.inPlace = true }
    let bytes = try scratch.bytes("old")
    #expect(bytes.prefix(new.count) == new[...])
    #expect(bytes.count == max(old.count, new.count))
    let again = try scratch.get("new", to: "old", stores: ["store", "extra"]) { $0.inPlace = true }
    #expect(again.skippedBytes == UInt64(new.count))
    #expect(again.writtenBytes == 0)
    #expect(again.zeroedBytes == 0)
    #expect(get.size == UInt64(new.count))
  }

  @Test(
    "a partition is got alone", .needs("sgdisk", "mke2fs"), arguments: [(1, 2048, 12288), (2, 14337, 6144)])
  func partition(number: Int, first: Int, count: Int) throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 8)
    let disk = try makeDisk(scratch, &generator)
    try scratch.put(disk)
    let wanted = Array(disk[first * 512..<(first + count) * 512])
    let get = try scratch.get(to: "target") { $0.partition = number }
    #expect(try scratch.bytes("target") == wanted)
    #expect(get.size == UInt64(wanted.count))
    try scratch.write(generator.bytes(wanted.count + 5000), to: "old")
    try scratch.get(to: "old") {
      $0.partition = number
      $0.inPlace = true
    }
    #expect(try scratch.bytes("old").prefix(wanted.count) == wanted[...])
  }

  @Test("a partition that is not there is an error that names those that are", .needs("sgdisk", "mke2fs"))
  func noPartition() throws {
    let scratch = try Scratch(.memory)
    var generator = Generator(seed: 8)
    try scratch.put(makeDisk(scratch, &generator))
    try scratch.put([1, 2, 3], "plain")
    let error = #expect(throws: JobError.self) { try scratch.get(to: "target") { $0.partition = 3 } }
    #expect(error?.message == "\(scratch("image.index")): the image has no partition 3")
    #expect(error?.hint == "its partitions are 1, 2")
    let plain = #expect(throws: JobError.self) { try scratch.get("plain", to: "target") { $0.partition = 1 } }
    #expect(plain?.hint == "it has no partition table")
  }
}

@Suite("GetRequest, failures")
struct GetFailureTests {
  static func image(_ scratch: Scratch) throws -> [UInt8] {
    var generator = Generator(seed: 9)
    let image = generator.bytes(600_000)
    try scratch.put(image)
    return image
  }

  @Test(
    "a chunk that is nowhere stops the job; what is done is kept, and the same request goes on from there")
  func resume() throws {
    let scratch = try Scratch()
    let image = try Self.image(scratch)
    let index = try scratch.index()
    let missing = scratch.chunkPath(index.id(of: index.count - 1))
    try FileSystem.rename(missing, to: scratch("aside"))
    let error = #expect(throws: JobError.self) { try scratch.get(to: "target") }
    #expect(error?.code == .missingChunk)
    #expect(!scratch.exists("target"))
    if scratch.exists(".target.casync-part") {
      #expect(
        error?.hint
          == "what is done is kept in \(scratch(".target.casync-part")): the same command goes on from there")
    }
    try FileSystem.rename(scratch("aside"), to: missing)
    try scratch.get(to: "target")
    #expect(try scratch.bytes("target") == image)
    #expect(!scratch.exists(".target.casync-part"))
  }

  @Test("what an earlier run left is used, and what is wrong in it is not")
  func part() throws {
    let scratch = try Scratch()
    var part = try Self.image(scratch)
    let image = part
    part.replaceSubrange(300_000..<300_100, with: [UInt8](repeating: 0, count: 100))
    try scratch.write(part + [1, 2, 3], to: ".target.casync-part")
    let get = try scratch.get(to: "target")
    #expect(try scratch.bytes("target") == image)
    #expect(get.share(of: .inPlace).bytes > 400_000)
    #expect(get.share(of: .store).chunks <= 2)
  }

  @Test("a part that another is writing is refused")
  func lockedPart() throws {
    let scratch = try Scratch()
    _ = try Self.image(scratch)
    let file = try File.open(scratch(".target.casync-part"), [.readWrite, .create])
    #expect(try file.tryLock(.exclusive))
    let error = #expect(throws: JobError.self) { try scratch.get(to: "target") }
    #expect(error?.code == .refused)
  }

  enum Damage: CaseIterable {
    case flipped, cut, empty, other
  }

  @Test(
    "a damaged chunk is taken from the next store, else the message names every place",
    arguments: Damage.allCases)
  func damaged(damage: Damage) throws {
    let scratch = try Scratch()
    let image = try Self.image(scratch)
    try Tool.run("cp", "-r", scratch("store"), scratch("second"))
    let index = try scratch.index()
    let path = scratch.chunkPath(index.id(of: 3))
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    switch damage {
    case .flipped: bytes[bytes.count / 2] ^= 1
    case .cut: bytes.removeLast(5)
    case .empty: bytes = []
    case .other:
      bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: scratch.chunkPath(index.id(of: 4)))))
    }
    try FileSystem.remove(path)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    try scratch.get(to: "target", stores: ["store", "second"])
    #expect(try scratch.bytes("target") == image)
    try Tool.run("mkdir", scratch("none"))
    let error = #expect(throws: JobError.self) { try scratch.get(to: "other", stores: ["none", "store"]) }
    #expect(error?.code == .missingChunk)
    #expect(
      error?.message.hasPrefix("cannot get chunk \(index.id(of: 3)): \(scratch("none")): not there; ") == true
    )
    #expect(error?.message.contains(scratch("store")) == true)
  }

  @Test("an index that is none is an error with its name, and nothing is made")
  func badIndex() throws {
    let scratch = try Scratch()
    try scratch.write([1, 2, 3], to: "image.index")
    let error = #expect(throws: JobError.self) { try scratch.get(to: "target", stores: []) }
    #expect(error?.code == .damaged)
    #expect(error?.message == "\(scratch("image.index")): the index is cut short at byte 3")
    #expect(try scratch.names() == ["image.index"])
  }

  @Test("a target that cannot be one is refused", arguments: ["directory", "/dev/none"])
  func badTarget(name: String) throws {
    let scratch = try Scratch()
    _ = try Self.image(scratch)
    try Tool.run("mkdir", scratch("directory"))
    let error = #expect(throws: JobError.self) {
      try scratch.get(to: "x") { $0.target = name.hasPrefix("/") ? name : scratch(name) }
    }
    #expect(error?.code == .refused)
  }
}
