package import CasyncFormat

// Random access to an archive: from the top directory down by the tables at the ends of directories, so that
// what is read is what was asked for, and nothing before it.
//
//   name → its hash → the directory's table, a binary search tree → FILENAME, ENTRY … → the node

/// Finds nodes in an archive without reading what lies before them.
///
/// Everything an archive says is checked before it is used: a child lies inside its directory and below 64
/// others at most, so no walk is endless. What is damaged is a `CatarError` of the call that meets it. Holds
/// no more than one table of a directory; may be shared between threads.
package final class TreeReader: Sendable {
  /// Gives the bytes of the archive in a range that lies inside it. Blocks.
  package typealias Read = @Sendable (Range<UInt64>) throws -> [UInt8]

  /// A node and where it lies.
  package struct Found: Sendable {
    package let node: CatarNode
    /// Where its ENTRY starts, which tells it from all others.
    package let entry: UInt64
    /// From what follows its metadata to its end: of a file its content, of a directory children and table.
    package let content: Range<UInt64>
    /// Directories it lies in.
    package let depth: Int

    package var place: Place { Place(entry: entry, content: content, depth: depth) }
  }

  /// Where a node lies: enough to find what is in it.
  package struct Place: Sendable {
    package let entry: UInt64
    package let content: Range<UInt64>
    package let depth: Int
  }

  /// Children of one directory that are listed: more than any that is in use.
  package static let childLimit: UInt64 = 1 << 22
  /// Children whose names have the same hash: more than chance brings about.
  private static let hashLimit = 64
  /// Bytes that hold the name and metadata of most nodes.
  private static let window: UInt64 = 512

  private let size: UInt64
  private let read: Read
  package let features: FeatureFlags
  package let root: Found

  /// - Parameters:
  ///   - size: bytes of the archive.
  ///   - read: gives bytes of it.
  /// - Throws: `CatarError` when it is no archive from its first byte to its last, and what `read` throws.
  package init(size: UInt64, _ read: @escaping Read) throws {
    self.size = size
    self.read = read
    var decoder = CatarDecoder()
    let (node, end) = try Self.decode(&decoder, [], limit: size, read)
    guard node.content == .directory else { throw CatarError(.notAnArchive, at: 0) }
    features = node.features
    root = Found(node: node, entry: 0, content: end..<size, depth: 0)
    _ = try table(of: root.place)
  }

  /// Decodes until the node is known.
  /// - Parameters:
  ///   - bytes: what is known already from where the decoder stands.
  ///   - limit: nothing is read from there on.
  /// - Returns: the node and where its metadata ends.
  private static func decode(
    _ decoder: inout CatarDecoder, _ bytes: [UInt8], limit: UInt64, _ read: Read
  ) throws -> (CatarNode, UInt64) {
    var bytes = bytes
    var window = window
    while true {
      if let step = try decoder.step(bytes.rawSpan) {
        bytes.removeFirst(step.consumed)
        if case .node(let node) = step.event { return (node, decoder.offset) }
        continue
      }
      let start = decoder.offset + UInt64(bytes.count)
      guard start < limit else { throw CatarError(.truncated, at: start) }
      bytes += try read(start..<min(limit, start + window))
      window = min(window * 4, 64 << 10)
    }
  }

  // MARK: One node

  /// The node whose FILENAME starts at `item`, with its name.
  package func child(_ item: Range<UInt64>, of directory: Place) throws -> (name: [UInt8], Found) {
    // A fifo's end shows only in the record behind it; there always is one.
    let limit = min(item.upperBound + 16, directory.content.upperBound)
    let bytes = try read(item.lowerBound..<min(limit, item.lowerBound + Self.window))
    let (name, length) = try CatarName.decode(bytes.rawSpan, at: item.lowerBound)
    let entry = item.lowerBound + UInt64(length)
    return (
      name, try found(at: entry, end: item.upperBound, limit, Array(bytes[length...]), directory.depth + 1)
    )
  }

  /// The node at `place`, its metadata read once more.
  package func node(_ place: Place) throws -> CatarNode {
    var decoder = CatarDecoder(nodeAt: place.entry, features: features)
    if place.entry == 0 { decoder = CatarDecoder() }
    let limit = min(place.content.upperBound + 16, size)
    return try Self.decode(&decoder, [], limit: limit, read).0
  }

  private func found(
    at entry: UInt64, end: UInt64, _ limit: UInt64, _ bytes: [UInt8], _ depth: Int
  ) throws -> Found {
    var decoder = CatarDecoder(nodeAt: entry, features: features)
    let (node, start) = try Self.decode(&decoder, bytes, limit: limit, read)
    let rest = end - min(end, start)
    let fits =
      switch node.content {
      case .regular(let size): size == rest
      case .directory: rest > 0
      default: rest == 0
      }
    guard start <= end, fits else {
      throw CatarError(.badRecord("a file that is not as long as its directory says"), at: entry)
    }
    guard depth < 64 || node.content != .directory else { throw CatarError(.tooDeep, at: entry) }
    return Found(node: node, entry: entry, content: start..<end, depth: depth)
  }

  // MARK: Directories

  private func table(of directory: Place) throws -> CatarTable {
    let end = directory.content.upperBound
    let start = max(directory.content.lowerBound, end - min(end, CatarTable.tailLength))
    let tail = try read(start..<end)
    let table = try CatarTable(tail: tail.rawSpan, endingAt: end, entry: directory.entry)
    guard table.range.lowerBound >= directory.content.lowerBound else {
      throw CatarError(.recordSize, at: start)
    }
    return table
  }

  private func item(_ place: UInt64, of table: CatarTable) throws -> CatarTable.Item {
    let bytes = try read(table.place(ofItems: place, limit: 1))
    return try table.item(bytes.rawSpan)
  }

  private func check(
    _ item: CatarTable.Item, _ directory: Place, _ table: CatarTable
  ) throws -> Range<UInt64> {
    guard item.range.lowerBound >= directory.content.lowerBound else {
      throw CatarError(.badRecord("a child outside its directory"), at: table.range.lowerBound)
    }
    return item.range
  }

  /// The child of this name; `nil` when there is none.
  package func child(named name: [UInt8], of directory: Place) throws -> Found? {
    let table = try table(of: directory)
    let hash = CatarTable.hash(name)
    var places: [UInt64] = [0]
    var matches = 0
    while let place = places.popLast() {
      guard place < table.count else { continue }
      let item = try item(place, of: table)
      if item.hash >= hash { places.append(2 * place + 1) }
      if item.hash <= hash { places.append(2 * place + 2) }
      guard item.hash == hash else { continue }
      let (found, child) = try child(check(item, directory, table), of: directory)
      if found == name { return child }
      matches += 1
      guard matches < Self.hashLimit else {
        throw CatarError(.badRecord("a directory full of names with one hash"), at: table.range.lowerBound)
      }
    }
    return nil
  }

  /// Where the children of a directory lie, in the order of the archive: without gaps, from the first to the
  /// table. Reads the table, no child.
  package func children(of directory: Place) throws -> [Range<UInt64>] {
    let table = try table(of: directory)
    guard table.count <= Self.childLimit else { throw CatarError(.tooLarge, at: table.range.lowerBound) }
    var children = [Range<UInt64>]()
    let step: UInt64 = 2048
    for first in stride(from: 0, to: table.count, by: UInt64.Stride(step)) {
      let bytes = try read(table.place(ofItems: first, limit: step))
      for offset in stride(from: 0, to: bytes.count, by: Int(CatarTable.itemLength)) {
        children.append(try check(table.item(bytes.rawSpan, at: offset), directory, table))
      }
    }
    children.sort { $0.lowerBound < $1.lowerBound }
    var end = directory.content.lowerBound
    for child in children {
      guard child.lowerBound == end else { break }
      end = child.upperBound
    }
    guard end == table.range.lowerBound, children.isEmpty || children.last?.upperBound == end else {
      throw CatarError(.badRecord("a table that leaves gaps between children"), at: table.range.lowerBound)
    }
    return children
  }
}
