import CasyncFormat
import CasyncIO

/// Makes the plan: looks at the target, at what indexes tell of the seeds, and then at the content of the
/// others.
struct Planner {
  let request: GetRequest
  let opened: OpenedTarget
  let seeds: [Seed]
  let zeros: ZeroChunks
  let workers: WorkerPool<SlabLoader.Context>
  let progress: Progress

  private var target: Target { opened.target }

  /// - Parameter positions: the chunks that belong onto the target.
  func plan(_ index: Index, _ positions: Range<Int>) throws -> Plan {
    var plan = Plan(index, zeros: zeros)
    var holdsData = false
    if target.hasOldContent {
      progress.begin(.planning, total: target.capacity.map { min($0, index.size) } ?? index.size)
      try target.dropCaches()
      holdsData = try InPlaceScan(reader: reader(of: index), zeros: zeros, progress: progress).run(
        positions, &plan)
    }
    let scan = SeedScan(workers: workers, progress: progress)
    var uncut = [Seed]()
    for seed in seeds {
      guard let seedIndex = seed.index, seedIndex.size <= seed.size,
        try scan.use(
          seedIndex, &plan, read: { seed.read(at: $0, into: $1, 0..<$1.count) },
          source: { .seed(seed.number, offset: $0) })
      else {
        uncut.append(seed)
        continue
      }
    }
    // An unfinished file holds chunks only where they belong.
    if request.useTarget, holdsData, opened.part == nil { try useTarget(scan, &plan) }
    for seed in uncut { try scan.cut(seed.path, &plan) { .seed(seed.number, offset: $0) } }
    plan.close()
    return plan
  }

  /// What compares chunks with what stands on the target.
  func reader(of index: Index) -> MediumReader {
    MediumReader(index, target, zeros: zeros, workers, progress.cancellation)
  }

  /// Offers the target's old content, by its kept index or by cutting it.
  private func useTarget(_ scan: SeedScan, _ plan: inout Plan) throws {
    let target = target
    let base = target.base
    if let index = request.state?.index(of: opened.stableName) {
      let isKnown = try scan.use(index, &plan) { offset, buffer in
        // What cannot be read does not match.
        (try? target.read(at: base + offset, into: buffer, 0..<buffer.count)) ?? false
      } source: {
        .target(offset: base + $0)
      }
      if isKnown { return }
    }
    try scan.cut(target.path, &plan) { .target(offset: base + $0) }
  }
}
