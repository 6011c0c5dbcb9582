import CasyncFormat
import Testing

@testable import CasyncStore

@Suite("StoreDirectories")
struct StoreDirectoriesTests {
  @Test("a chunk of a directory that was there may be in the store, one of another may not")
  func present() {
    let chunks = (0..<300).map { Chunk($0) }
    let known = StoreDirectories(names: chunks.prefix(100).map { String($0.name.prefix(4)) } + ["lost+found"])
    for chunk in chunks.prefix(100) { #expect(known.mayHold(chunk.id)) }
    // Digests of different chunks begin alike once in 65536.
    let others = chunks.dropFirst(100).filter { known.mayHold($0.id) }
    #expect(others.count < 5)
  }

  @Test("a chunk that was added may be in the store, and the others as little as before")
  func added() {
    var known = StoreDirectories(names: [])
    let chunks = (0..<300).map { Chunk($0) }
    for chunk in chunks { #expect(!known.mayHold(chunk.id)) }
    for chunk in chunks.prefix(100) { known.insert(chunk.id) }
    for chunk in chunks.prefix(100) { #expect(known.mayHold(chunk.id)) }
    for chunk in chunks.dropFirst(100) { #expect(!known.mayHold(chunk.id)) }
  }

  @Test("a writer believes the disk about directories that were there, and itself about those it made")
  func writer() throws {
    let scratch = try Scratch()
    let first = try LocalStoreWriterTests.writer(scratch)
    try first.add(Chunk(1))
    try first.close()
    let second = try LocalStoreWriterTests.writer(scratch)
    #expect(try second.contains(Chunk(1).id))
    #expect(try !second.contains(Chunk(2).id))
    try second.add(Chunk(2))
    try second.commit()
    #expect(try second.contains(Chunk(2).id))
  }
}
