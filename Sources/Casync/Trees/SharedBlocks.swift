import CasyncIO
import Synchronization

/// Lets extracted files share their blocks with the seeds that their content came from.
///
/// The kernel compares both sides before it shares (FIDEDUPERANGE), so a seed that changed meanwhile does no
/// harm. On any thread.
final class SharedBlocks: Sendable {
  /// Blocks that file systems share.
  private static let block: UInt64 = 4096

  private let plan: Plan
  private let seeds: [Seed]
  private let total = Atomic<UInt64>(0)
  /// Numbers of seeds that nothing can be shared with: other file systems, or such as cannot.
  private let useless: Mutex<Set<Int>>

  /// A stretch of a seed's file that stands in a file at `target`.
  private struct Run {
    let seed: Int
    let stretch: TreeSeed.Stretch
    let target: UInt64
  }

  /// `nil` when there is nothing to share with.
  init?(_ plan: Plan, _ seeds: [Seed]) {
    guard seeds.contains(where: { $0.tree != nil }) else { return nil }
    self.plan = plan
    self.seeds = seeds
    useless = Mutex(Set(seeds.filter { $0.tree == nil }.map(\.number)))
  }

  /// Bytes that were shared.
  var bytes: UInt64 { total.load(ordering: .relaxed) }

  /// Shares what can be of a file.
  /// - Parameters:
  ///   - offset: where in the archive its content starts.
  ///   - size: of the content; all of it is written.
  func share(_ file: File, _ offset: UInt64, _ size: UInt64) {
    guard size >= Self.block, useless.withLock({ $0.count < seeds.count }) else { return }
    var pending: Run?
    for run in runs(offset, size) {
      if let last = pending, let joined = Self.joined(last, run) {
        pending = joined
      } else {
        if let pending { share(pending, with: file, size) }
        pending = run
      }
    }
    if let pending { share(pending, with: file, size) }
  }

  private func runs(_ offset: UInt64, _ size: UInt64) -> [Run] {
    let (index, content) = (plan.index, offset..<offset + size)
    var runs = [Run]()
    var position = index.position(of: offset)
    while position < index.count, index.start(of: position) < content.upperBound {
      defer { position += 1 }
      var source = plan[position]
      if case .duplicate(let first) = source.kind { source = plan[first] }
      guard case .seed(let number, let seedOffset) = source.kind, let tree = seeds[number].tree else {
        continue
      }
      let chunk = index.range(of: position)
      let part = chunk.intersection(content)
      let from = seedOffset + (part.lowerBound - chunk.lowerBound)
      for (start, stretch) in tree.stretches(of: from..<from + part.length) {
        runs.append(Run(seed: number, stretch: stretch, target: part.lowerBound - offset + start))
      }
    }
    return runs
  }

  private static func joined(_ a: Run, _ b: Run) -> Run? {
    guard a.seed == b.seed, a.stretch.file == b.stretch.file,
      a.stretch.offset + a.stretch.length == b.stretch.offset, a.target + a.stretch.length == b.target
    else { return nil }
    let stretch = TreeSeed.Stretch(
      file: a.stretch.file, offset: a.stretch.offset, length: a.stretch.length + b.stretch.length)
    return Run(seed: a.seed, stretch: stretch, target: a.target)
  }

  private func share(_ run: Run, with file: File, _ size: UInt64) {
    let (stretch, block) = (run.stretch, Self.block)
    guard let tree = seeds[run.seed].tree, !useless.withLock({ $0.contains(run.seed) }),
      stretch.offset % block == run.target % block
    else { return }
    let skipped = (block - run.target % block) % block
    var end = run.target + stretch.length
    // The last block need not be full where the file ends.
    if end < size { end -= end % block }
    guard end > run.target + skipped else { return }
    let range = run.target + skipped..<end
    do {
      let seed = try tree.file(stretch.file)
      total.add(try file.share(range, with: seed, at: stretch.offset + skipped), ordering: .relaxed)
    } catch let error as SystemError where error.isUnsupported || error.isOtherFileSystem {
      useless.withLock { _ = $0.insert(run.seed) }
    } catch {
      // The file is whole without it.
    }
  }
}
