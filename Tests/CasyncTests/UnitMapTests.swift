import CasyncFormat
import Testing

@testable import Casync

@Suite("A map of units")
struct UnitMapTests {
  @Test("gives back what was set, and its runs, in memory and from its pages", arguments: Generator.seeds(4))
  func model(_ seed: UInt64) {
    var random = Generator(seed: seed)
    let count = Int.random(in: 1...40_000, using: &random)
    var map = UnitMap(count: count)
    var model = [UnitMap.State](repeating: .absent, count: count)
    var file = [UInt8](repeating: 0, count: UnitMap.length(count: count))
    for _ in 0..<60 {
      let start = Int.random(in: 0..<count, using: &random)
      let units = start..<Int.random(in: start...min(count, start + 3000), using: &random)
      let state = [UnitMap.State.absent, .data, .zero].randomElement(using: &random) ?? .data
      map.set(units, to: state)
      for unit in units { model[unit] = state }
      let from = Int.random(in: 0..<count, using: &random)
      let limit = Int.random(in: from + 1...count, using: &random)
      let end = model[from..<limit].firstIndex { $0 != model[from] } ?? limit
      #expect(map.endOfRun(from: from, limit: limit) == end, "seed \(seed)")
      if Bool.random(using: &random) {
        for page in map.takeChanged() {
          file.replaceSubrange(page.number * 4096..<(page.number + 1) * 4096, with: page.bytes)
        }
      }
    }
    for page in map.takeChanged() {
      file.replaceSubrange(page.number * 4096..<(page.number + 1) * 4096, with: page.bytes)
    }
    let read = UnitMap(count: count, bytes: file.rawSpan)
    for unit in 0..<count { #expect(map[unit] == model[unit] && read[unit] == model[unit], "seed \(seed)") }
    #expect(map.takeChanged().isEmpty)
  }

  @Test("names nothing by bits that no writer makes")
  func unknown() {
    let map = UnitMap(count: 8, bytes: [UInt8](repeating: 0xff, count: 4096).rawSpan)
    #expect((0..<8).allSatisfy { map[$0] == .absent })
  }
}
