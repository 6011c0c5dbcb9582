internal import Casync
internal import CasyncFormat
internal import CasyncIO

extension Session {
  /// `casync digest [FILE]`.
  func digest() throws -> Int32 {
    let operand = arguments.operands.first ?? "."
    let input = Locator(operand)
    let isDirectory = try fileKind(operand) == .directory
    let kind =
      arguments.value(.what).flatMap(Kind.init)
      ?? (isDirectory
        ? .directory : Kind(suffixOf: input) ?? (arguments.operands.count > 1 ? .archive : .blob))
    guard kind == .blob || kind == .blobIndex else {
      guard arguments.operands.count < 2 || kind != .directory else {
        throw UsageError("Subtree path only supported when digesting archive or archive index.")
      }
      return try digestTree(operand, kind)
    }
    guard arguments.operands.count <= 1 else {
      throw UsageError("Subtree path only supported when digesting archive or archive index.")
    }
    let isIndex = kind == .blobIndex
    var request = DigestRequest(
      input: try isIndex ? input.location("index") : input.localPath("input"), isIndex: isIndex,
      stores: isIndex ? try stores(beside: operand) : [])
    request.digest = digestAlgorithm ?? .sha512_256
    request.connection = try connection()
    notifyReady()
    return try job(request.run) { digest in
      try isJSON ? print(.object(["digest": .string(digest.hex)])) : print(digest.hex + "\n")
      return 0
    }
  }

  /// `casync verify INDEX TARGET`.
  func verify() throws -> Int32 {
    if let kind = treeKind(arguments.operands[0]) { return try compareTree(kind) }
    var request = VerifyRequest(index: try indexLocation(), target: try dataPath(1, "target"))
    request.connection = try connection()
    request.workers = arguments.count(.workers)
    return try job(request.run) { summary in
      if isJSON {
        try print(summary.json)
      } else {
        try print(summary.lines)
        console.info(summary.conclusion)
      }
      return summary.isIdentical ? 0 : 1
    }
  }

  /// `casync diff OLD NEW`.
  func diff() throws -> Int32 {
    if let kind = treeKind(arguments.operands[0]) { return try compareTree(kind) }
    let isStored = arguments.has(.store) || arguments.has(.extraStore) || environment["CASYNC_STORE"] != nil
    var request = DiffRequest(
      old: try indexLocation(0), new: try indexLocation(1),
      stores: isStored ? try stores(beside: arguments.operands[1]) : [])
    request.connection = try connection()
    return try job(request.run) { summary in
      try isJSON ? print(summary.json) : print(summary.table + "\n")
      return 0
    }
  }

  /// `casync info INDEX`.
  func info() throws -> Int32 {
    let summary = try IndexSummary(path: try indexLocation(), connection: try connection())
    try isJSON ? print(summary.json) : print(summary.lines)
    return 0
  }

  /// `casync list-chunks INDEX`: piece by piece, since an index may be larger than what fits a text.
  func listChunks() throws -> Int32 {
    let index = try IndexSummary(path: try indexLocation(), connection: try connection()).index
    var text = ""
    for position in 0..<index.count {
      let id = index.id(of: position).hex
      if isJSON {
        let chunk: JSON = .object([
          "id": .string(id), "offset": .integer(index.start(of: position)),
          "length": .count(index.length(of: position)),
        ])
        text += chunk.text + "\n"
      } else {
        text += id + "\n"
      }
      if text.utf8.count >= 64 << 10 {
        try print(text)
        text = ""
      }
    }
    try print(text)
    return 0
  }

  /// `casync gc INDEX...`.
  func collect() throws -> Int32 {
    guard let first = arguments.operands.first else {
      throw UsageError("Expected at least one argument.", hint: "name every index whose chunks must stay")
    }
    let indexes = try arguments.operands.map { try Locator($0).location("index") }
    var request = CollectionRequest(indexes: indexes, store: try store(beside: first))
    request.connection = try connection()
    request.dryRun = arguments.has(.dryRun)
    request.grace = arguments.value(.grace).flatMap(Quantity.time)
    return try job(request.run) { summary in
      summary.warnings.forEach(console.warning)
      if isJSON {
        try print(summary.json(dryRun: request.dryRun))
      } else {
        try print(ReferenceLines.afterCollection(summary, dryRun: request.dryRun, verbose: isVerbose))
      }
      return 0
    }
  }

  /// `casync check [--repair] [STORE]`.
  func check() throws -> Int32 {
    guard let store = arguments.operands.first ?? arguments.value(.store) ?? environment["CASYNC_STORE"]
    else {
      throw UsageError("check takes a store", hint: "write casync check DIR.castr")
    }
    var request = CheckRequest(store: try Self.storeLocation(store))
    request.repair = arguments.has(.repair)
    request.connection = try connection()
    request.workers = arguments.count(.workers)
    return try job(request.run) { summary in
      if isJSON {
        try print(summary.json)
      } else {
        try print(summary.lines)
        console.info("\(summary.chunks) chunks, \(Quantity.bytes(summary.bytes)), \(summary.bad.count) bad")
      }
      return summary.bad.isEmpty ? 0 : 1
    }
  }
}
