import CasyncChunking
import CasyncFormat
import CasyncIO

extension SlabLoader {
  /// Lets the target share blocks with a seed, then hashes what the target holds now: never what the seed
  /// held before. What does not match is fetched and written.
  func clone(_ run: CloneRun, _ context: Context) throws {
    guard let file = seeds[run.seed].file else { preconditionFailure("a run of a seed that shares blocks") }
    try target.clone(file, from: run.offset, to: run.range)
    var first = run.positions.lowerBound
    while first < run.positions.upperBound {
      let start = index.start(of: first)
      var last = first
      while last + 1 < run.positions.upperBound, index.end(of: last + 1) - start <= UInt64(Steps.slabLength) {
        last += 1
      }
      try check(first..<last + 1, context)
      first = last + 1
    }
  }

  private func check(_ positions: Range<Int>, _ context: Context) throws {
    let range = index.start(of: positions.lowerBound)..<index.end(of: positions.upperBound - 1)
    let window = Window(buffers.waitForOne(), start: target.windowStart(range.lowerBound))
    let isThere = try target.read(at: range.lowerBound, into: window.buffer, window.place(range))
    context.ids.removeAll(keepingCapacity: true)
    context.digester.digests(
      of: positions.map { window.place(index.range(of: $0)) }, in: window.buffer.bytes, into: &context.ids)
    for (position, found) in zip(positions, context.ids) where !isThere || found != index.id(of: position) {
      let chunk = index.range(of: position)
      _ = try fetcher.fetchVerified(
        index.id(of: position), into: window.buffer, window.place(chunk), using: context.loader,
        context.digester)
      try target.write(chunk, from: window)
    }
  }
}
