import CasyncArchive
import CasyncFormat
import CasyncIO

/// Regular files of seeds by a digest of all that an archive holds of them: casync's hard-link digest.
struct LinkTable {
  private let features: FeatureFlags
  private let shift: UIDShift
  private var files: [ChunkID: (root: File, path: [UInt8])] = [:]

  init(_ features: FeatureFlags, _ shift: UIDShift) {
    self.features = features
    self.shift = shift
  }

  /// Adds the files of a directory. Blocks.
  mutating func add(_ path: String, _ progress: Progress) throws {
    let source = TreeSource.directory(path: path, options: TreeOptions(features: features, shift: shift))
    var visitor = Collecting(root: try File.open(path, .directory))
    try TreeWalk.run(source, subtree: nil, &visitor, progress)
    files.merge(visitor.files) { first, _ in first }
  }

  /// A file that was the same when it was added.
  func twin(_ digest: ChunkID) -> Twin? {
    files[digest].map { Twin(directory: $0.root, path: $0.path, features: features, shift: shift) }
  }

  private struct Collecting: TreeVisitor {
    let root: File
    var files: [ChunkID: (root: File, path: [UInt8])] = [:]
    private var file: FileDigest?

    init(root: File) { self.root = root }

    mutating func enter(_ item: TreeItem) { file = FileDigest(item.node) }
    mutating func content(_ bytes: RawSpan) { file?.update(bytes) }
    mutating func leave(_ item: TreeItem) {
      guard let digest = file?.finish() else { return }
      file = nil
      files[digest] = (root, item.path)
    }
  }
}

/// The digest of a regular file's records and content.
struct FileDigest {
  private let digest: TreeDigest

  /// `nil` for other nodes.
  init?(_ node: CatarNode) {
    guard case .regular = node.content else { return nil }
    digest = TreeDigest(node.features.digest)
    var records = [UInt8]()
    var encoder = CatarEncoder()
    encoder.begin(nil, node, to: &records)
    digest.update(records.rawSpan)
  }

  func update(_ bytes: RawSpan) { digest.update(bytes) }
  func finish() -> ChunkID { digest.finish() }
}
