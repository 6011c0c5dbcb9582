internal import Casync
internal import CasyncIO

extension Session {
  /// `casync get INDEX TARGET`: an image onto a device or into a file.
  func get() throws -> Int32 {
    var request = GetRequest(
      index: try indexLocation(), target: try dataPath(1, "target"),
      stores: try stores(beside: arguments.operands[0]))
    request.seeds = try seeds()
    if let (path, limit) = try cache() { (request.cache, request.cacheLimit) = (path, limit) }
    request.partition = arguments.count(.partition)
    request.inPlace = arguments.has(.inPlace)
    try setOptions(of: &request)
    return try job(request.run) { summary in
      summary.warnings.forEach(console.warning)
      if !isJSON {
        console.info(summary.table)
      } else if request.target == "-" {
        // The image on standard output leaves no room for anything else there.
        Console.write(summary.json.text + "\n")
      } else {
        try print(summary.json)
      }
      return 0
    }
  }

  /// `casync extract [INDEX] [TARGET]`: the same, as casync 2 does it.
  func extract() throws -> Int32 {
    if let tar = arguments.value(.toTar) { return try extractTar(tar) }
    let input = Locator(arguments.operand(0))
    let target = try Locator(arguments.operand(1)).localPath("target")
    let (kind, exists) = try extractKind(input, target)
    if kind != .blobIndex { return try extractTree(isIndex: kind == .archiveIndex) }
    var request = GetRequest(
      index: try input.location("index"), target: target,
      stores: try extractStores(beside: arguments.operand(0)))
    request.seeds = arguments.values(.seed).map { GetRequest.Seed(path: $0) }
    request.inPlace = exists
    request.ignoreMissingSeeds = true
    try setOptions(of: &request)
    notifyReady()
    return try job(request.run) { summary in
      summary.warnings.forEach(console.warning)
      if isVerbose { console.info(ReferenceLines.afterExtract(summary)) }
      return 0
    }
  }

  /// What `extract` is to read, and whether the target exists; refuses what it cannot.
  private func extractKind(_ input: Locator, _ target: String) throws -> (Kind, exists: Bool) {
    let kind = target == "-" ? nil : try File.status(target)?.kind
    switch arguments.value(.what).flatMap(Kind.init) ?? Kind(suffixOf: input) {
    case .blob, .directory:
      throw Kind.mismatch(.extract)
    case .archive: return (.archive, kind != nil)
    case .archiveIndex: return (.archiveIndex, kind != nil)
    case .blobIndex:
      guard kind != .directory else {
        throw UsageError("Output is a directory, but attempted to extract blob index. Refusing.")
      }
    case nil:
      guard input == .standardStream else {
        throw UsageError("File to read from does not have valid suffix, refusing. \(Kind.suffixes)")
      }
      if kind == .directory { return (.archiveIndex, true) }
    }
    guard arguments.operands.count <= 2 else {
      throw UsageError("Subtree path only supported when extracting archive or archive index.")
    }
    return (.blobIndex, kind != nil)
  }

  /// casync has one primary store: of several `--store` the last.
  private func extractStores(beside index: String) throws -> [String] {
    try [store(beside: index)] + arguments.values(.extraStore).map(Self.storeLocation)
  }

  private func setOptions(of request: inout GetRequest) throws {
    request.connection = try connection()
    request.useTarget = arguments.boolean(.seedOutput) ?? true
    request.reflink = arguments.boolean(.reflink) ?? true
    request.verify = !arguments.has(.noVerify)
    request.force = arguments.has(.force)
    request.workers = arguments.count(.workers)
    if let directory = arguments.value(.stateDir) {
      request.stateDirectory = directory == "none" ? nil : directory
    }
  }

  /// Each `--seed` with the `--seed-index` that follows it.
  private func seeds() throws -> [GetRequest.Seed] {
    var seeds = [GetRequest.Seed]()
    for (name, value) in arguments.options {
      if name == .seed {
        seeds.append(GetRequest.Seed(path: value))
      } else if name == .seedIndex {
        guard let last = seeds.indices.last, seeds[last].index == nil else {
          throw UsageError(
            "--seed-index=\(value) has no --seed before it", hint: "write --seed=PATH --seed-index=FILE")
        }
        seeds[last].index = try Locator(value).location("index")
      }
    }
    return seeds
  }
}
