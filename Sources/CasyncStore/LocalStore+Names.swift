package import CasyncFormat
internal import CasyncIO
internal import Glibc

extension LocalStore {
  /// A file in the store that has a chunk's name.
  package struct Entry: Sendable {
    package let id: ChunkID
    package let form: Form
    /// Path below the store.
    package let name: String
  }

  /// What the store's two levels of directories hold besides chunks.
  package struct Stray: Sendable {
    package enum Kind: Sendable {
      /// A temporary file of casync, desync or this program.
      case temporary
      /// A chunk that `check` found bad and moved aside.
      case aside
      /// No name that anything gives to a chunk.
      case foreign
    }
    package let kind: Kind
    package let name: String
  }

  /// Goes through the store, directory by directory.
  /// - Parameters:
  ///   - directory: called after the entries of each 4-digit directory with its name.
  ///   - body: called for each chunk file.
  ///   - stray: called for everything else.
  package func forEachEntry(
    _ body: (Entry) throws -> Void, stray: (Stray) throws -> Void = { _ in },
    directory done: (_ name: String) throws -> Void = { _ in }
  ) throws {
    for prefix in try FileSystem.names(in: path).sorted() {
      let isDirectory = try File.status("\(path)/\(prefix)")?.kind == .directory
      guard isDirectory, prefix.utf8.count == 4 else {
        try stray(Stray(kind: .foreign, name: prefix))
        continue
      }
      for name in try FileSystem.names(in: "\(path)/\(prefix)").sorted() {
        if let entry = entry(prefix, name) {
          try body(entry)
        } else {
          try stray(Stray(kind: Self.strayKind(name), name: "\(prefix)/\(name)"))
        }
      }
      try done(prefix)
    }
  }

  /// What the name of a bad chunk that was moved aside ends in.
  package static let asideSuffix = ".bad"

  private static func strayKind(_ name: String) -> Stray.Kind {
    if name.hasSuffix(".tmp") || name.hasPrefix(".tmp-cacnk") { return .temporary }
    return name.hasSuffix(asideSuffix) ? .aside : .foreign
  }

  private func entry(_ prefix: String, _ name: String) -> Entry? {
    let isCompressed = !suffix.isEmpty && name.hasSuffix(suffix)
    let hex = isCompressed ? name.dropLast(suffix.count) : name[...]
    guard let id = ChunkID(hex: hex), hex.hasPrefix(prefix) else { return nil }
    return Entry(id: id, form: isCompressed ? .compressed : .plain, name: "\(prefix)/\(name)")
  }

  /// Length in bytes and age in seconds of a file below the store; `nil` when it is gone.
  package func sizeAndAge(of name: String) throws -> (size: UInt64, age: Int64)? {
    guard let status = try File.status("\(path)/\(name)") else { return nil }
    return (status.size, Int64(time(nil)) - status.modified / 1_000_000_000)
  }
}
