import CasyncIO
import Synchronization

/// What the target held before: read from it where it is not overwritten yet, from memory where it is.
///
/// The boot area is kept from its zeroing to the end; chunks whose place is overwritten before their turn
/// comes are kept until then, up to a bound.
final class OldContent: Sendable {
  /// Most bytes of chunks that are kept at one time.
  private static let keepLimit = 16 << 20

  private struct Kept {
    var chunks: [Int: (buffer: Buffer, source: Source)] = [:]
    var bytes = 0
    var areas: [Window] = []
    var areaRanges: [Range<UInt64>] = []
  }

  private let target: Target
  private let kept = Mutex(Kept())

  init(_ target: Target) {
    self.target = target
  }

  /// Keeps `range` of the target: it will be zeroed.
  func keepArea(_ range: Range<UInt64>) throws {
    let window = Window(buffer: Buffer(count: Int(range.length)), start: range.lowerBound)
    guard try target.read(at: range.lowerBound, into: window.buffer, 0..<window.buffer.count) else {
      throw JobError(.io, "\(target.path) ends before byte \(range.upperBound)")
    }
    kept.withLock { kept in
      kept.areas.append(window)
      kept.areaRanges.append(range)
    }
  }

  /// Fills `place` of `buffer` with what the target held from `offset`.
  /// - Returns: whether it holds so many bytes.
  func read(at offset: UInt64, into buffer: Buffer, _ place: Range<Int>) throws -> Bool {
    let range = offset..<offset + UInt64(place.count)
    guard try target.read(at: offset, into: buffer, place) else { return false }
    for area in kept.withLock({ $0.areas }) {
      let shared = range.intersection(area.start..<area.start + UInt64(area.buffer.count))
      guard !shared.isEmpty else { continue }
      buffer.copy(area.place(shared), of: area.buffer, to: place.lowerBound + Int(shared.lowerBound - offset))
    }
    return true
  }

  /// Whether `range` is in memory whatever happens to the target.
  func holds(_ range: Range<UInt64>) -> Bool {
    kept.withLock { kept in
      kept.areaRanges.contains { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }
    }
  }

  /// Keeps the chunk that is wanted at `position` and stands at `offset`, which is about to be overwritten.
  /// - Returns: false when the bound is reached or it cannot be read: then it must come from elsewhere.
  func keepChunk(_ position: Int, at offset: UInt64, length: Int) throws -> Bool {
    guard kept.withLock({ $0.bytes + length <= Self.keepLimit }) else { return false }
    let buffer = Buffer(count: length)
    guard try read(at: offset, into: buffer, 0..<length) else { return false }
    keepChunk(position, buffer, from: .target)
    return true
  }

  /// Whether the chunk for `position` is kept.
  func hasChunk(_ position: Int) -> Bool {
    kept.withLock { $0.chunks[position] != nil }
  }

  /// Keeps a chunk that was loaded before its turn.
  func keepChunk(_ position: Int, _ buffer: Buffer, from source: Source) {
    kept.withLock { kept in
      if let before = kept.chunks.updateValue((buffer, source), forKey: position) {
        kept.bytes -= before.buffer.count
      }
      kept.bytes += buffer.count
    }
  }

  /// The chunk kept for `position`, which is not needed again.
  func takeChunk(_ position: Int) -> (buffer: Buffer, source: Source)? {
    kept.withLock { kept in
      guard let chunk = kept.chunks.removeValue(forKey: position) else { return nil }
      kept.bytes -= chunk.buffer.count
      return chunk
    }
  }
}
