import CasyncFormat
import CasyncIO
import Foundation
import Testing

@testable import CasyncStore

@Suite("CacheDirectory")
struct CacheDirectoryTests {
  private func add(_ numbers: Range<Int>, to cache: CacheDirectory) throws {
    for number in numbers {
      let chunk = Chunk(number)
      let compressed = try chunk.compressed()
      try cache.add(chunk.id, compressed: compressed.rawSpan)
    }
  }

  /// Makes the file of a chunk as old as so many seconds.
  private func age(_ number: Int, _ seconds: Double, in scratch: Scratch) throws {
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSinceNow: -seconds)],
      ofItemAtPath: scratch["cache/\(Chunk(number).name).cacnk"])
  }

  @Test("what was used longest ago makes room, and what was used stays")
  func eviction() throws {
    let scratch = try Scratch()
    let length = try UInt64(Chunk(0).compressed().count)
    var cache = try CacheDirectory(scratch["cache"], limit: nil)
    try add(0..<20, to: cache)
    try cache.close()
    for number in 0..<20 { try age(number, Double(10_000 - number * 100), in: scratch) }
    cache = try CacheDirectory(scratch["cache"], limit: length * 30)
    cache.use(Chunk(0).id)
    try cache.close()
    // A tenth of the bound is free afterwards.
    cache = try CacheDirectory(scratch["cache"], limit: length * 10)
    #expect(try cache.contains(Chunk(0).id))
    #expect(try !cache.contains(Chunk(1).id))
    #expect(try cache.contains(Chunk(19).id))
    let kept = try scratch.files().count { $0.hasSuffix(".cacnk") }
    #expect(8...9 ~= kept)
    try add(20..<40, to: cache)
    try cache.close()
    #expect(try scratch.files().count { $0.hasSuffix(".cacnk") } <= 10)
  }

  @Test("while another process makes room nobody else does")
  func lock() throws {
    let scratch = try Scratch()
    let length = try UInt64(Chunk(0).compressed().count)
    let cache = try CacheDirectory(scratch["cache"], limit: length)
    let other = try File.open(scratch["cache/.casync-cache"])
    #expect(try other.tryLock(.exclusive))
    try add(0..<5, to: cache)
    try cache.close()
    #expect(try scratch.files().count { $0.hasSuffix(".cacnk") } == 5)
  }
}
