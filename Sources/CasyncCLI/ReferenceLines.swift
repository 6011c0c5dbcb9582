internal import Casync
internal import CasyncFormat

/// What casync 2 prints with `-v`, and what its `gc` prints, in its words. Facts that we do not have are left
/// out.
enum ReferenceLines {
  static func beforeMake(_ request: PutRequest) -> String {
    let sizes = request.chunker.headerSizes
    let flags = request.flags ?? []
    func word(_ flag: FeatureFlags) -> String { flags.contains(flag) ? "yes" : "no" }
    let features = Features.names.filter { flags.rawValue & $0.bits != 0 }.map(\.name)
    return """
      Selected chunk sizes: min=\(sizes.min)..avg=\(sizes.average)..max=\(sizes.max)
      Using feature flags: \(features.isEmpty ? "none" : features.joined(separator: " "))
      Excluding files and directories with chattr(1) -d flag: \(word(.excludeNodump))
      Excluding submounts: \(word(.excludeSubmounts))
      Excluding files and directories listed in .caexclude: \(word(.excludeFile))
      Digest algorithm: \(request.digest.rawValue)
      """
  }

  /// What a mount does not show of an archive; `nil` when it shows everything.
  static func notExposed(_ flags: FeatureFlags) -> String? {
    let features = Features.names.filter { flags.rawValue & $0.bits != 0 }.map(\.name)
    guard !features.isEmpty else { return nil }
    return "The following feature flags are not exposed in the mounted file system: "
      + features.joined(separator: " ")
  }

  static func afterMake(_ summary: PutSummary) -> String {
    let reused = summary.chunks - summary.newChunks
    let average = summary.size / UInt64(max(1, summary.chunks))
    return """
      Archive size: \(Quantity.short(summary.size))
      Number of chunks: \(summary.chunks)
      Reused (non-cached) chunks: \(reused) (\(percent(UInt64(reused), of: UInt64(summary.chunks))))
      Effective average chunk size: \(Quantity.short(average))
      """
  }

  static func afterExtract(_ summary: ExtractTreeSummary) -> String {
    let holes = "Zero bytes written as sparse files: \(Quantity.short(summary.holeBytes))"
    guard let sources = summary.sources else { return holes }
    let time = "Total extract time: \(Int64(summary.duration / .milliseconds(1)))ms"
    return ([holes] + lines(of: sources) + [time]).joined(separator: "\n")
  }

  static func afterExtract(_ summary: GetSummary) -> String {
    let holes = "Zero bytes written as sparse files: \(Quantity.short(summary.zeroedBytes))"
    let time = "Total extract time: \(Int64(summary.duration / .milliseconds(1)))ms"
    return ([holes] + lines(of: summary) + [time]).joined(separator: "\n")
  }

  /// Where the chunks came from.
  private static func lines(of summary: GetSummary) -> [String] {
    let stores: [Source] = [.store, .cache]
    let seeds: [Source] = [.inPlace, .target, .seed, .duplicate, .zero]
    var lines = ["Bytes cloned through reflinks: \(Quantity.short(summary.clonedBytes))"]
    for (name, sources) in [("local store", stores), ("local seed", seeds)] {
      let chunks = sources.reduce(0) { $0 + summary.share(of: $1).chunks }
      let bytes = sources.reduce(0) { $0 + summary.share(of: $1).bytes }
      let share = percent(UInt64(chunks), of: UInt64(summary.chunks))
      lines.append("Chunk requests fulfilled from \(name): \(chunks) (\(share))")
      lines.append("Bytes used from \(name): \(Quantity.short(bytes)) (\(percent(bytes, of: summary.size)))")
    }
    return lines
  }

  static func afterCollection(_ summary: CollectionSummary, dryRun: Bool, verbose: Bool) -> String {
    var lines = [String]()
    if verbose {
      lines.append("Chunk store usage: \(summary.references) references, \(summary.usedChunks) chunks")
      lines += summary.removed.map { "\(dryRun ? "Would remove" : "Removing") chunk \($0)." }
    }
    let count = summary.removed.count
    if dryRun {
      lines.append("Would remove \(count) chunks, \(summary.remaining) chunks remaining.")
    } else if verbose {
      let directories = summary.removedDirectories
      lines.append(
        "Removed \(count) chunks, \(directories) directories, \(summary.remaining) chunks remaining.")
    }
    return lines.map { $0 + "\n" }.joined()
  }

  private static func percent(_ part: UInt64, of whole: UInt64) -> String {
    whole == 0 ? "0%" : "\(part.multipliedFullWidth(by: 100).low / whole)%"
  }
}
