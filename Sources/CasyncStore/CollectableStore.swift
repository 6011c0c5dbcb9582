package import CasyncIO

/// A store that can be gone through and have chunks removed: a directory or a bucket. All calls block.
package protocol CollectableStore: AnyObject, Sendable {
  var name: String { get }

  /// Keeps writers away until the returned file is let go, where there are locks.
  /// - Throws: `StoreError` (busy), naming who writes.
  func lockForRemoving() throws -> File?

  /// Goes through the store, directory by directory.
  /// - Parameters:
  ///   - directory: called after the entries of each 4-digit directory with its name.
  ///   - body: called for each chunk.
  ///   - stray: called for everything else.
  func forEachEntry(
    _ body: (LocalStore.Entry) throws -> Void, stray: (LocalStore.Stray) throws -> Void,
    directory: (_ name: String) throws -> Void
  ) throws

  /// Length in bytes and age in seconds of what was passed last; `nil` when it is gone.
  func sizeAndAge(of name: String) throws -> (size: UInt64, age: Int64)?

  /// Removes a file below the store, at the latest when `finishRemoving` returns.
  func remove(_ name: String) throws

  /// Removes a directory below the store.
  /// - Returns: false when it is not empty.
  func removeEmptyDirectory(_ name: String) throws -> Bool

  func finishRemoving() throws

  /// Reads and decompresses a chunk of any length. Its digest is not compared.
  func load(_ entry: LocalStore.Entry, using loader: ChunkLoader) throws -> LocalStore.LoadAny
}
