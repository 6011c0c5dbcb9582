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
    let directory = try treeDirectory(arguments.operands.count > 1 ? arguments.operands[1] : ".")
    let options = try treeOptions()
    notifyReady()
    guard isIndex else {
      let request = MakeArchiveRequest(directory: directory, archive: output, options: options)
      return try job(request.run) { digest in
        try printDigest(digest, besides: output)
        return 0
      }
    }
    var request = PutRequest(input: directory, index: output, store: try store(beside: operand))
    request.chunker = .buzhash(try ChunkSizes.parse(arguments.value(.chunkSize) ?? "auto"))
    request.digest = options.features.digest
    request.flags = options.features
    try setOptions(of: &request)
    if isVerbose { console.info(ReferenceLines.beforeMake(request)) }
    return try job(MakeTreeRequest(put: request, options: options).run) { summary in
      if isVerbose { console.info(ReferenceLines.afterMake(summary)) }
      try printDigest(summary.printedDigest, besides: output)
      return 0
    }
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
    guard arguments.values(.seed).isEmpty else {
      throw UsageError("--seed for directory trees is not supported yet in this version")
    }
    guard !(arguments.boolean(.hardlink) ?? false) else {
      throw UsageError("--hardlink is not supported yet in this version")
    }
    let directory = try treeDirectory(arguments.operands.count > 1 ? arguments.operands[1] : ".")
    var request = ExtractTreeRequest(
      try treeSource(operand, isIndex ? .archiveIndex : .archive), directory: directory,
      subtree: arguments.operands.count > 2 ? arguments.operands[2] : nil)
    request.options.mask = Features.chosen(by: arguments)
    request.options.shift = try uidShift()
    request.options.delete = arguments.boolean(.delete) ?? true
    request.options.punchHoles = arguments.boolean(.punchHoles) ?? true
    request.options.undoImmutable = arguments.boolean(.undoImmutable) ?? false
    notifyReady()
    return try job(resume: nil, request.run) { holes in
      if isVerbose { console.info("Zero bytes written as sparse files: \(Quantity.short(holes))") }
      return 0
    }
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
