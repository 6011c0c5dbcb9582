internal import Casync
internal import CasyncArchive
internal import CasyncFormat
internal import CasyncIO
internal import CasyncStore

// list, mtree, stat and digest of trees.

extension Session {
  /// `casync list|mtree|stat [ARCHIVE|ARCHIVE_INDEX|DIRECTORY] [SUBTREE]`.
  func listTree(_ style: ListRequest.Style) throws -> Int32 {
    let operand = arguments.operands.first ?? "."
    let kind = try listKind(operand)
    let subtree = arguments.operands.count > 1 ? arguments.operands[1] : nil
    guard subtree == nil || kind != .directory else {
      throw UsageError("Subtree path only supported when listing archive or archive index.")
    }
    var request = ListRequest(try treeSource(operand, kind), style: style, subtree: subtree)
    request.isRecursive = arguments.boolean(.recursive) ?? true
    request.digestName = digestAlgorithm ?? .sha512_256
    notifyReady()
    return try job({ progress in try request.run(progress, print: print) }, report: { 0 })
  }

  private func listKind(_ operand: String) throws -> Kind {
    let isDirectory = try fileKind(operand) == .directory
    switch arguments.value(.what).flatMap(Kind.init) ?? Kind(suffixOf: Locator(operand)) {
    case let kind? where kind == .archive || kind == .archiveIndex:
      guard !isDirectory else { break }
      return kind
    case .directory?:
      guard isDirectory else { break }
      return .directory
    case nil where isDirectory: return .directory
    case nil where operand == "-": return .archive
    default: break
    }
    throw UsageError("Input should be a directory, .catar or .caidx file. Refusing.")
  }

  /// Where the bytes of an archive come from.
  func treeSource(_ operand: String, _ kind: Kind) throws -> TreeSource {
    let locator = Locator(operand)
    switch kind {
    case .directory: return .directory(path: try treeDirectory(operand), options: try treeOptions())
    case .archiveIndex:
      return .index(
        path: try locator.location("index"), stores: try stores(beside: operand), try connection())
    default:
      let location = try locator.location("archive")
      return Location(location).isRemote
        ? .remoteArchive(url: location, try connection()) : .archive(path: location)
    }
  }

  /// `digest` of a tree.
  func digestTree(_ operand: String, _ kind: Kind) throws -> Int32 {
    let subtree = arguments.operands.count > 1 ? arguments.operands[1] : nil
    let request = TreeDigestRequest(try treeSource(operand, kind), subtree: subtree)
    notifyReady()
    return try job(request.run) { digest in
      try isJSON ? print(.object(["digest": .string(digest.hex)])) : print(digest.hex + "\n")
      return 0
    }
  }

  // MARK: Comparing

  /// Whether an operand is an archive or the index of one; `nil` for anything else.
  func treeKind(_ operand: String) -> Kind? {
    let kind = arguments.value(.what).flatMap(Kind.init) ?? Kind(suffixOf: Locator(operand))
    return kind == .archive || kind == .archiveIndex ? kind : nil
  }

  /// `casync verify|diff ARCHIVE|INDEX DIRECTORY`.
  func compareTree(_ kind: Kind) throws -> Int32 {
    let directory = try treeDirectory(arguments.operands[1])
    var request = CompareTreeRequest(try treeSource(arguments.operands[0], kind), directory: directory)
    request.mask = Features.chosen(by: arguments)
    request.shift = try uidShift()
    return try job(
      { progress in
        try request.run(progress) { difference in
          let (path, what) = (difference.escapedPath, difference.what)
          let json: JSON = .object([
            "path": .string(path), "what": .string(what), "expected": .string(difference.expected),
            "found": .string(difference.found),
          ])
          try print(
            isJSON ? json.text + "\n" : "\(path)\t\(what)\t\(difference.expected)\t\(difference.found)\n")
        }
      },
      report: { nodes, differences in
        let verdict = differences == 0 ? "no difference" : "\(differences) differences"
        console.info("\(nodes) files and directories, \(verdict)")
        return differences == 0 ? 0 : 1
      })
  }
}
