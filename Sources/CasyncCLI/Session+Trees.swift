internal import Casync
internal import CasyncArchive
internal import CasyncFormat
internal import CasyncIO

// Directory trees: what the options say of an archive, and `make` of one.

extension Session {
  /// `casync make [ARCHIVE|ARCHIVE_INDEX] [DIRECTORY]`.
  func makeTree(isIndex: Bool) throws -> Int32 {
    let operand = arguments.operand(0)
    let output = try isIndex ? Locator(operand).location("index") : Locator(operand).localPath("archive")
    let source = try madeSource()
    notifyReady()
    guard isIndex else {
      let request = MakeArchiveRequest(source: source, archive: output)
      return try job(request.run) { digest in
        try printDigest(digest, besides: output)
        return 0
      }
    }
    var request = PutRequest(input: operand, index: output, store: try store(beside: operand))
    request.chunker = .buzhash(try ChunkSizes.parse(arguments.value(.chunkSize) ?? "auto"))
    request.digest = digestAlgorithm ?? .sha512_256
    request.flags = try treeOptions().features
    try setOptions(of: &request)
    if isVerbose { console.info(ReferenceLines.beforeMake(request)) }
    return try job(MakeTreeRequest(put: request, source: source).run) { summary in
      if isVerbose { console.info(ReferenceLines.afterMake(summary)) }
      try printDigest(summary.printedDigest, besides: output)
      return 0
    }
  }

  /// What an archive is made of.
  private func madeSource() throws -> TreeSource {
    let options = try treeOptions()
    guard let tar = arguments.value(.fromTar) else {
      let directory = try treeDirectory(arguments.operands.count > 1 ? arguments.operands[1] : ".")
      return .directory(path: directory, options: options)
    }
    guard arguments.operands.count < 2 else {
      throw UsageError(
        "make --from-tar takes no directory", hint: "write casync make --from-tar=FILE ARCHIVE")
    }
    let path = try Locator(tar).localPath("tar archive")
    return .tar(path: path, options: options, temporary: environment.temporaryDirectory)
  }

  /// A directory that is archived.
  func treeDirectory(_ operand: String) throws -> String {
    let path = try Locator(operand).localPath("directory")
    guard path != "-", try File.status(path)?.kind ?? .directory == .directory else {
      let isInput = arguments.verb != .extract
      throw UsageError(
        isInput
          ? "Input is a file or device, but a directory is needed to make an archive. Refusing."
          : "Output is a file or device, but attempted to extract an archive. Refusing.")
    }
    return path
  }

  /// `casync extract [ARCHIVE|ARCHIVE_INDEX] [DIRECTORY] [SUBTREE]`.
  func extractTree(isIndex: Bool) throws -> Int32 {
    let operand = arguments.operand(0)
    let directory = try treeDirectory(arguments.operands.count > 1 ? arguments.operands[1] : ".")
    var request = ExtractTreeRequest(
      try treeSource(operand, isIndex ? .archiveIndex : .archive), directory: directory,
      subtree: arguments.operands.count > 2 ? arguments.operands[2] : nil)
    request.options.mask = Features.chosen(by: arguments)
    request.options.shift = try uidShift()
    request.options.delete = arguments.boolean(.delete) ?? true
    request.options.punchHoles = arguments.boolean(.punchHoles) ?? true
    request.options.undoImmutable = arguments.boolean(.undoImmutable) ?? false
    request.seeds = arguments.values(.seed)
    request.useTarget = arguments.boolean(.seedOutput) ?? true
    request.reflink = arguments.boolean(.reflink) ?? true
    request.hardlink = arguments.boolean(.hardlink) ?? false
    request.workers = arguments.count(.workers)
    notifyReady()
    return try job(resume: nil, request.run) { summary in
      summary.warnings.forEach(console.warning)
      if isVerbose { console.info(ReferenceLines.afterExtract(summary)) }
      return 0
    }
  }

  /// `casync extract --to-tar=FILE [ARCHIVE|ARCHIVE_INDEX] [SUBTREE]`.
  func extractTar(_ tar: String) throws -> Int32 {
    let operand = arguments.operand(0)
    guard arguments.operands.count < 3, let kind = treeKind(operand) ?? (operand == "-" ? .archive : nil)
    else {
      throw UsageError(
        "extract --to-tar takes an archive or its index", hint: "write casync extract --to-tar=FILE ARCHIVE")
    }
    var request = TarRequest(
      try treeSource(operand, kind), tar: try Locator(tar).localPath("tar archive"),
      subtree: arguments.operands.count > 1 ? arguments.operands[1] : nil)
    request.mask = Features.chosen(by: arguments)
    request.shift = try uidShift()
    notifyReady()
    return try job(request.run) { sockets in
      if sockets > 0 { console.warning("\(sockets) sockets were left out: tar has none") }
      return 0
    }
  }

  /// `casync clone DIRECTORY DIRECTORY2`.
  func cloneTree() throws -> Int32 {
    let paths = try arguments.operands.map(treeDirectory)
    var features = Features.chosen(by: arguments)
    // An exact copy leaves nothing out that nobody asked to leave out.
    if arguments.boolean(.excludeNodump) ?? false { features.insert(.excludeNodump) }
    if arguments.boolean(.excludeSubmounts) ?? false { features.insert(.excludeSubmounts) }
    if arguments.boolean(.excludeFile) ?? false { features.insert(.excludeFile) }
    var request = CloneTreeRequest(
      source: paths[0], directory: paths[1], tree: TreeOptions(features: features))
    request.options.delete = arguments.boolean(.delete) ?? true
    request.options.undoImmutable = arguments.boolean(.undoImmutable) ?? false
    request.workers = arguments.count(.workers)
    return try job(resume: "the same command completes it", request.run) { 0 }
  }

  // MARK: Options

  /// What of a tree is archived.
  func treeOptions() throws -> TreeOptions {
    TreeOptions(
      features: Features.archive(for: arguments, digest: digestAlgorithm ?? .sha512_256),
      shift: try uidShift())
  }

  /// casync's `--uid-shift=` and `--uid-range=`: each a number, or a boolean that switches shifting.
  func uidShift() throws -> UIDShift {
    var isOn = false
    var shift: UInt32 = 0
    var range: UInt64 = 65536
    for (name, value) in arguments.options where name == .uidShift || name == .uidRange {
      if let number = UInt64(value) {
        isOn = true
        if name == .uidShift, let number = UInt32(exactly: number) {
          shift = number
        } else if name == .uidRange, 1...(1 << 32) ~= number {
          range = number
        } else {
          throw UsageError("--\(name.rawValue)=\(value): out of range")
        }
      } else if let boolean = Quantity.boolean(value) {
        isOn = boolean
      } else {
        throw UsageError("--\(name.rawValue)=\(value): neither a number nor yes or no")
      }
    }
    // A range of 2^32 leaves every number as it is.
    return isOn ? UIDShift(shift: shift, range: UInt32(truncatingIfNeeded: range)) : .none
  }
}

extension Features {
  /// The features that `--with=` and `--without=` leave: all where nothing is said.
  static func chosen(by arguments: Arguments) -> FeatureFlags {
    func union(_ name: Option.Name) -> UInt64 { arguments.values(name).compactMap(value).reduce(0, |) }
    let start = arguments.has(.with) ? union(.with) : FeatureFlags.allFeatures.rawValue
    return FeatureFlags(rawValue: start & ~union(.without))
  }

  /// The flags of an archive that the options ask for.
  static func archive(for arguments: Arguments, digest: DigestAlgorithm) -> FeatureFlags {
    var flags = chosen(by: arguments)
    flags.formUnion(Features.flags(for: arguments, digest: digest).intersection(.archiveWide))
    return flags.normalized
  }
}
