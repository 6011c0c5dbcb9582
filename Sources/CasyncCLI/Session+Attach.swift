internal import Casync
internal import CasyncIO
internal import CasyncMount

/// `casync mkdev INDEX [NODE]`: an image as /dev/nbdN, from the moment it is attached until it is detached
/// or left to the next run.
extension Session {
  /// Connections of the kernel's. Requests are shared out among them; each has a queue of its own.
  private static let connections = 4

  /// What is to be attached under which name; `nil` when images are only served.
  func deviceName(_ node: String?, of images: [String]) throws -> DeviceName? {
    if node == nil, listensAnywhere || arguments.has(.fuse) { return nil }
    guard !arguments.has(.fuse) else {
      throw UsageError("--fuse= is for where there is no device: not with NODE")
    }
    guard images.count == 1 else {
      throw UsageError(
        "one image can be attached at a time, not \(images.count)", hint: "name one, and one NODE")
    }
    guard let node else { return .any }
    return try Self.deviceName(node)
  }

  private static func deviceName(_ node: String) throws -> DeviceName {
    guard let name = DeviceName(node) else {
      throw UsageError(
        "\(node) is no name that udev makes a link of", hint: "use letters, digits and #+-.:=@_")
    }
    return name
  }

  /// Attaches the first of `exports` and serves it, and whoever else connects.
  /// - Parameter identifier: who the image is.
  func attach(
    _ exports: [NBDServer.Export], _ listeners: [Listener], _ tls: NBDServer.TLS?, as name: DeviceName,
    identifier: String,
    until stop: Cancellation
  ) throws {
    let disk = exports[0].disk
    let device = try KernelDevice.attach(
      KernelDevice.Request(
        name: name, identifier: identifier, size: disk.size, blockSize: sectorSize(disk.image),
        flags: NBDServer.transmissionFlags(of: exports[0]),
        connections: Self.connections))
    let server: NBDServer
    do {
      server = try NBDServer(
        exports: exports, listeners: listeners, tls: tls,
        attachment: NBDServer.Attachment(sockets: device.sockets) { try device.replaceConnection() })
      try print("Attached: \(name == .any ? device.path : name.text)\n")
    } catch {
      // The error before is the one to report.
      _ = try? device.detach()
      throw error
    }
    try serve(device, by: server, until: stop)
  }

  /// Of an image whose beginning cannot be read everything else still can.
  private func sectorSize(_ image: ImageReader) -> Int {
    do {
      return try image.sectorSize()
    } catch {
      console.warning("\(error); taking 512 bytes for the sector size")
      return 512
    }
  }

  /// Serves on this thread; what may make the kernel ask something of us happens on another.
  private func serve(_ device: KernelDevice, by server: NBDServer, until stop: Cancellation) throws {
    let serving = Cancellation()
    let isGone = Monitor(false)
    let outcome = Monitor<Result<DeviceUse?, any Error>>(.success(nil))
    let attendant = Threads(count: 1) {
      let result = Result<DeviceUse?, any Error> {
        do {
          try introduce(device, until: stop)
        } catch {
          // The error before is the one to report.
          _ = try? device.detach()
          throw error
        }
        guard isGone.withLock({ $0 }) else { return try device.leave() }
        try device.detach()
        return nil
      }
      outcome.withLock { $0 = result }
      serving.cancel()
    }
    let served = Result { try server.run(serving) }
    // Whoever detached the device, or whatever failed: there is nothing left to be served.
    isGone.withLock { $0 = true }
    stop.cancel()
    attendant.join()
    try served.get()
    if let use = try outcome.withLock({ $0 }).get() { sayWaiting(device, use) }
  }

  /// Makes the device known, says so, and waits for the end.
  private func introduce(_ device: KernelDevice, until stop: Cancellation) throws {
    try device.introduce()
    if device.isResumed { console.info("casync: \(device.path) goes on") }
    if !device.canBeResumed {
      console.warning("there is no netlink for nbd here: when this process dies, \(device.path) is gone")
    }
    device.waitUntilUsable(stop)
    try sayReady(device: device.path)
    _ = stop.wait()
  }

  private func sayWaiting(_ device: KernelDevice, _ use: DeviceUse) {
    console.warning("\(device.path) stays attached, since it is \(use.reason)")
    console.info(
      "hint: for \(KernelDevice.patience / 60) minutes its readers wait for the same command to be run again; "
        + "casync mkdev --detach \(device.path) ends it")
  }

  // MARK: The other verbs of a device

  /// `casync mkdev --detach NODE`.
  func detachDevice() throws -> Int32 {
    guard arguments.operands.count == 1, let node = arguments.operands.first else {
      throw UsageError("mkdev --detach takes one operand: the device")
    }
    let path = try KernelDevice.detach(Self.deviceName(node), force: arguments.has(.force))
    try print("Detached: \(path)\n")
    return 0
  }

  /// `casync udev DEVNODE`: what the udev rule imports.
  func nameDevice() throws -> Int32 {
    let node = arguments.operand(0)
    guard node.hasPrefix("/dev/"), node.count > 5, !node.dropFirst(5).contains("/") else {
      throw UsageError("\(node) is no device directly below /dev")
    }
    if let number = DeviceName.number(of: node.dropFirst(5)), let name = DeviceRecord.friendlyName(number) {
      try print("CASYNC_NAME=\(name)\n")
    }
    return 0
  }
}
