package import CasyncIO
internal import Synchronization

/// An image as a disk: what an export shows. It can be written when it has an overlay; what was not written
/// is the image's.
///
///     Disk: written?  → Overlay: its file
///           else      → ImageReader: in the cache file? in memory? else from the stores
package final class Disk: Sendable {
  /// Gets the pieces of a read, of anything else none.
  package typealias Completion = @Sendable (Result<[ImagePiece], any Error>) -> Void

  package let image: ImageReader
  private let overlay: Overlay?

  package init(_ image: ImageReader, _ overlay: Overlay? = nil) {
    self.image = image
    self.overlay = overlay
  }

  /// Bytes.
  package var size: UInt64 { image.size }
  package var isWritable: Bool { overlay != nil }

  /// Makes all that was written durable, and what the image keeps. Blocks.
  package func close() throws {
    try overlay?.close()
    try image.close()
  }

  /// Counts what only who talks to clients knows.
  package func count(_ change: (inout ReadSummary) -> Void) { image.supply.count(change) }

  // MARK: Reading

  /// The bytes in `range`, as `ImageReader.read` gives them.
  package func read(_ range: Range<UInt64>, _ completion: @escaping Completion) -> [ImagePiece]? {
    guard let overlay else { return image.read(range, completion) }
    let runs = overlay.runs(in: range)
    if let only = runs.first, runs.count == 1, only.state == .absent { return image.read(range, completion) }
    let waiting = PendingRead(completion)
    for (place, run) in runs.enumerated() {
      waiting.expect()
      let deliver: Completion = { waiting.deliver($0, at: place) }
      switch run.state {
      case .zero: deliver(.success([ImagePiece(zerosAt: run.range)]))
      case .data: image.supply.read(overlay.file, run.range, deliver)
      case .absent: if let pieces = image.read(run.range, deliver) { deliver(.success(pieces)) }
      }
    }
    waiting.start([])
    return nil
  }

  /// Has the image's part of `range` loaded, as `ImageReader.prefetch` does it.
  package func prefetch(_ range: Range<UInt64>, _ completion: @escaping Completion) -> Bool {
    image.prefetch(range, completion)
  }

  /// Where the bytes of a stretch of the disk lie.
  package struct Place: Sendable {
    package let range: Range<UInt64>
    /// The file that has them at the same offset; `nil` for zeros.
    package let file: File?
  }

  /// Where the bytes in `range` lie, when all of them are in local files; `nil` when they are not.
  package func places(of range: Range<UInt64>) -> [Place]? {
    guard let overlay else { return image.places(of: range) }
    var places = [Place]()
    for run in overlay.runs(in: range) {
      switch run.state {
      case .zero: places.append(Place(range: run.range, file: nil))
      case .data: places.append(Place(range: run.range, file: overlay.file))
      case .absent:
        guard let below = image.places(of: run.range) else { return nil }
        places += below
      }
    }
    return places
  }

  /// What `range` consists of, from its start, as `ImageReader.extents` tells it: nothing is read.
  package func extents(in range: Range<UInt64>, limit: Int) -> [ImageReader.Extent] {
    guard let overlay else { return image.extents(in: range, limit: limit) }
    var extents = [ImageReader.Extent]()
    var start = range.lowerBound
    while start < range.upperBound {
      let run = overlay.firstRun(in: start..<range.upperBound)
      let length = run.range.upperBound - run.range.lowerBound
      let parts =
        run.state == .absent
        ? image.extents(in: run.range, limit: limit)
        : [ImageReader.Extent(length: length, isZero: run.state == .zero)]
      for part in parts {
        if extents.last?.isZero == part.isZero {
          extents[extents.count - 1].length += part.length
        } else {
          guard extents.count < limit else { return extents }
          extents.append(part)
        }
        start += part.length
      }
      guard start == run.range.upperBound else { return extents }
    }
    return extents
  }

  // MARK: Reading at once

  /// Fills `place` of `buffer` from `offset`. Blocks.
  func read(at offset: UInt64, into buffer: Buffer, _ place: Range<Int>) throws {
    guard !place.isEmpty else { return }
    let result = Monitor<Result<[ImagePiece], any Error>?>(nil)
    let there = read(offset..<offset + UInt64(place.count)) { value in result.withLock { $0 = value } }
    for piece in try there ?? result.wait(for: { $0 }).get() {
      let start = place.lowerBound + Int(piece.offset - offset)
      if let source = piece.buffer {
        buffer.copy(piece.start..<piece.start + piece.length, of: source, to: start)
      } else {
        buffer.zero(start..<start + piece.length)
      }
    }
  }

  /// The bytes in `range`. Blocks.
  func buffer(_ range: Range<UInt64>) throws -> Buffer {
    let buffer = Buffer(count: Int(range.upperBound - range.lowerBound))
    try read(at: range.lowerBound, into: buffer, 0..<buffer.count)
    return buffer
  }

  /// The first stretch of `range` that is not known to be zeros; `nil` when all of it is.
  func nextData(in range: Range<UInt64>) -> Range<UInt64>? {
    var start = range.lowerBound
    while start < range.upperBound {
      for extent in extents(in: start..<range.upperBound, limit: 2) {
        if !extent.isZero { return start..<start + extent.length }
        start += extent.length
      }
    }
    return nil
  }

  /// What of the disk is the overlay's, in order.
  var changes: [Range<UInt64>] {
    var changes = [Range<UInt64>]()
    for run in overlay?.runs(in: 0..<size) ?? [] where run.state != .absent {
      if let last = changes.last, last.upperBound == run.range.lowerBound {
        changes[changes.count - 1] = last.lowerBound..<run.range.upperBound
      } else {
        changes.append(run.range)
      }
    }
    return changes
  }

  // MARK: Writing

  /// Writes `bytes`. Does not block.
  /// - Parameters:
  ///   - isDurable: whether it has to be durable before the completion.
  ///   - completion: called on another thread, or on this one.
  /// - Precondition: the disk can be written, and the bytes lie inside it and are not none.
  package func write(
    _ bytes: [UInt8], at offset: UInt64, isDurable: Bool, _ completion: @escaping Completion
  ) {
    change(.write(bytes), offset..<offset + UInt64(bytes.count), isDurable: isDurable, completion)
  }

  /// Makes `range` zeros.
  /// - Parameters:
  ///   - keepsRoom: what is written there later must not fail for want of room.
  ///   - mustBeFast: fail (`SystemError.isUnsupported`) rather than write them.
  package func zero(
    _ range: Range<UInt64>, keepsRoom: Bool, mustBeFast: Bool, isDurable: Bool,
    _ completion: @escaping Completion
  ) {
    change(.zero(keepsRoom: keepsRoom, mustBeFast: mustBeFast), range, isDurable: isDurable, completion)
  }

  /// Nobody needs the bytes in `range` any more: whole blocks become zeros.
  package func trim(_ range: Range<UInt64>, isDurable: Bool, _ completion: @escaping Completion) {
    change(.trim, range, isDurable: isDurable, completion)
  }

  /// Makes every change durable whose completion was called.
  package func flush(_ completion: @escaping Completion) {
    change(.flush, 0..<0, isDurable: false, completion)
  }

  private func change(
    _ change: Overlay.Change, _ range: Range<UInt64>, isDurable: Bool, _ completion: @escaping Completion
  ) {
    guard let overlay else { preconditionFailure("a change of a disk that cannot be written") }
    let isWhole = if case .trim = change { true } else { range.isEmpty }
    let missing = isWhole ? [] : overlay.missingEdges(of: range)
    let below = PendingRead { result in
      switch result {
      case .success(let pieces):
        overlay.submit(change, range, below: pieces, isDurable: isDurable) {
          completion($0.map { [] })
        }
      case .failure(let error): completion(.failure(error))
      }
    }
    for (place, block) in missing.enumerated() {
      below.expect()
      if let pieces = image.read(block, { below.deliver($0, at: place) }) {
        below.deliver(.success(pieces), at: place)
      }
    }
    below.start([])
  }
}
