import CasyncFormat
import CasyncIO

/// Keeps the index of what was got onto each device, so that the next update knows its seed without reading
/// it.
///
/// An index is removed before the first write to its device and stored after the last flush. A directory that
/// cannot be used is no error: then seeds are cut.
struct StateDirectory {
  let path: String

  private func file(_ name: String) -> String { "\(path)/\(name).caibx" }

  /// The index of what the device holds; `nil` when none is kept or it is damaged.
  func index(of name: String?) -> Index? {
    guard let name else { return nil }
    // An index that is not there or not whole is as good as none: the seed is cut.
    return try? IndexFile.read(file(name))
  }

  /// Forgets a device: it is about to change.
  /// - Throws: when an index is there and cannot be removed; a stale one must not survive.
  func forget(_ name: String?) throws {
    guard let name, try File.status(file(name)) != nil else { return }
    try FileSystem.remove(file(name))
  }

  /// Keeps the index of what the device holds now.
  /// - Returns: whether it could.
  func store(_ index: Index, for name: String?) -> Bool {
    guard let name else { return false }
    do {
      try FileSystem.makeDirectory(path, mode: 0o755)
      let writer = try IndexFileWriter(file(name), flags: index.flags, chunker: index.chunker, mode: 0o644)
      for position in 0..<index.count {
        try writer.append(length: index.length(of: position), id: index.id(of: position))
      }
      try writer.finish()
      return true
    } catch {
      // The next update cuts its seed instead.
      return false
    }
  }
}
