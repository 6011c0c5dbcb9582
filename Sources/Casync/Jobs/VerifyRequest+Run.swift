import CasyncChunking
import CasyncFormat
import CasyncIO
import CasyncStore

extension VerifyRequest {
  /// Reads the target and compares each chunk with its name; the target may be in use. Blocks.
  /// - Throws: `JobError`, `SystemError`. A difference is no error: the summary tells of it.
  public func run(_ progress: Progress) throws -> VerifySummary {
    let index = try IndexFile.read(index, Stores(connection, progress.cancellation))
    let target = try openTarget()
    progress.begin(.verifying, total: index.size)
    var differences = [Range<UInt64>]()
    let count = workers ?? WorkerPool<SlabLoader.Context>.processorCount
    let zeros = ZeroChunks(of: index)
    let context: @Sendable () -> SlabLoader.Context = { SlabLoader.Context(index.digest, caches: false) }
    try WorkerPool.with(count: count, context: context) { pool in
      let reader = MediumReader(index, target, zeros: zeros, pool, progress.cancellation)
      try reader.compare(0..<index.count) { position, matches in
        let chunk = index.range(of: position)
        progress.advance(Int(chunk.length))
        guard !matches else { return }
        if let last = differences.last, last.upperBound == chunk.lowerBound {
          differences[differences.count - 1] = last.lowerBound..<chunk.upperBound
        } else {
          differences.append(chunk)
        }
      }
    }
    return VerifySummary(size: index.size, differences: differences.map { Difference(range: $0) })
  }

  private func openTarget() throws -> Target {
    if NBDExport.isURI(target) {
      let export = try NBDExport(target)
      return Target(kind: .export, path: target, base: 0, capacity: export.size, export: export)
    }
    let file = try File.open(target, .nonBlocking)
    let status = try file.status()
    switch status.kind {
    case .regular:
      return Target(kind: .file, path: target, base: 0, file: file, cached: file)
    case .blockDevice:
      // Without O_DIRECT the device is read through the page cache, which is coherent with it.
      let direct = try? File.open(target, .direct)
      return Target(
        kind: .device, path: target, base: 0, blockSize: try file.logicalBlockSize(),
        capacity: try file.deviceSize(), isDirect: direct != nil, file: direct ?? file, cached: file)
    default:
      throw JobError(.badRequest, "\(target) is no file or block device")
    }
  }
}
