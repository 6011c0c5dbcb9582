internal import CasyncChunking
internal import CasyncIO

/// Copies of remote indexes in a directory, so that one that has not changed is not downloaded again.
///
/// A copy is a file named by the SHA-256 of its URL: the ETag that came with it, a newline, the index.
struct IndexCopies: Sendable {
  let directory: String

  private func file(_ url: String) -> String {
    var digest = StreamDigest(.sha256)
    digest.update(Array(url.utf8).rawSpan)
    return "\(directory)/\(digest.finish().hex).index"
  }

  /// The copy of what is at `url`; `nil` when there is none.
  func copy(of url: String, limit: Int) -> (validator: String, bytes: [UInt8])? {
    // One that cannot be read is like none.
    guard let bytes = try? File.open(file(url)).readAll(limit: limit), let end = bytes.firstIndex(of: 10)
    else { return nil }
    return (String(decoding: bytes[..<end], as: UTF8.self), Array(bytes[(end + 1)...]))
  }

  /// Keeps a copy, if that can be done.
  func keep(_ bytes: [UInt8], _ validator: String, of url: String) {
    do {
      try FileSystem.makeDirectory(FileSystem.parent(of: directory))
      try FileSystem.makeDirectory(directory, mode: 0o700)
      let temporary = try FileSystem.createTemporary(in: directory, prefix: ".#index", mode: 0o600)
      try temporary.writeNext(Array((validator + "\n").utf8).rawSpan)
      try temporary.writeNext(bytes.rawSpan)
      try temporary.sync()
      try FileSystem.rename(temporary.path, to: file(url))
    } catch {
      // The next run downloads it again.
    }
  }
}
