internal import CasyncArchive
internal import CasyncFormat

/// A `.catar` that is walked through by the tables of its directories, by order and by name.
func fuzzTree(_ bytes: [UInt8]) {
  guard
    let tree = try? TreeReader(
      size: UInt64(bytes.count),
      { range in
        require(range.upperBound <= UInt64(bytes.count))
        return Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
      })
  else { return }
  // Children may overlap where their directory lies, so that a small archive may have many nodes.
  var limit = 200
  walk(tree, tree.root.place, &limit)
}

private func walk(_ tree: TreeReader, _ directory: TreeReader.Place, _ limit: inout Int) {
  require(directory.depth < 64)
  _ = try? tree.child(named: Array("a".utf8), of: directory)
  for item in (try? tree.children(of: directory)) ?? [] {
    limit -= 1
    guard limit > 0 else { return }
    guard let (name, found) = try? tree.child(item, of: directory) else { continue }
    require(!name.isEmpty && name.count < 256 && !name.contains(UInt8(ascii: "/")) && !name.contains(0))
    require(item.lowerBound >= directory.content.lowerBound && found.content.upperBound <= item.upperBound)
    require((try? tree.node(found.place)) == found.node)
    _ = found.node.linuxXattrs { $0 }
    _ = try? tree.child(named: name, of: directory)
    if found.node.content == .directory { walk(tree, found.place, &limit) }
  }
}
