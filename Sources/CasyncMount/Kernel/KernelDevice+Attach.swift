internal import Casync
internal import CasyncIO

/// From a request to a device.
extension KernelDevice {
  /// Attaches the image, or resumes a device that an earlier run of the same command left. The kernel may ask
  /// at once, so `sockets` are to be served soon.
  /// - Throws: `JobError`, `SystemError`.
  package static func attach(_ request: Request) throws -> KernelDevice {
    if case .link(let path) = request.name { try checkLink(path) }
    guard let netlink = NBDNetlink.open() else { return try attachByNode(request) }
    return try resume(request, netlink) ?? connect(request, netlink)
  }

  /// A link of ours, to a device, may be replaced; nothing else.
  private static func checkLink(_ path: String) throws {
    if let target = FileSystem.link(path) {
      guard DeviceName.number(of: FileSystem.name(of: target)) != nil else {
        throw JobError(.refused, "\(path) is a link to \(target)", hint: "remove it, or name another")
      }
    } else if try File.status(path) != nil {
      throw JobError(.refused, "\(path) is there already", hint: "remove it, or name another")
    }
  }

  // MARK: By netlink

  private static func resume(_ request: Request, _ netlink: NBDNetlink) throws -> KernelDevice? {
    let candidates = DeviceRecord.all().filter {
      $0.identifier == request.identifier && $0.name == request.name && isAttached($0.index)
    }
    for candidate in candidates {
      guard let hold = try candidate.claim() else { continue }
      let sockets = try reconnect(candidate.index, request, netlink)
      guard !sockets.isEmpty else { continue }
      return KernelDevice(
        index: candidate.index, request, .netlink(netlink), sockets: sockets, record: hold, isResumed: true)
    }
    return nil
  }

  /// New connections in place of those that a dead server had; the kernel sees a moment later that they
  /// are dead.
  private static func reconnect(
    _ index: UInt32, _ request: Request, _ netlink: NBDNetlink
  ) throws -> [Socket] {
    var sockets = [Socket]()
    var failures = 0
    while sockets.count < request.connections, failures < 100, isAttached(index) {
      if let socket = try replaceConnection(index, identifier: request.identifier, netlink) {
        sockets.append(socket)
      } else {
        failures += 1
        _ = Cancellation().wait(atMost: .milliseconds(20))
      }
    }
    return sockets
  }

  private static func connect(_ request: Request, _ netlink: NBDNetlink) throws -> KernelDevice {
    let device = NBDNetlink.Device(
      size: request.size, blockSize: request.blockSize, flags: request.flags, identifier: request.identifier,
      timeout: requestTimeout, patience: patience)
    var wanted: UInt32?
    if case .number(let number) = request.name { wanted = number }
    let pairs = try (0..<request.connections).map { _ in try Socket.pair("a connection of the kernel") }
    let index: UInt32
    do {
      index = try netlink.connect(index: wanted, device, sockets: pairs.map(\.1))
    } catch let error as SystemError where error.isBusy {
      throw inUse(request)
    }
    do {
      let record = DeviceRecord(index: index, name: request.name, identifier: request.identifier)
      return KernelDevice(
        index: index, request, .netlink(netlink), sockets: pairs.map(\.0), record: try record.create())
    } catch {
      // The error before is the one to report.
      _ = try? netlink.disconnect(index: index)
      throw error
    }
  }

  private static func inUse(_ request: Request) -> JobError {
    JobError(
      .refused, "\(request.name.text) is attached already",
      hint: "casync mkdev --detach \(request.name.text), or name no device: then a free one is taken")
  }

  // MARK: By calls on the node

  private static func attachByNode(_ request: Request) throws -> KernelDevice {
    let (ours, kernelEnd) = try Socket.pair("a connection of the kernel")
    let (index, node) = try freeNode(request, kernelEnd)
    try node.describe(
      size: request.size, blockSize: request.blockSize, flags: request.flags, timeout: requestTimeout)
    let record = try DeviceRecord(index: index, name: request.name, identifier: request.identifier).create()
    let thread = Threads(count: 1) { node.serve() }
    return KernelDevice(index: index, request, .node(node, thread), sockets: [ours], record: record)
  }

  /// The first device that takes the connection.
  private static func freeNode(_ request: Request, _ socket: Socket) throws -> (UInt32, NBDNode) {
    if case .number(let number) = request.name {
      do {
        return (number, try attach(number, socket))
      } catch let error as SystemError where error.isBusy {
        throw inUse(request)
      } catch let error as SystemError where error.isNotFound {
        throw noDevices
      }
    }
    for number in UInt32(0)..<1024 {
      do {
        return (number, try attach(number, socket))
      } catch let error as SystemError where error.isBusy || error.isInvalid {
        continue
      } catch let error as SystemError where error.isNotFound {
        guard number > 0 else { throw noDevices }
        throw JobError(.refused, "no network block device is free", hint: "modprobe nbd nbds_max=N")
      }
    }
    throw JobError(.refused, "no network block device is free")
  }

  private static func attach(_ number: UInt32, _ socket: Socket) throws -> NBDNode {
    let node = try NBDNode(path(number))
    try node.attach(socket)
    return node
  }

  static let noDevices = JobError(
    .refused, "this kernel has no network block devices",
    hint: "modprobe nbd; where there is none, --fuse=FILE shows the image as a file")
}
