import Foundation
import TestSupport
import Testing

extension HTTPTests {
  private struct Chunk: Decodable {
    let id: String
    let offset: Int
    let length: Int
  }

  @Test("mount shows the tree of an index without fetching more of it than what is read")
  func chunks() throws {
    let site = try Site.current
    let scratch = try Scratch()
    try Tool.run("mkdir", "-p", scratch("tree/sub"))
    for name in ["a", "b", "c", "sub/d"] {
      try Tool.run(
        "dd", "if=/dev/urandom", "of=\(scratch("tree/\(name)"))", "bs=1M", "count=2", "status=none")
    }
    let index = site.scratch("www/tree.caidx")
    try Site.succeed("make", "--store=\(site.scratch("www/default.castr"))", index, scratch("tree"))
    let chunks = try Site.succeed("list-chunks", "--json", index).output.split(separator: "\n").map {
      try JSONDecoder().decode(Chunk.self, from: Data($0.utf8))
    }
    _ = try site.takeLog()
    let mounted = try Mounted(
      ["mount", "\(site.url)/tree.caidx", scratch("mnt")], at: [scratch("mnt")], scratch)
    // The index, the top directory's ENTRY and its table.
    #expect(try requested(site).count <= 2)
    #expect(try Tool.isSame(scratch("tree/b"), scratch("mnt/b")))
    let stat = try Site.succeed("stat", index, "b", "--store=\(site.scratch("www/default.castr"))").output
    let offset = try #require(
      stat.split(separator: "\n").first { $0.contains("Offset: ") }.flatMap {
        Int($0.split(separator: " ").last ?? "")
      })
    let own = chunks.filter { $0.offset < offset + (2 << 20) + 512 && $0.offset + $0.length > offset - 512 }
    let fetched = try requested(site)
    #expect(fetched.count > 10 && fetched.count == Set(fetched).count)
    #expect(Set(fetched).isSubset(of: own.map(\.id)), "\(fetched.count) of \(own.count)")
    #expect(try Tool.run("diff", "-r", scratch("tree"), scratch("mnt")) == "")
    let all = try requested(site) + fetched
    #expect(all.count == Set(all).count && all.count <= chunks.count)
    #expect(try mounted.end().status == 0)
  }

  /// The chunks that were asked for, and found.
  private func requested(_ site: Site) throws -> [String] {
    try site.takeLog().filter { $0.contains(".cacnk ") && $0.contains(" 200 ") }.compactMap { line in
      line.split(separator: " ").dropFirst().first?.split(separator: "/").last.map {
        String($0.dropLast(".cacnk".count))
      }
    }
  }
}
