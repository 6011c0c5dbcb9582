internal import CLinux
internal import Casync
internal import CasyncIO
internal import CasyncMount
internal import CasyncStore
internal import Glibc

/// `casync mkdev INDEX... [NODE]`: images as block devices, fetched while they are read.
extension Session {
  /// Memory for chunks, unless `--memory=` says otherwise.
  static let defaultMemory: UInt64 = 64 << 20
  /// Chunks loaded at one time from servers, which are waited for, unless `--workers=` says otherwise.
  private static let defaultLoads = 16
  /// How long stores that do not answer are asked again, unless `--retry=` says otherwise, and at most.
  private static let defaultRetry = Duration.seconds(30)
  private static let longestRetry = Duration.seconds(3600)

  /// An operand of mkdev and the name under which it is served.
  private struct Image {
    let operand: String
    let name: String
    let isIndex: Bool
  }

  func makeDevice() throws -> Int32 {
    if arguments.has(.detach) { return try detachDevice() }
    let (operands, node) = try operands()
    let images = try images(operands)
    let name = try deviceName(node, of: images.map(\.operand))
    // Threads inherit it.
    if name != nil { DeviceBacking.prepare() }
    let memory = arguments.value(.memory).flatMap(Quantity.size) ?? Self.defaultMemory
    let keeping = try keeping(of: images)
    let cancellation = Cancellation()
    let watch = Watch(cancellation, every: .seconds(3600)) {}
    defer { _ = watch.stop() }
    let console = console
    var disks = [Disk]()
    let summary = try ChunkSupply.with(
      memory: Int(clamping: memory), loads: try loads(of: images.filter(\.isIndex).map(\.operand)),
      retry: try retry(), report: { console.warning($0) }
    ) { supply in
      let exports = try images.enumerated().map { number, image in
        let disk = try disk(image, number: number, of: images.count, keeping, cancellation, supply)
        disks.append(disk)
        return NBDServer.Export(
          name: image.name, description: FileSystem.name(of: image.operand), disk: disk)
      }
      let listeners = try listeners()
      let tls = try encryption()
      for listener in listeners { try print("Listening: \(Self.uri(of: listener.address, tls))\n") }
      if let name {
        let identifier = try identifier(images[0], disks[0].image)
        try attach(exports, listeners, tls, as: name, identifier: identifier, until: cancellation)
        return supply.summary
      }
      let server =
        try listeners.isEmpty ? nil : NBDServer(exports: exports, listeners: listeners, tls: tls)
      let files = try mountFiles(exports.map(\.disk.image))
      try sayReady()
      try serving(files, cancellation) { try server?.run(cancellation) }
      return supply.summary
    }
    for disk in disks { try disk.close() }
    isJSON ? try print(summary.json) : console.info(summary.line)
    return 0
  }

  // MARK: Images

  /// The images, and casync's NODE if the last operand is one.
  private func operands() throws -> (images: [String], node: String?) {
    guard let last = arguments.operands.last else { return (["-"], nil) }
    guard arguments.operands.count > 1, try isNode(last) else { return (arguments.operands, nil) }
    return (arguments.operands.dropLast(), last)
  }

  private func images(_ operands: [String]) throws -> [Image] {
    var images = [Image]()
    for operand in operands {
      let file = FileSystem.name(of: operand)
      let name = file.hasSuffix(".caibx") ? String(file.dropLast(6)) : file
      images.append(
        Image(operand: operand, name: operands.count == 1 ? "" : name, isIndex: try isIndex(operand)))
    }
    for (position, image) in images.enumerated()
    where images[..<position].contains(where: { $0.name == image.name }) {
      throw UsageError("two images would be served under the name \(image.name)")
    }
    return images
  }

  /// Whether an operand after the first is casync's NODE, and no further image: it lies below /dev, or there
  /// is nothing, or a link to a device, where it points.
  private func isNode(_ operand: String) throws -> Bool {
    let locator = Locator(operand)
    if operand.hasPrefix("/dev/") { return true }
    guard case .path(let path) = locator, !locator.hasSuffix(".caibx") else { return false }
    let isLinkToDevice = FileSystem.link(path)?.hasPrefix("/dev/nbd") ?? false
    return try isLinkToDevice || File.status(path) == nil
  }

  private func isIndex(_ operand: String) throws -> Bool {
    let locator = Locator(operand)
    switch arguments.value(.what).flatMap(Kind.init) ?? Kind(suffixOf: locator) {
    case .blobIndex: return true
    case .archive, .archiveIndex, .directory:
      throw UsageError(
        "\"mkdev\" operation may only be combined with --what=blob or --what=blob-index.")
    case .blob:
      guard locator != .standardStream else {
        throw UsageError("mkdev takes an index from standard input, but no raw image")
      }
      return false
    case nil: return locator == .standardStream
    }
  }

  /// The local files of the one image that has any.
  private func keeping(of images: [Image]) throws -> ImageReader.Keeping {
    var keeping = ImageReader.Keeping()
    keeping.cacheFile = arguments.value(.cacheFile)
    keeping.profile = arguments.value(.profile)
    if let word = arguments.value(.prefetch) {
      keeping.prefetch = Prefetch(rawValue: word) ?? .none
    } else if keeping.profile != nil {
      keeping.prefetch = .profile
    }
    for option in [Option.Name.cacheFile, .profile, .prefetch] where arguments.has(option) {
      guard images.count == 1, images[0].isIndex else {
        throw UsageError("--\(option.rawValue)= takes one index, and nothing else")
      }
    }
    return keeping
  }

  /// Chunks of `indexes` loaded at one time. From local stores threads beyond a few only disturb each other.
  func loads(of indexes: [String]) throws -> Int {
    if let count = arguments.count(.workers) { return min(count, 256) }
    let all = try indexes.flatMap { try stores(beside: $0) }
    guard all.allSatisfy({ !Location($0).isRemote }) else { return Self.defaultLoads }
    return max(4, min(2 * WorkerPool<Void>.processorCount, Self.defaultLoads))
  }

  /// How long stores that cannot be reached are asked again.
  func retry() throws -> Duration {
    guard let text = arguments.value(.retry) else { return Self.defaultRetry }
    guard let seconds = Quantity.time(text), seconds <= Self.longestRetry else {
      throw UsageError("--retry=\(text): a time of at most an hour, such as 30s")
    }
    return seconds
  }

  /// A server is asked less often in one go than for other verbs: `--retry=` says when it is given up.
  func deviceConnection() throws -> ConnectionSettings {
    var settings = try connection()
    settings.tries = 3
    settings.firstTries = 3
    settings.connectTimeout = .seconds(5)
    settings.stallTimeout = max(.seconds(1), min(try retry(), .seconds(10)))
    return settings
  }

  private func disk(
    _ image: Image, number: Int, of count: Int, _ keeping: ImageReader.Keeping,
    _ cancellation: Cancellation, _ supply: ChunkSupply
  ) throws -> Disk {
    let reader = try reader(image, number: number, keeping, cancellation, supply)
    guard let path = arguments.value(.overlay) else { return Disk(reader) }
    guard !arguments.has(.fuse) else {
      throw UsageError("--fuse= shows an image as it is: not with --overlay=")
    }
    guard count == 1 else { throw UsageError("--overlay= takes one image, not \(count)") }
    guard let digest = reader.digest else {
      throw UsageError("--overlay= takes an index, which says what it lies over; \(image.operand) is none")
    }
    return Disk(reader, try Overlay(path, size: reader.size, digest: digest))
  }

  /// Who an image is, across restarts.
  private func identifier(_ image: Image, _ reader: ImageReader) throws -> String {
    if let digest = reader.digest { return digest.hex }
    let path = try Locator(image.operand).localPath("image")
    guard let status = try File.status(path) else { return path }
    return "file-\(status.device)-\(status.inode)-\(status.size)-\(status.modified)"
  }

  private func reader(
    _ image: Image, number: Int, _ keeping: ImageReader.Keeping, _ cancellation: Cancellation,
    _ supply: ChunkSupply
  ) throws -> ImageReader {
    let locator = Locator(image.operand)
    guard image.isIndex else {
      return try ImageReader(file: locator.localPath("image"), number: number, supply)
    }
    let cache = try cache()
    return try ImageReader(
      index: locator.location("index"), stores: stores(beside: image.operand),
      cache: cache?.path, cacheLimit: cache?.limit, keeping: keeping, deviceConnection(),
      cancellation: cancellation, supply)
  }

  // MARK: Sockets

  /// The number of sockets that systemd passed to this process (sd_listen_fds(3)).
  private var passedSockets: Int {
    guard let process = environment["LISTEN_PID"].flatMap({ Int32($0) }), process == getpid() else {
      return 0
    }
    return min(max(0, environment["LISTEN_FDS"].flatMap { Int($0) } ?? 0), 64)
  }

  var listensAnywhere: Bool {
    arguments.has(.socket) || arguments.has(.listen) || passedSockets > 0
  }

  func listeners() throws -> [Listener] {
    let passed = try Listener.inherited(count: passedSockets)
    let paths = try arguments.values(.socket).map { try Listener.unix($0) }
    return try passed + paths + arguments.values(.listen).map(Self.tcpListener)
  }

  /// TLS for the sockets, if there are certificates.
  private func encryption() throws -> NBDServer.TLS? {
    guard let directory = arguments.value(.tlsCertificates) else {
      guard !arguments.has(.tls), !arguments.has(.tlsVerifyPeer) else {
        throw UsageError("TLS takes --tls-certs=DIR, with server-cert.pem and server-key.pem")
      }
      return nil
    }
    let identity = try TLSIdentity(directory: directory, verifiesClients: arguments.has(.tlsVerifyPeer))
    return NBDServer.TLS(identity, isRequired: arguments.value(.tls) != "allow")
  }

  private static func tcpListener(_ address: String) throws -> Listener {
    guard let colon = address.lastIndex(of: ":"), let port = UInt16(address[address.index(after: colon)...])
    else {
      throw UsageError(
        "Failed to parse --listen= parameter: \(address)", hint: "write --listen=ADDRESS:PORT")
    }
    var host = address[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    return try Listener.tcp(host: String(host), port: "\(port)")
  }

  /// The URI by which clients find the default export.
  /// - Parameter tls: what they find there.
  static func uri(of address: Listener.Address, _ tls: NBDServer.TLS? = nil) -> String {
    let scheme = tls?.isRequired == true ? "nbds" : "nbd"
    return switch address {
    case .path(let path): "\(scheme)+unix:///?socket=\(encodingPercents(path))"
    case .tcp(let host, let port): "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
  }

  private static func encodingPercents(_ path: String) -> String {
    var text = ""
    for byte in path.utf8 {
      let character = Character(UnicodeScalar(byte))
      if byte < 0x80, character.isLetter || character.isNumber || "/._-~".contains(character) {
        text.append(character)
      } else {
        text += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      }
    }
    return text
  }

  /// Tells whoever waits that clients may come, or that the device is usable: systemd, and the reader of
  /// `--ready-fd=`.
  func sayReady(device: String? = nil) throws {
    notifyReady(device: device)
    guard let descriptor = arguments.count(.readyFd).flatMap(Int32.init(exactly:)) else { return }
    var text = "READY=1\n"
    // SAFETY: the call reads the bytes that it is lent.
    let count = text.withUTF8 { bytes in unsafe casync_write(descriptor, bytes.baseAddress, bytes.count) }
    let number = errno
    guard count > 0 else { throw SystemError("write to", "--ready-fd=\(descriptor)", errno: number) }
    // It was the only line; its reader sees the end.
    if descriptor > 2 { close(descriptor) }
  }
}
