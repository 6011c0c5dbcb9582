package import Casync
package import CasyncArchive
internal import CasyncFormat
package import CasyncIO
internal import Synchronization

/// An archive as a file system: what the kernel asks is looked for in the archive, nothing is extracted.
///
/// Content is answered by the thread that has loaded its chunks; whatever else is asked may need chunks, too,
/// and is done by a pool.
package final class TreeFileSystem: FuseFileSystem {
  /// How an archive is shown.
  package struct Options: Sendable {
    package var shift: UIDShift
    /// Told, at most once a second, what is wrong with the archive. Called on any thread.
    package var report: @Sendable (String) -> Void

    package init(shift: UIDShift, report: @escaping @Sendable (String) -> Void) {
      self.shift = shift
      self.report = report
    }
  }

  private struct State {
    var inodes: InodeTable
    /// Directories that are open, and where their children lie once that was asked.
    var directories: [UInt64: [Range<UInt64>]?] = [:]
    var nextHandle: UInt64 = 1
    var lastReport: ContinuousClock.Instant?
  }

  /// Entries of a directory whose chunks are loaded before they are listed.
  private static let expected = 64
  /// Bytes at the start of a child that hold its name and metadata.
  private static let metadata: UInt64 = 512
  /// Who stands for owners that have no number here.
  private static let nobody: UInt32 = 65534

  private let tree: TreeReader
  private let image: ImageReader
  private let pool: WorkerPool<Void>
  private let options: Options
  private let state: Mutex<State>

  /// - Parameters:
  ///   - image: the archive's bytes.
  ///   - pool: does what has to wait for chunks.
  package init(_ tree: TreeReader, _ image: ImageReader, _ pool: WorkerPool<Void>, _ options: Options) {
    self.tree = tree
    self.image = image
    self.pool = pool
    self.options = options
    state = Mutex(State(inodes: InodeTable(root: tree.root)))
  }

  /// Inodes that the kernel knows.
  package var inodeCount: Int { state.withLock { $0.inodes.count } }

  /// Does what may have to wait; what it throws is an I/O error of `request`.
  private func work(_ request: FuseRequest, _ body: @escaping @Sendable () throws -> Void) {
    _ = pool.submit { [self] _ in
      do {
        try body()
      } catch let error as CatarError {
        report("\(error)")
        request.fail(.io)
      } catch {
        // A chunk that cannot be had was reported by the supply.
        request.fail(.io)
      }
    }
  }

  private func report(_ text: String) {
    let isDue = state.withLock { state in
      let isDue = state.lastReport.map { $0.duration(to: .now) >= .seconds(1) } ?? true
      if isDue { state.lastReport = .now }
      return isDue
    }
    if isDue { options.report(text) }
  }

  // MARK: Nodes

  private func attributes(_ node: CatarNode, _ number: UInt64) -> FuseAttributes {
    var attributes = FuseAttributes(inode: number, mode: node.mode)
    attributes.uid = options.shift.restored(node.uid) ?? Self.nobody
    attributes.gid = options.shift.restored(node.gid) ?? Self.nobody
    attributes.modified = node.modified
    switch node.content {
    case .regular(let size): attributes.size = size
    case .symlink(let target): attributes.size = UInt64(target.count)
    case .blockDevice(let major, let minor), .characterDevice(let major, let minor):
      attributes.major = major
      attributes.minor = minor
    case .directory, .fifo, .socket: break
    }
    return attributes
  }

  /// Answers from the metadata of an inode, at once where that is at hand.
  private func withNode(
    _ inode: UInt64, _ request: FuseRequest, _ answer: @escaping @Sendable (CatarNode) -> Void
  ) {
    let (node, place) = state.withLock { ($0.inodes.node(inode), $0.inodes.place(inode)) }
    if let node { return answer(node) }
    guard let place else { return request.fail(.notFound) }
    work(request) { [self] in
      let node = try tree.node(place)
      state.withLock { $0.inodes.keep(node, of: inode) }
      answer(node)
    }
  }

  package func lookUp(_ name: [UInt8], in directory: UInt64, _ request: FuseRequest) {
    guard let place = state.withLock({ $0.inodes.place(directory) }) else { return request.fail(.notFound) }
    work(request) { [self] in
      guard let found = try tree.child(named: name, of: place) else { return request.noEntry() }
      // Before the answer: the kernel may forget it at once.
      state.withLock { $0.inodes.tell(found, in: directory) }
      request.entry(attributes(found.node, InodeTable.number(of: found.entry)))
    }
  }

  package func forget(_ inode: UInt64, count: UInt64) {
    state.withLock { $0.inodes.forget(inode, count) }
  }

  package func attributes(of inode: UInt64, _ request: FuseRequest) {
    withNode(inode, request) { [self] node in request.attributes(attributes(node, inode)) }
  }

  package func target(of inode: UInt64, _ request: FuseRequest) {
    withNode(inode, request) { node in
      guard case .symlink(let target) = node.content else { return request.fail(.invalid) }
      request.target(target)
    }
  }

  package func read(_ inode: UInt64, at offset: UInt64, count: Int, _ request: FuseRequest) {
    guard let content = state.withLock({ $0.inodes.place(inode)?.content }) else {
      return request.fail(.notFound)
    }
    let size = content.upperBound - content.lowerBound
    let length = min(UInt64(clamping: count), size - min(offset, size))
    guard length > 0 else { return request.bytes(RawSpan()) }
    let start = content.lowerBound + offset
    image.read(start..<start + length, ahead: content, answering: request)
  }

  package func statistics(_ request: FuseRequest) { request.statistics(size: image.size) }

  // MARK: Attributes

  package func xattr(_ name: [UInt8], of inode: UInt64, capacity: Int, _ request: FuseRequest) {
    withNode(inode, request) { [self] node in
      guard let xattr = xattrs(node).first(where: { $0.name == name }) else {
        return request.fail(.noSuchAttribute)
      }
      request.value(xattr.value, capacity: capacity)
    }
  }

  package func xattrNames(of inode: UInt64, capacity: Int, _ request: FuseRequest) {
    withNode(inode, request) { [self] node in
      // As disk file systems do: others than root do not see what they may not read.
      let names = xattrs(node).map(\.name).filter { request.uid == 0 || !$0.starts(with: "trusted.".utf8) }
      request.value(names.flatMap { $0 + [0] }, capacity: capacity)
    }
  }

  private func xattrs(_ node: CatarNode) -> [CatarNode.Xattr] {
    node.linuxXattrs { options.shift.restored($0) ?? Self.nobody }
  }

  package func flags(of inode: UInt64, _ question: FuseFlagsQuestion, _ request: FuseRequest) {
    withNode(inode, request) { node in
      func bytes(_ words: [UInt32]) -> [UInt8] {
        words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
      }
      switch question {
      case .chattr: request.ioctl(bytes([node.chattrFlags]))
      case .fat:
        guard !node.features.isDisjoint(with: .fatAttributes) else { return request.fail(.noSuchQuestion) }
        request.ioctl(bytes([node.fatFlags]))
      // struct fsxattr: flags, extent size, extents, project, copy-on-write extent size, eight bytes of
      // padding.
      case .extended: request.ioctl(bytes([0, 0, 0, node.projectID ?? 0, 0, 0, 0]))
      }
    }
  }

  // MARK: Directories

  package func openDirectory(_ inode: UInt64, _ request: FuseRequest) {
    let handle = state.withLock { state in
      state.directories[state.nextHandle] = .some(nil)
      state.nextHandle += 1
      return state.nextHandle - 1
    }
    request.opened(handle: handle)
  }

  package func closeDirectory(_ handle: UInt64) {
    state.withLock { $0.directories[handle] = nil }
  }

  package func list(_ inode: UInt64, handle: UInt64, from offset: UInt64, _ listing: FuseListing) {
    guard let place = state.withLock({ $0.inodes.place(inode) }) else {
      return listing.request.fail(.notFound)
    }
    work(listing.request) { [self] in
      let children = try children(of: place, handle)
      try add(children, from: offset, of: place, inode, to: listing)
      listing.finish()
    }
  }

  private func children(of place: TreeReader.Place, _ handle: UInt64) throws -> [Range<UInt64>] {
    if let known = state.withLock({ $0.directories[handle] ?? nil }) { return known }
    let children = try tree.children(of: place)
    state.withLock { state in
      if state.directories[handle] != nil { state.directories[handle] = .some(children) }
    }
    return children
  }

  /// Adds entries while there is room: `.` at offset 0, `..`, then the children.
  private func add(
    _ children: [Range<UInt64>], from offset: UInt64, of place: TreeReader.Place, _ inode: UInt64,
    to listing: FuseListing
  ) throws {
    let parent = state.withLock { $0.inodes.parent(inode) }
    for (index, name) in [(UInt64(0), "."), (1, "..")] where offset <= index {
      let number = index == 0 ? inode : parent
      let attributes = FuseAttributes(inode: number, mode: 0o040000)
      guard listing.add(Array(name.utf8), attributes, next: index + 1, isKnown: false) else { return }
    }
    let first = Int(clamping: offset < 2 ? 0 : offset - 2)
    guard first < children.count else { return }
    expect(children[first...])
    for (index, item) in children.enumerated().dropFirst(first) {
      let (name, found): ([UInt8], TreeReader.Found)
      do {
        (name, found) = try tree.child(item, of: place)
      } catch  where index > first {
        // What was found until here is shown; the next call meets the same again.
        return
      }
      let number = InodeTable.number(of: found.entry)
      // The kernel may forget what it is told as soon as it has the answer.
      if listing.withAttributes { state.withLock { $0.inodes.tell(found, in: inode) } }
      let attributes = attributes(found.node, number)
      guard listing.add(name, attributes, next: UInt64(index) + 3, isKnown: listing.withAttributes) else {
        if listing.withAttributes { state.withLock { $0.inodes.forget(number, 1) } }
        return
      }
    }
  }

  /// Has the metadata of the next children loaded, all at once.
  private func expect(_ children: ArraySlice<Range<UInt64>>) {
    for child in children.prefix(Self.expected) {
      let end = min(child.upperBound, child.lowerBound + Self.metadata)
      _ = image.prefetch(child.lowerBound..<end) { _ in }
    }
  }
}
