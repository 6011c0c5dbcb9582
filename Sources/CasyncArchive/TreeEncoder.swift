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
package struct ArchivedFile {
  package let file: File
  /// Where in the archive its content will be; it is what the file holds from its start.
  package let content: Range<UInt64>
  fileprivate let names: [[UInt8]]

  package var size: UInt64 { content.upperBound - content.lowerBound }

  /// From the top directory down.
  package var path: [UInt8] { Array(names.joined(separator: [UInt8(ascii: "/")])) }
}

/// Makes an archive of a directory tree, byte for byte as casync does.
///
/// Not to be shared between threads.
package final class TreeEncoder {
  /// Content of shorter files is read here: whoever gets the file has more work with it.
  private static let shortFile: UInt64 = 256

  private let options: TreeOptions
  private let cancellation: Cancellation
  private let sink: (RawSpan) throws -> Void
  private let content: (ArchivedFile) throws -> Void
  private var encoder = CatarEncoder()
  private let buffer = Buffer(count: Int(shortFile))
  /// Of what was entered and not left, the top directory left out, and whether it is a directory.
  private var names: [[UInt8]] = []
  private var areDirectories: [Bool] = []

  /// - Parameters:
  ///   - sink: gets the bytes of the archive in order; what it is lent is its only during the call.
  ///   - content: gets the files whose content follows the bytes passed on so far.
  package init(
    _ options: TreeOptions, _ cancellation: Cancellation, sink: @escaping (RawSpan) throws -> Void,
    content: @escaping (ArchivedFile) throws -> Void
  ) {
    self.options = options
    self.cancellation = cancellation
    self.sink = sink
    self.content = content
  }

  /// Archives the directory at `path`. Blocks.
  /// - Throws: `ArchiveError`, `SystemError`, `CancellationError`, and what the sinks throw.
  package func encode(_ path: String) throws {
    try TreeScanner(options, cancellation, self).scan(path)
  }
}

extension TreeEncoder: NodeSink {
  func enter(_ name: [UInt8]?, _ node: CatarNode, _ status: NodeStatus) throws {
    if let name { names.append(name) }
    areDirectories.append(node.content == .directory)
    var bytes = [UInt8]()
    encoder.begin(name, node, to: &bytes)
    try sink(bytes.rawSpan)
  }

  func content(_ file: File, size: UInt64) throws {
    guard size < Self.shortFile else {
      let range = encoder.offset - size..<encoder.offset
      return try content(ArchivedFile(file: file, content: range, names: names))
    }
    let (buffer, count) = (buffer, Int(size))
    guard try file.read(at: 0, into: buffer, 0..<count) == count else {
      throw ArchiveError.becameShorter(file.path)
    }
    try sink(buffer.bytes.extracting(0..<count))
  }

  func leave() throws {
    _ = names.popLast()
    guard areDirectories.popLast() == true else { return }
    var bytes = [UInt8]()
    encoder.endDirectory(to: &bytes)
    try sink(bytes.rawSpan)
  }
}
