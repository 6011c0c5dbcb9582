package import CasyncFormat

/// Adds chunks to a store, wherever it is: `LocalStoreWriter` to a directory, `HTTPStoreWriter` to a server.
///
/// Nothing may name the chunks, no index above all, before `close` has returned: it is what makes them stay.
/// All calls block; `add` and `contains` may be made by several threads at once, the others by one.
package protocol StoreWriter: AnyObject, Sendable {
  /// Which of the chunks are in the store, or will be after `close`.
  ///
  /// They are asked for together, since each question may be a round trip. Of a chunk that is listed twice
  /// and missing, the second counts as there: it need not be compressed again.
  /// - Throws: `StoreError`, `SystemError`, `CancellationError`.
  func contains(_ ids: [ChunkID]) throws -> [Bool]

  /// Stores a compressed chunk. It need not be durable when this returns.
  /// - Returns: false when another thread was adding the same chunk.
  /// - Throws: as `contains`; also what an earlier chunk failed with.
  func add(_ id: ChunkID, compressed: RawSpan) throws -> Bool

  /// Whether so much was added since the last commit that one is due.
  var isCommitDue: Bool { get }

  /// Makes what was added so far durable. Until `close` it is only a step on the way.
  func commit() throws

  /// Makes everything that was added durable. Nothing is added after it.
  func close() throws
}

extension StoreWriter {
  /// Whether one chunk is there.
  package func contains(_ id: ChunkID) throws -> Bool { try contains([id]).first ?? false }
}
