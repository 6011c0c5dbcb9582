public import CasyncFormat
package import CasyncIO

// catar ⇄ directory tree.
//
//     directory → TreeEncoder: names in order, NodeCollector: metadata → CatarEncoder → bytes
//     bytes → ArchiveReader → CatarDecoder → nodes → TreeExtractor: temporary names → metadata → final names
//
// Both ways run on the calling thread and keep one open descriptor for each level of the tree; whoever wants
// to work on the bytes meanwhile takes them over to another thread.

/// What of a tree goes into an archive.
public struct TreeOptions: Equatable, Sendable {
  /// The archive's features, normalised.
  public var features: FeatureFlags
  public var shift: UIDShift

  public init(features: FeatureFlags, shift: UIDShift = .none) {
    self.features = features.normalized
    self.shift = shift
  }
}

/// A regular file that goes into an archive.
package struct ArchivedFile: Sendable {
  /// From the top directory down.
  package let path: [UInt8]
  /// Where in the archive its content will be.
  package let content: Range<UInt64>
}

/// Makes an archive of a directory tree, byte for byte as casync does.
///
/// Not to be shared between threads.
package final class TreeEncoder {
  private let options: TreeOptions
  private let cancellation: Cancellation
  private let sink: (RawSpan) throws -> Void
  private let onFile: ((ArchivedFile) -> Void)?
  private var encoder = CatarEncoder()
  private let buffer = Buffer(count: 512 << 10)
  private var filled = 0
  /// What was entered and not left: names, and whether it is a directory.
  private var open: [(name: [UInt8], isDirectory: Bool)] = []

  /// - Parameters:
  ///   - onFile: hears of each regular file before its content is passed on.
  ///   - sink: gets the bytes of the archive in order; what it is lent is its only during the call.
  package init(
    _ options: TreeOptions, _ cancellation: Cancellation, onFile: ((ArchivedFile) -> Void)? = nil,
    sink: @escaping (RawSpan) throws -> Void
  ) {
    self.options = options
    self.cancellation = cancellation
    self.onFile = onFile
    self.sink = sink
  }

  /// Archives the directory at `path`. Blocks.
  /// - Throws: `ArchiveError`, `SystemError`, `CancellationError`, and what the sink throws.
  package func encode(_ path: String) throws {
    try TreeScanner(options, cancellation, self).scan(path)
    try flush()
  }

  private func emit(_ bytes: [UInt8]) throws {
    guard bytes.count <= buffer.count - filled else {
      try flush()
      if bytes.count > buffer.count { return try sink(bytes.rawSpan) }
      return try emit(bytes)
    }
    buffer.copy(bytes.rawSpan, to: filled)
    filled += bytes.count
  }

  private func flush() throws {
    guard filled > 0 else { return }
    let buffer = buffer
    try sink(buffer.bytes.extracting(0..<filled))
    filled = 0
  }
}

extension TreeEncoder: NodeSink {
  func enter(_ name: [UInt8]?, _ node: CatarNode, _ status: NodeStatus) throws {
    open.append((name ?? [], node.content == .directory))
    var bytes = [UInt8]()
    encoder.begin(name, node, to: &bytes)
    try emit(bytes)
  }

  func content(_ file: File, size: UInt64) throws {
    if let onFile {
      let path = Array(open.dropFirst().map(\.name).joined(separator: [UInt8(ascii: "/")]))
      onFile(ArchivedFile(path: path, content: encoder.offset - size..<encoder.offset))
    }
    var offset: UInt64 = 0
    while offset < size {
      if filled == buffer.count { try flush() }
      let wanted = Int(min(size - offset, UInt64(buffer.count - filled)))
      let count = try file.read(at: offset, into: buffer, filled..<filled + wanted)
      guard count == wanted else { throw ArchiveError.becameShorter(file.path) }
      filled += count
      offset += UInt64(count)
    }
  }

  func leave() throws {
    guard let node = open.popLast(), node.isDirectory else { return }
    var bytes = [UInt8]()
    encoder.endDirectory(to: &bytes)
    try emit(bytes)
  }
}
