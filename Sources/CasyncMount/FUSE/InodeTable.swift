internal import CasyncArchive
internal import CasyncFormat

/// The inodes that the kernel knows, and the metadata of those it asked for last. Guarded by its owner.
///
/// An inode's number is the offset of its ENTRY and one more, so that the top directory is number 1, as the
/// kernel wants it, and every number is the same at every mount. What is kept of an inode is little, since
/// the kernel may know millions; its metadata is read once more when it is no longer here.
struct InodeTable {
  private struct Inode {
    let place: TreeReader.Place
    let parent: UInt64
    /// How often the kernel was told of it and has not forgotten.
    var count: UInt64
  }

  /// Bytes of metadata in each of the two generations.
  private static let limit = 4 << 20

  private var inodes: [UInt64: Inode] = [:]
  private var young: [UInt64: CatarNode] = [:]
  private var old: [UInt64: CatarNode] = [:]
  private var youngBytes = 0

  init(root: TreeReader.Found) {
    inodes[fuseRootInode] = Inode(place: root.place, parent: fuseRootInode, count: 1)
    keep(root.node, of: fuseRootInode)
  }

  /// How many the kernel knows.
  var count: Int { inodes.count }

  static func number(of entry: UInt64) -> UInt64 { entry + 1 }

  /// The kernel is told of a node once more.
  mutating func tell(_ found: TreeReader.Found, in parent: UInt64) {
    let number = Self.number(of: found.entry)
    inodes[number, default: Inode(place: found.place, parent: parent, count: 0)].count += 1
    keep(found.node, of: number)
  }

  /// The kernel forgets `count` times that it was told. It never forgets the top directory.
  mutating func forget(_ number: UInt64, _ count: UInt64) {
    guard number != fuseRootInode, let inode = inodes[number] else { return }
    if inode.count > count {
      inodes[number]?.count -= count
    } else {
      inodes[number] = nil
      young[number] = nil
      old[number] = nil
    }
  }

  /// Where an inode lies; `nil` for one that the kernel should not know.
  func place(_ number: UInt64) -> TreeReader.Place? { inodes[number]?.place }

  func parent(_ number: UInt64) -> UInt64 { inodes[number]?.parent ?? fuseRootInode }

  /// Metadata that is still here.
  mutating func node(_ number: UInt64) -> CatarNode? {
    if let node = young[number] { return node }
    guard let node = old[number] else { return nil }
    keep(node, of: number)
    return node
  }

  /// Keeps metadata until so much else was asked for that it is in the older generation when that goes.
  mutating func keep(_ node: CatarNode, of number: UInt64) {
    guard young.updateValue(node, forKey: number) == nil else { return }
    youngBytes +=
      400 + node.xattrs.reduce(0) { $0 + $1.name.count + $1.value.count + 64 }
      + (node.acl.users.count + node.acl.groups.count) * 64
    guard youngBytes > Self.limit else { return }
    old = young
    young = [:]
    youngBytes = 0
  }
}
