internal import Casync
internal import CasyncArchive
internal import CasyncFormat
internal import CasyncIO
internal import CasyncMount
internal import CasyncStore

/// `casync mount [ARCHIVE|ARCHIVE_INDEX] PATH`: an archive as a file system, fetched while it is read.
extension Session {
  func mountTree() throws -> Int32 {
    let source = arguments.operands.count > 1 ? arguments.operands[0] : "-"
    let isIndex = try isMountedIndex(source)
    var options = TreeMount.Options(
      path: try Locator(arguments.operands[arguments.operands.count - 1]).localPath("directory"),
      source: Self.mountName(source))
    options.makesDirectory = arguments.boolean(.mkdir) ?? true
    options.shift = try uidShift()
    options.mountOptions = arguments.values(.mountOptions).flatMap {
      $0.split(separator: ",").map(String.init)
    }

    let cancellation = Cancellation()
    let watch = Watch(cancellation, every: .seconds(3600)) {}
    defer { _ = watch.stop() }
    let console = console
    if arguments.has(.seed), !isIndex { console.warning("an archive needs no seeds, --seed is ignored") }
    let memory = arguments.value(.memory).flatMap(Quantity.size) ?? Self.defaultMemory
    var reader: ImageReader?
    try ChunkSupply.with(
      memory: Int(clamping: memory), loads: try loads(of: isIndex ? [source] : []),
      retry: try retry(), report: { console.warning($0) }
    ) { supply in
      let archive = try archiveReader(source, isIndex: isIndex, cancellation, supply)
      reader = archive
      let mount = try TreeMount(archive, options)
      let wasInUse = try mount.run(cancellation, report: { console.warning($0) }) {
        try print("Mounted: \(options.path)\n")
        if let line = ReferenceLines.notExposed(mount.hiddenFeatures) { console.info(line) }
        try sayReady()
      }
      if wasInUse { console.warning("\(options.path) is still in use: who uses it gets errors from now on") }
    }
    try reader?.close()
    return 0
  }

  private func isMountedIndex(_ source: String) throws -> Bool {
    switch arguments.value(.what).flatMap(Kind.init) ?? Kind(suffixOf: Locator(source)) {
    case .archiveIndex: return true
    case .archive, nil: return false
    default:
      throw UsageError(
        "\"mount\" operation may only be combined with --what=archive and --what=archive-index.")
    }
  }

  private func archiveReader(
    _ source: String, isIndex: Bool, _ cancellation: Cancellation, _ supply: ChunkSupply
  ) throws -> ImageReader {
    let locator = Locator(source)
    guard isIndex else {
      let path = try locator.localPath("archive")
      // What standard input is open on, if that is a file.
      return try ImageReader(file: path == "-" ? "/dev/stdin" : path, number: 0, supply)
    }
    return try ImageReader(
      index: locator.location("index"), stores: stores(beside: source),
      cache: arguments.value(.cache).map(Self.directoryPath),
      seeds: arguments.values(.seed), shift: try uidShift(), deviceConnection(), cancellation: cancellation,
      supply)
  }

  /// What `/proc/mounts` calls an archive: as it was named, secrets left out.
  private static func mountName(_ source: String) -> String {
    switch Locator(source) {
    case .standardStream: "casync"
    case .url(let url): Stores.name(url)
    case .ssh, .path: source
    }
  }
}
