package import CasyncFormat
internal import CasyncIO
internal import Glibc

extension LocalStore: CollectableStore {
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

  package func forEachEntry(
    _ body: (Entry) throws -> Void, stray: (Stray) throws -> Void = { _ in },
    directory done: (_ name: String) throws -> Void = { _ in }
  ) throws {
    for prefix in try FileSystem.names(in: path).sorted() where !prefix.hasPrefix(".") {
      let isDirectory = try File.status("\(path)/\(prefix)")?.kind == .directory
      guard isDirectory, prefix.utf8.count == 4 else {
        try stray(Stray(kind: .foreign, name: prefix))
        continue
      }
      for name in try FileSystem.names(in: "\(path)/\(prefix)").sorted() {
        if let entry = Self.entry(prefix, name, suffix: suffix) {
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

  /// The chunk that a file in a 4-digit directory is named for.
  static func entry(_ prefix: String, _ name: String, suffix: String) -> Entry? {
    let isCompressed = !suffix.isEmpty && name.hasSuffix(suffix)
    let hex = isCompressed ? name.dropLast(suffix.count) : name[...]
    guard let id = ChunkID(hex: hex), hex.hasPrefix(prefix) else { return nil }
    return Entry(id: id, form: isCompressed ? .compressed : .plain, name: "\(prefix)/\(name)")
  }

  package func sizeAndAge(of name: String) throws -> (size: UInt64, age: Int64)? {
    guard let status = try File.status("\(path)/\(name)") else { return nil }
    return (status.size, Int64(time(nil)) - status.modified / 1_000_000_000)
  }

  package func remove(_ name: String) throws { try FileSystem.remove("\(path)/\(name)") }

  package func removeEmptyDirectory(_ name: String) throws -> Bool {
    try FileSystem.removeEmptyDirectory("\(path)/\(name)")
  }

  package func finishRemoving() {}

  package func load(_ entry: Entry, using loader: ChunkLoader) throws -> LoadAny {
    try load(entry.id, entry.form, using: loader)
  }
}
