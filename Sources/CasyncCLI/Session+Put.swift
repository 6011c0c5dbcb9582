internal import Casync
internal import CasyncChunking
internal import CasyncFormat
internal import CasyncIO

extension Session {
  /// `casync put INDEX INPUT`: an image into a store, with our defaults.
  func put() throws -> Int32 {
    if arguments.has(.base) || arguments.has(.overlay) { return try putOverlay() }
    guard arguments.operands.count == 2 else {
      throw UsageError("put takes INDEX.caibx INPUT", hint: "'casync help put' says what they are")
    }
    let index = try indexLocation()
    var request = PutRequest(
      input: try dataPath(1, "input"), index: index, store: try store(beside: arguments.operands[0]))
    // Of an archive chunks, digest and flags are those that make would give it.
    let isArchive = Kind(suffixOf: Locator(arguments.operands[0])) == .archiveIndex
    request.chunker =
      isArchive ? .buzhash(try ChunkSizes.parse(arguments.value(.chunkSize) ?? "auto")) : try chunker()
    request.digest = digestAlgorithm ?? .sha256
    request.extent = try extent()
    request.digestsImage = arguments.has(.imageDigest)
    try setOptions(of: &request)
    return try report(index, isArchive ? PutArchiveRequest(put: request).run : request.run)
  }

  /// `casync put --base=INDEX --overlay=FILE INDEX`: what clients of mkdev made of an image.
  private func putOverlay() throws -> Int32 {
    guard let base = arguments.value(.base), let overlay = arguments.value(.overlay) else {
      throw UsageError("--base= and --overlay= belong together")
    }
    guard arguments.operands.count == 1 else { throw UsageError("with --overlay= put takes no INPUT") }
    for option in [Option.Name.chunker, .chunkSize, .digest, .size, .imageDigest] where arguments.has(option)
    {
      throw UsageError("--\(option.rawValue) does not go with --base=, which says how the image is cut")
    }
    let location = Locator(base)
    guard location != .standardStream else { throw UsageError("--base= is read twice: name a file or URL") }
    let index = try indexLocation()
    var put = PutRequest(input: "", index: index, store: try store(beside: arguments.operands[0]))
    try setOptions(of: &put)
    let request = PutOverlayRequest(put, base: try location.location("index"), overlay: overlay)
    return try report(index, request.run)
  }

  private func report(_ index: String, _ run: (Progress) throws -> PutSummary) throws -> Int32 {
    try job(
      resume: "the chunks stored so far are kept; the same command goes on from there", run
    ) { summary in
      if isJSON {
        // The index on standard output leaves no room for anything else there.
        index == "-" ? Console.write(summary.json.text + "\n") : try print(summary.json)
      } else {
        try printDigest(summary.printedDigest, besides: index)
        console.info(summary.table)
      }
      return 0
    }
  }

  /// `casync make [INDEX] [INPUT]`: the same, as casync 2 does it.
  func make() throws -> Int32 {
    let output = Locator(arguments.operand(0))
    let kind = try makeKind(output)
    guard !arguments.has(.cache), !arguments.has(.cacheAuto) else {
      guard kind == .blobIndex else { throw UsageError("--cache is not supported yet in this version") }
      throw UsageError("Caching only supported when archiving files trees.")
    }
    if kind != .blobIndex { return try makeTree(isIndex: kind == .archiveIndex) }
    let index = try output.location("index")
    let input = try Locator(arguments.operand(1)).localPath("input")
    var request = PutRequest(input: input, index: index, store: try store(beside: arguments.operand(0)))
    request.chunker = .buzhash(try ChunkSizes.parse(arguments.value(.chunkSize) ?? "auto"))
    request.digest = digestAlgorithm ?? .sha512_256
    request.extent = try fileKind(arguments.operand(1)) == .blockDevice ? .fileSystem : .whole
    request.flags = Features.flags(for: arguments, digest: request.digest)
    request.digestsImage = true
    try setOptions(of: &request)
    notifyReady()
    if isVerbose { console.info(ReferenceLines.beforeMake(request)) }
    return try job(request.run) { summary in
      if isVerbose { console.info(ReferenceLines.afterMake(summary)) }
      try printDigest(summary.printedDigest, besides: index)
      return 0
    }
  }

  /// The digest goes to standard output unless what was made is there.
  func printDigest(_ digest: ChunkID, besides output: String) throws {
    output == "-" ? Console.write(digest.hex + "\n") : try print(digest.hex + "\n")
  }

  /// What `make` is to make; refuses what it cannot.
  private func makeKind(_ output: Locator) throws -> Kind {
    guard arguments.operands.count <= 2 else {
      throw UsageError("A pair of output and input path/URL expected.")
    }
    let named = arguments.value(.what).flatMap(Kind.init) ?? Kind(suffixOf: output)
    let isTree = named == .archive || named == .archiveIndex
    // Of archives a directory that is not named is the present one, of blobs standard input.
    let input = isTree && arguments.operands.count < 2 ? "." : arguments.operand(1)
    guard isTree || !arguments.has(.fromTar) else {
      throw UsageError("make --from-tar makes a .catar or .caidx", hint: Kind.suffixes)
    }
    let inputKind = try fileKind(input)
    switch named ?? (output == .standardStream && inputKind == .directory ? .archive : nil) {
    case .archive?: return .archive
    case .archiveIndex?: return .archiveIndex
    case .blob?, .directory?:
      throw Kind.mismatch(.make)
    case .blobIndex?:
      guard inputKind != .directory else {
        throw UsageError("Input is a directory, but attempted to make blob index. Refusing.")
      }
    case nil:
      guard output == .standardStream else {
        throw UsageError("File to create does not have valid suffix, refusing. \(Kind.suffixes)")
      }
    }
    return .blobIndex
  }

  /// What kind of file an operand names; `nil` when there is none, or it is not local.
  func fileKind(_ operand: String) throws -> File.Kind? {
    switch Locator(operand) {
    case .standardStream: try File.standardInput.status().kind
    case .path(let path): try File.status(path)?.kind
    case .url, .ssh: nil
    }
  }

  // MARK: Options

  private func chunker() throws -> Chunker {
    let size = arguments.value(.chunkSize)
    guard arguments.value(.chunker) != "buzhash" else {
      return .buzhash(try ChunkSizes.parse(size ?? "auto"))
    }
    guard let size, size != "auto" else { return .imageDefault }
    guard let average = Quantity.size(size).flatMap({ Int(exactly: $0) }),
      let chunker = Chunker.image(checking: average)
    else {
      throw UsageError(
        "--chunk-size=\(size): the image chunker takes a multiple of 8K from 16K to 1M",
        hint: "--chunker=buzhash takes MIN:AVG:MAX")
    }
    return chunker
  }

  private func extent() throws -> PutRequest.Extent {
    switch arguments.value(.size) {
    case nil: return .whole
    case "filesystem": return .fileSystem
    case let text?:
      guard let size = Quantity.size(text), size > 0 else {
        throw UsageError("--size=\(text): neither a size in bytes nor 'filesystem'")
      }
      return .bytes(size)
    }
  }

  func setOptions(of request: inout PutRequest) throws {
    request.compression = arguments.value(.compression).flatMap(Compression.init) ?? .zstd
    if let level = arguments.value(.compressionLevel) {
      let levels = request.compression.levels
      guard let number = Int(level), levels.contains(number) else {
        let name = request.compression.rawValue
        throw UsageError(
          "--compression-level=\(level): \(name) has levels from \(levels.lowerBound) to \(levels.upperBound)"
        )
      }
      request.compressionLevel = number
    }
    request.workers = arguments.count(.workers)
    request.connection = try connection()
  }
}

extension PutSummary {
  /// The digest of the image if it was made, else that of the index.
  var printedDigest: ChunkID { imageDigest ?? indexDigest }
}

extension ChunkSizes {
  /// casync's `--chunk-size=`: `auto`, an average, or `MIN:AVG:MAX`.
  static func parse(_ text: String) throws -> ChunkSizes {
    if text == "auto" { return .standard }
    let sizes = text.split(separator: ":", omittingEmptySubsequences: false).map {
      Quantity.size(String($0)).flatMap { Int(exactly: $0) }
    }
    let parsed: ChunkSizes? =
      switch sizes.count {
      case 1: sizes[0].flatMap { ChunkSizes(average: $0) }
      case 3:
        if let min = sizes[0], let average = sizes[1], let max = sizes[2] {
          ChunkSizes(min: min, average: average, max: max)
        } else {
          nil
        }
      default: nil
      }
    guard let parsed else {
      throw UsageError(
        "--chunk-size=\(text): neither auto nor an average nor MIN:AVG:MAX",
        hint: "sizes are from 1 to 128M, in rising order")
    }
    return parsed
  }
}
