import CasyncChunking
import CasyncFormat
import CasyncIO
import Foundation
import Testing

@testable import CasyncStore

/// What became of loading a chunk, to be compared.
enum Outcome: Equatable {
  case loaded([UInt8], storedBytes: Int)
  case missing
  case bad(String)
}

extension LocalStore {
  /// Loads a form of a chunk into the middle of a buffer, as one of a known length.
  func outcome(_ id: ChunkID, _ form: Form, length: Int) throws -> Outcome {
    let buffer = Buffer(count: length + 20)
    switch try load(id, form, into: buffer, 10..<10 + length, using: ChunkLoader()) {
    case .loaded(let stored):
      let bytes = buffer.bytes.extracting(10..<10 + length).copy()
      return .loaded(bytes, storedBytes: stored)
    case .missing: return .missing
    case .bad(let reason): return .bad(reason)
    }
  }

  /// Loads a form of a chunk of unknown length.
  func outcome(_ id: ChunkID, _ form: Form) throws -> Outcome {
    switch try load(id, form, using: ChunkLoader()) {
    case .loaded(let bytes, let stored): .loaded(bytes, storedBytes: stored)
    case .missing: .missing
    case .bad(let reason): .bad(reason)
    }
  }
}

@Suite("LocalStore")
struct LocalStoreTests {
  static let chunk = Chunk(1)

  @Test(
    "a chunk of any compression is loaded, of known and of unknown length", arguments: Compression.allCases)
  func compressed(compression: Compression) throws {
    let scratch = try Scratch()
    let stored = try Self.chunk.compressed(compression)
    try scratch.file(Self.chunk.name + ".cacnk", stored)
    let store = try LocalStore(scratch.path, suffix: ".cacnk")
    let expected = Outcome.loaded(Self.chunk.bytes, storedBytes: stored.count)
    #expect(try store.outcome(Self.chunk.id, .compressed, length: 1000) == expected)
    #expect(try store.outcome(Self.chunk.id, .compressed) == expected)
    #expect(try store.outcome(Self.chunk.id, .plain) == .missing)
    #expect(try store.storedSize(of: Self.chunk.id) == UInt64(stored.count))
  }

  @Test("a plain chunk is loaded as it is")
  func plain() throws {
    let scratch = try Scratch()
    try scratch.file(Self.chunk.name, Self.chunk.bytes)
    let store = try LocalStore(scratch.path)
    let expected = Outcome.loaded(Self.chunk.bytes, storedBytes: 1000)
    #expect(try store.outcome(Self.chunk.id, .plain, length: 1000) == expected)
    #expect(try store.outcome(Self.chunk.id, .plain) == expected)
    #expect(try store.outcome(Self.chunk.id, .compressed) == .missing)
    #expect(try store.storedSize(of: Self.chunk.id) == 1000)
  }

  @Test(
    "plain and compressed chunks longer than the loader's memory are read whole",
    arguments: [65535, 65536, 65537, 1 << 20, (4 << 20) + 1])
  func long(length: Int) throws {
    let scratch = try Scratch()
    let chunk = Chunk(2, length: length)
    try scratch.file(chunk.name, chunk.bytes)
    try scratch.file(chunk.name + ".cacnk", chunk.compressed())
    let store = try LocalStore(scratch.path, suffix: ".cacnk")
    let loader = ChunkLoader()
    for form in LocalStore.Form.allCases {
      guard case .loaded(let bytes, _) = try store.load(chunk.id, form, using: loader) else {
        Issue.record("\(form) was not loaded")
        continue
      }
      #expect(bytes == chunk.bytes)
      let buffer = Buffer(count: length)
      guard case .loaded = try store.load(chunk.id, form, into: buffer, 0..<length, using: loader) else {
        Issue.record("\(form) was not loaded")
        continue
      }
      let copy = buffer.bytes.copy()
      #expect(copy == chunk.bytes)
    }
  }

  enum Absence: CaseIterable {
    case nothing, empty, danglingLink, linkToNull, linkToChunk
  }

  @Test(
    "no file, an empty one and a link all count as missing", arguments: Absence.allCases,
    LocalStore.Form.allCases)
  func missing(absence: Absence, form: LocalStore.Form) throws {
    let scratch = try Scratch()
    let chunk = Self.chunk
    let name = chunk.name + (form == .compressed ? ".cacnk" : "")
    switch absence {
    case .nothing: break
    case .empty: try scratch.file(name)
    case .danglingLink: try scratch.link(name, to: "nowhere")
    case .linkToNull: try scratch.link(name, to: "/dev/null")
    case .linkToChunk:
      try scratch.link(name, to: scratch.file("good", form == .compressed ? chunk.compressed() : chunk.bytes))
    }
    let store = try LocalStore(scratch.path, suffix: ".cacnk")
    #expect(try store.outcome(chunk.id, form, length: 1000) == .missing)
    #expect(try store.outcome(chunk.id, form) == .missing)
    #expect(try store.storedSize(of: chunk.id) == nil)
    #expect(try LocalStoreWriter(store).contains(chunk.id) == false)
  }

  @Test(
    "an empty or linked compressed chunk does not hide a plain one", arguments: [Absence.empty, .linkToNull])
  func hidden(absence: Absence) throws {
    let scratch = try Scratch()
    let name = Self.chunk.name + ".cacnk"
    if absence == .empty { try scratch.file(name) } else { try scratch.link(name, to: "/dev/null") }
    try scratch.file(Self.chunk.name, Self.chunk.bytes)
    let store = try LocalStore(scratch.path, suffix: ".cacnk")
    #expect(try store.storedSize(of: Self.chunk.id) == 1000)
    #expect(try LocalStoreWriter(store).contains(Self.chunk.id))
  }

  static let bad: [(name: String, stored: [UInt8], reason: String)] = [
    ("short", [0x28, 0xb5, 0x2f], "the compressed chunk ends too early"),
    ("text", Array("not a chunk".utf8), "the chunk is neither zstd nor xz nor gzip"),
    ("cut", (try? chunk.compressed().dropLast(5)) ?? [], "the compressed chunk ends too early"),
    ("trailing", ((try? chunk.compressed()) ?? []) + [0], "bytes follow the end of the zstd data"),
    ("longer", (try? Chunk(3, length: 1001).compressed()) ?? [], "the chunk is longer than its index says"),
    ("shorter", (try? Chunk(3, length: 999).compressed()) ?? [], "the chunk is shorter than its index says"),
  ]

  @Test("a compressed file that is not the chunk is bad, and the reason names it", arguments: bad.indices)
  func badCompressed(index: Int) throws {
    let (_, stored, reason) = Self.bad[index]
    let scratch = try Scratch()
    let path = try scratch.file(Self.chunk.name + ".cacnk", stored)
    let store = try LocalStore(scratch.path, suffix: ".cacnk")
    #expect(try store.outcome(Self.chunk.id, .compressed, length: 1000) == .bad("\(path): \(reason)"))
  }

  @Test("a plain file of another length is bad, and the reason has both", arguments: [1, 999, 1001, 100_000])
  func badPlain(length: Int) throws {
    let scratch = try Scratch()
    let path = try scratch.file(Self.chunk.name, [UInt8](repeating: 1, count: length))
    let store = try LocalStore(scratch.path)
    #expect(
      try store.outcome(Self.chunk.id, .plain, length: 1000)
        == .bad("\(path): \(length) bytes long instead of 1000"))
  }

  @Test("a loader that met a bad chunk loads good ones as before")
  func loaderSurvives() throws {
    let scratch = try Scratch()
    let loader = ChunkLoader()
    let store = try LocalStore(scratch.path, suffix: ".cacnk")
    for (number, bad) in Self.bad.enumerated() {
      let (broken, good) = (Chunk(100 + number), Chunk(200 + number))
      try scratch.file(broken.name + ".cacnk", bad.stored)
      try scratch.file(good.name + ".cacnk", good.compressed())
      _ = try store.load(broken.id, .compressed, using: loader)
      guard case .loaded(let bytes, _) = try store.load(good.id, .compressed, using: loader) else {
        Issue.record("after \(bad.name)")
        continue
      }
      #expect(bytes == good.bytes)
    }
  }

  @Test("the suffix of compressed chunks can be another", arguments: [".xz", ".zst", ".cacnk"])
  func suffix(suffix: String) throws {
    let scratch = try Scratch()
    try scratch.file(Self.chunk.name + ".xz", Self.chunk.compressed(.xz))
    let store = try LocalStore(scratch.path, suffix: suffix)
    #expect((try store.storedSize(of: Self.chunk.id) != nil) == (suffix == ".xz"))
    let writer = try LocalStoreWriter(store)
    try writer.add(Chunk(7))
    try writer.close()
    #expect(try scratch.files().contains(Chunk(7).name + suffix))
  }

  @Test("what is no directory is no store", arguments: ["none", "file"])
  func noStore(name: String) throws {
    let scratch = try Scratch()
    try scratch.file("file", [1])
    let error = #expect(throws: StoreError.self) { try LocalStore(scratch[name]) }
    #expect(error?.code == .noStore)
    #expect(error.map { "\($0)" } == "\(scratch[name]): no such store")
    #expect(error?.hint == "name the store's directory with --store=")
  }

  @Test("a store is made where its parent is")
  func create() throws {
    let scratch = try Scratch()
    _ = try LocalStore.create(scratch["store"])
    _ = try LocalStore.create(scratch["store"])
    #expect(try File.status(scratch["store"])?.kind == .directory)
    let error = #expect(throws: SystemError.self) { try LocalStore.create(scratch["a/b"]) }
    #expect(error?.isNotFound == true)
  }
}
