import CasyncFormat
import CasyncIO
import Synchronization

/// A device, file or directory tree whose content may serve as a source. Opened read-only; what is read from
/// it is hashed before use.
final class Seed: Sendable {
  enum Content: Sendable {
    case file(File)
    /// A tree, of which an archive is made in thought.
    case tree(TreeSeed)
  }

  /// Its place in the request, 0 first.
  let number: Int
  let path: String
  /// What it holds, where somebody knows; the target's digest names its chunks.
  let index: Index?
  let content: Content
  let size: UInt64
  let isDevice: Bool
  private let failure = Mutex<String?>(nil)

  init(_ path: String, number: Int, index: Index?) throws {
    self.number = number
    self.path = path
    self.index = index
    let file = try File.open(path, .nonBlocking)
    let status = try file.status()
    guard status.kind == .regular || status.kind == .blockDevice else {
      throw JobError(.badRequest, "the seed \(path) is no file or block device")
    }
    isDevice = status.kind == .blockDevice
    size = isDevice ? try file.deviceSize() : status.size
    content = .file(file)
  }

  init(_ tree: TreeSeed, number: Int) {
    self.number = number
    path = tree.path
    index = nil
    content = .tree(tree)
    // Nobody knows before it was archived.
    size = .max
    isDevice = false
  }

  /// Opens directories, files and devices.
  /// - Parameter warnings: gets why one cannot be used, which is left out.
  static func open(_ paths: [String], _ warnings: inout [String]) throws -> [Seed] {
    guard paths.count <= ChunkSource.seedLimit else {
      throw JobError(.badRequest, "more than \(ChunkSource.seedLimit) seeds")
    }
    var seeds = [Seed]()
    for path in paths {
      do {
        let isTree = try File.status(path)?.kind == .directory
        seeds.append(
          try isTree
            ? Seed(TreeSeed(path), number: seeds.count) : Seed(path, number: seeds.count, index: nil))
      } catch {
        warnings.append("\(error); going on without this seed")
      }
    }
    return seeds
  }

  /// The file or device; `nil` for a tree.
  var file: File? { if case .file(let file) = content { file } else { nil } }

  /// The tree; `nil` for anything else.
  var tree: TreeSeed? { if case .tree(let tree) = content { tree } else { nil } }

  /// Fills `range` of `buffer` from `offset`.
  /// - Returns: whether it could; a seed that cannot be read costs a fetch, not the job.
  func read(at offset: UInt64, into buffer: Buffer, _ range: Range<Int>) -> Bool {
    do {
      switch content {
      case .file(let file): return try file.read(at: offset, into: buffer, range) == range.count
      case .tree(let tree): return try tree.read(at: offset, into: buffer, range)
      }
    } catch {
      note("\(error)")
      return false
    }
  }

  /// Keeps the first reason why it cannot be used in full.
  func note(_ reason: String) { failure.withLock { $0 = $0 ?? reason } }

  /// The first error of a read, if there was one.
  var firstFailure: String? { failure.withLock { $0 } }
}
