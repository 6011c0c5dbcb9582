import CasyncFormat
import CasyncIO

/// Finds the chunks that stand on the target already: where an earlier run was interrupted, or where an older
/// image has not changed.
///
/// For each 64 MiB the first, the middle and the last chunk that are not zeros are compared; the stretch is
/// compared whole when one of them matches, or when the stretch before it was: writing goes in ascending
/// order, within less than such a stretch.
struct InPlaceScan {
  private static let stretch: UInt64 = 64 << 20

  let reader: MediumReader
  let zeros: ZeroChunks
  let progress: Progress

  /// Marks what stands in place.
  /// - Parameter positions: the chunks that belong onto the target.
  /// - Returns: whether the target holds anything but zeros, as far as was read.
  func run(_ positions: Range<Int>, _ plan: inout Plan) throws -> Bool {
    var first = positions.lowerBound
    var wasScanned = false
    var holdsData = false
    while first < positions.upperBound {
      let end = reader.index.start(of: first) + Self.stretch
      var last = first
      while last + 1 < positions.upperBound, reader.index.start(of: last + 1) < end { last += 1 }
      let run = first..<last + 1
      let matched = try probe(run, plan, &holdsData)
      if matched || wasScanned { try scan(run, &plan) }
      wasScanned = matched || (wasScanned && run.contains { plan[$0] == .inPlace })
      progress.advance(Int(reader.index.end(of: last) - reader.index.start(of: first)))
      first = last + 1
    }
    return holdsData
  }

  private func probe(_ run: Range<Int>, _ plan: Plan, _ holdsData: inout Bool) throws -> Bool {
    let data = run.filter { plan[$0] != .zero }
    guard let first = data.first, let last = data.last else { return false }
    let middle = data[data.count / 2]
    var matched = false
    for position in Set([first, middle, last]).sorted() {
      try reader.compare(position..<position + 1) { _, matches in matched = matched || matches }
      if !holdsData { holdsData = try reader.holdsData(at: position) }
    }
    return matched
  }

  private func scan(_ run: Range<Int>, _ plan: inout Plan) throws {
    try reader.compare(run) { position, matches in
      if matches { plan[position] = .inPlace }
    }
  }
}
