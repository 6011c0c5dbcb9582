internal import Casync
package import CasyncIO

/// An image that this process serves to the kernel as /dev/nbdN.
package final class KernelDevice: Sendable {
  /// What is to be attached.
  package struct Request: Sendable {
    package let name: DeviceName
    /// Names the image, across restarts.
    package let identifier: String
    /// Bytes.
    package let size: UInt64
    package let blockSize: Int
    /// The transmission flags of the NBD protocol.
    package let flags: UInt16
    /// Connections at one time; more than one only if the flags say that they see each other's writes.
    package let connections: Int

    package init(
      name: DeviceName, identifier: String, size: UInt64, blockSize: Int, flags: UInt16, connections: Int
    ) {
      self.name = name
      self.identifier = identifier
      self.size = size
      self.blockSize = blockSize
      self.flags = flags
      self.connections = connections
    }
  }

  /// How the kernel was given its connections.
  enum Way: Sendable {
    case netlink(NBDNetlink)
    /// By calls on the node, one of which lasts, on a thread, until the device is gone.
    case node(NBDNode, Threads)
  }

  /// A request of the kernel's without an answer for so many seconds is sent again, over another connection.
  static let requestTimeout: UInt64 = 30
  /// Seconds for which requests wait when the server is gone.
  package static let patience: UInt64 = 600
  /// What the kernel reads ahead, in KiB; the server reads ahead too, whole chunks.
  private static let readAhead = 256

  package let index: UInt32
  /// The server's ends of the connections.
  package let sockets: [Socket]
  /// Whether the device waited for us, from an earlier run of the same command.
  package let isResumed: Bool
  let request: Request
  let way: Way
  let record: DeviceRecord.Hold

  init(
    index: UInt32, _ request: Request, _ way: Way, sockets: [Socket], record: DeviceRecord.Hold,
    isResumed: Bool = false
  ) {
    self.index = index
    self.request = request
    self.way = way
    self.sockets = sockets
    self.record = record
    self.isResumed = isResumed
  }

  package var path: String { Self.path(index) }
  static func path(_ index: UInt32) -> String { "/dev/nbd\(index)" }
  private static func attributes(_ index: UInt32) -> String { "/sys/block/nbd\(index)" }

  /// Whether the kernel has connections for a device, living or dead ones.
  static func isAttached(_ index: UInt32) -> Bool {
    FileSystem.text("\(attributes(index))/pid") != nil
  }

  /// Whether others may resume it when this process is gone.
  package var canBeResumed: Bool { if case .netlink = way { true } else { false } }

  // MARK: In place of broken connections

  /// Gives the kernel a new connection in place of one that is dead.
  /// - Returns: our end; `nil` when it wants none, or the device is gone.
  package func replaceConnection() throws -> Socket? {
    guard case .netlink(let netlink) = way else { return nil }
    return try Self.replaceConnection(index, identifier: request.identifier, netlink)
  }

  static func replaceConnection(
    _ index: UInt32, identifier: String, _ netlink: NBDNetlink
  ) throws -> Socket? {
    let ours: Socket
    do {
      let (end, kernelEnd) = try Socket.pair("a connection of \(path(index))")
      try netlink.reconfigure(index: index, identifier: identifier, sockets: [kernelEnd])
      ours = end
    } catch let error as SystemError where error.isUnsupported {
      return nil
    }
    // One that the kernel did not take was closed with our copy of its end.
    return ours.isHungUp ? nil : ours
  }

  // MARK: Usable

  /// Makes the device known and quick: the link, the name, the queue's settings. While this runs, the image
  /// has to be served: the kernel waits for what it asked before it changes a queue.
  package func introduce() throws {
    let attributes = Self.attributes(index)
    if !isResumed {
      // Hints: the device works without them.
      _ = try? FileSystem.setText("\(attributes)/queue/scheduler", "none")
      _ = try? FileSystem.setText("\(attributes)/queue/read_ahead_kb", "\(Self.readAhead)")
    }
    switch request.name {
    case .any, .number: break
    case .friendly:
      // The kernel told udev of the device before the record was there. Without udev there is nobody to tell.
      _ = try? FileSystem.setText("\(attributes)/uevent", "change")
    case .link(let link):
      if FileSystem.link(link) != nil { try FileSystem.remove(link) }
      try FileSystem.makeLink(link, to: path)
    }
  }

  private static let udev = "/run/udev"

  /// Whether a udev is there that makes links below /dev.
  package static var hasUdev: Bool { FileSystem.resolved("\(udev)/control") != nil }

  /// Waits until udev has seen the device and made its link, but no longer than ten seconds. Blocks.
  package func waitUntilUsable(_ cancellation: Cancellation) {
    guard Self.hasUdev else { return }
    let number = FileSystem.text("\(Self.attributes(index))/dev")?.filter { $0 != "\n" } ?? ""
    let start = ContinuousClock.now
    while start.duration(to: .now) < .seconds(10) {
      // "I:" is when the device was initialised.
      let isKnown = FileSystem.text("\(Self.udev)/data/b\(number)")?.contains("I:") ?? false
      let link = if case .friendly = request.name { request.name.text } else { path }
      if isKnown, FileSystem.resolved(link) == path { return }
      if cancellation.wait(atMost: .milliseconds(50)) { return }
    }
  }
}
