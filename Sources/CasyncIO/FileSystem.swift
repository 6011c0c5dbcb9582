internal import CLinux
internal import Glibc

/// Calls on names in directories.
package enum FileSystem {
  /// mkdir(2).
  /// - Returns: whether the directory is new; false when it was there.
  @discardableResult
  package static func makeDirectory(_ path: String, mode: UInt32 = 0o777) throws -> Bool {
    let (result, number) = retrying { unsafe mkdir(path, mode) }
    if result == 0 { return true }
    if number == EEXIST { return false }
    throw SystemError("create the directory", path, errno: number)
  }

  /// rename(2), replacing what is there.
  package static func rename(_ from: String, to: String) throws {
    let (result, number) = retrying { unsafe casync_rename(from, to) }
    guard result == 0 else { throw SystemError("rename \(from) to", to, errno: number) }
  }

  /// Whether there is a directory at `path`, or a link to one.
  package static func isDirectory(_ path: String) -> Bool {
    // What cannot be looked at is none.
    (try? File.status(path)?.kind) == .directory
  }

  /// unlink(2).
  /// - Returns: whether there was something to remove.
  @discardableResult
  package static func remove(_ path: String) throws -> Bool {
    let (result, number) = retrying { unsafe unlink(path) }
    if result == 0 { return true }
    if number == ENOENT { return false }
    throw SystemError("remove", path, errno: number)
  }

  /// rmdir(2).
  /// - Returns: whether it is gone; false when it is not empty.
  package static func removeEmptyDirectory(_ path: String) throws -> Bool {
    let (result, number) = retrying { unsafe rmdir(path) }
    if result == 0 || number == ENOENT { return true }
    if number == ENOTEMPTY || number == EEXIST { return false }
    throw SystemError("remove the directory", path, errno: number)
  }

  /// fsync(2) of the directory that holds `path`, so that a rename in it is durable.
  package static func syncParent(of path: String) throws {
    try File.open(parent(of: path), .directory).sync()
  }

  /// The names in a directory, `.` and `..` left out, in no order.
  package static func names(in path: String) throws -> [String] {
    // SAFETY: the stream is closed below; an entry is read before the next call replaces it.
    guard let stream = unsafe opendir(path) else { throw SystemError("list", path, errno: errno) }
    defer { unsafe closedir(stream) }
    var names = [String]()
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else { break }
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { tuple in
        unsafe tuple.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    guard errno == 0 else { throw SystemError("list", path, errno: errno) }
    return names
  }

  /// The directory part of a path: `.` for a bare name.
  package static func parent(of path: String) -> String {
    guard let slash = lastSlash(in: path) else { return "." }
    let parent = path[..<slash]
    return parent.isEmpty ? "/" : String(parent)
  }

  /// The last component of a path.
  package static func name(of path: String) -> String {
    lastSlash(in: path).map { String(path[path.utf8.index(after: $0)...]) } ?? path
  }

  /// Of bytes, as the kernel sees it: a character may be a slash with an accent, and to find one is slow.
  private static func lastSlash(in path: String) -> String.Index? {
    path.utf8.lastIndex(of: UInt8(ascii: "/"))
  }

  /// realpath(3): no links, no dots; `nil` when there is nothing at `path`.
  package static func resolved(_ path: String) -> String? {
    // SAFETY: realpath allocates the result, which is freed here.
    guard let resolved = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  /// The target of a symbolic link; `nil` when `path` is none.
  package static func link(_ path: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let capacity = bytes.count
    // SAFETY: readlink writes at most `capacity` bytes, and the array is not empty.
    let count = unsafe bytes.withUnsafeMutableBytes { memory in
      guard let start = memory.baseAddress else { return -1 }
      return unsafe readlink(path, start.assumingMemoryBound(to: CChar.self), capacity)
    }
    return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
  }

  /// symlink(2).
  package static func makeLink(_ path: String, to target: String) throws {
    let (result, number) = retrying { unsafe symlink(target, path) }
    guard result == 0 else { throw SystemError("make the link", path, errno: number) }
  }

  /// Writes to a file of the kernel's, such as an attribute in /sys.
  package static func setText(_ path: String, _ text: String) throws {
    let bytes = Array(text.utf8)
    // SAFETY: a UInt8 has no padding, so every byte of the span is initialised.
    try unsafe File.open(path, .write).writeNext(bytes.span.bytes)
  }

  /// A small text file, such as the kernel's in /proc and /sys; `nil` when it cannot be read.
  package static func text(_ path: String) -> String? {
    // The callers ask for facts that are not there on every system; none is an answer.
    guard let bytes = try? File.open(path).readAll(limit: 16 << 20) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Creates a file of its own under `directory`, with a random part in its name.
  /// - Returns: the open file; its `path` is where it lies.
  package static func createTemporary(
    in directory: String, prefix: String, suffix: String = "", mode: UInt32 = 0o666
  ) throws -> File {
    while true {
      let random = String(UInt64.random(in: .min ... .max), radix: 16)
      let name = prefix + String(repeating: "0", count: 16 - random.count) + random + suffix
      let path = directory == "." ? name : "\(directory)/\(name)"
      do {
        return try File.open(path, [.readWrite, .create, .exclusive], mode: mode)
      } catch let error as SystemError {
        if error.number == EEXIST { continue }
        throw SystemError("create a file in", directory, errno: error.number)
      }
    }
  }
}
