import CasyncFormat
package import CasyncIO

/// Copies a directory tree with everything that an archive holds, and the links between its files.
///
///     directory → TreeScanner → TreeCloner → TreeExtractor, whose workers clone or copy the content
///
/// Not to be shared between threads.
package final class TreeCloner {
  private let extractor: TreeExtractor
  /// Where the first of several links to a file was made, by device and inode.
  private var links: [Inode: [UInt8]] = [:]
  private var names: [[UInt8]] = []
  /// The node entered last was made a link, or ends without content.
  private var isLink = false

  private struct Inode: Hashable {
    let device: UInt64
    let number: UInt64
  }

  private init(_ extractor: TreeExtractor) { self.extractor = extractor }

  /// Makes `target` a copy of the directory at `path`. Blocks.
  /// - Parameters:
  ///   - copied: hears of the size of each file, on any thread.
  /// - Throws: `ArchiveError`, `SystemError`, `CancellationError`.
  package static func clone(
    _ path: String, _ tree: TreeOptions, into target: File, _ options: ExtractOptions, workers: Int?,
    _ cancellation: Cancellation, copied: @escaping TreeExtractor.Written
  ) throws {
    try TreeExtractor.extract(into: target, options, workers: workers, written: copied) { extractor in
      try TreeScanner(tree, cancellation, TreeCloner(extractor)).scan(path)
    }
  }
}

extension TreeCloner: NodeSink {
  func enter(_ name: [UInt8]?, _ node: CatarNode, _ status: NodeStatus) throws {
    if let name { names.append(name) }
    if let name, status.isRegular, status.linkCount > 1 {
      let inode = Inode(device: status.device, number: status.inode)
      if let first = links[inode] {
        isLink = true
        return try extractor.link(name, to: first)
      }
      links[inode] = Array(names.joined(separator: [UInt8(ascii: "/")]))
    }
    try extractor.enter(name, node, contentOffset: 0, isCopy: true)
  }

  func content(_ file: File, size: UInt64) throws {
    if !isLink { extractor.copy(from: file) }
  }

  func leave() throws {
    _ = names.popLast()
    if !isLink { try extractor.leave() }
    isLink = false
  }
}
