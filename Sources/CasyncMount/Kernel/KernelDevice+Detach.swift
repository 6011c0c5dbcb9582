internal import Casync
package import CasyncIO

/// The end of a device.
extension KernelDevice {
  /// Detaches the device unless somebody else uses it. While this runs, the image has to be served: looking
  /// may make the kernel read.
  /// - Returns: who uses it; `nil` when it is detached.
  package func leave() throws -> DeviceUse? {
    if Self.isAttached(index) {
      // udev looks at devices for a moment; others stay.
      var use = Self.use(of: index)
      for _ in 0..<20 where use != nil {
        _ = Cancellation().wait(atMost: .milliseconds(50))
        use = Self.use(of: index)
      }
      // Without netlink nobody could resume it.
      if let use, canBeResumed { return use }
    }
    try detach()
    return nil
  }

  /// Takes the device away, whoever uses it, and what pointed to it.
  package func detach() throws {
    try Self.removeLink(request.name, index)
    // Before the device goes, so that udev takes the friendly name away when it does.
    try record.remove()
    switch way {
    case .netlink(let netlink): if Self.isAttached(index) { try netlink.disconnect(index: index) }
    case .node(let node, let thread):
      if Self.isAttached(index) { try node.detach() }
      thread.join()
    }
  }

  private static func removeLink(_ name: DeviceName, _ index: UInt32) throws {
    // A link that somebody pointed elsewhere is theirs.
    if case .link(let link) = name, FileSystem.link(link) == path(index) { try FileSystem.remove(link) }
  }

  /// Detaches a device that another process attached, or left.
  /// - Parameter force: also when somebody uses it: their reads fail from then on.
  /// - Returns: the device that was meant.
  /// - Throws: `JobError` when it is none, not attached, or in use.
  package static func detach(_ name: DeviceName, force: Bool) throws -> String {
    let index = try index(of: name)
    guard isAttached(index) else {
      throw JobError(.badRequest, "\(path(index)) is not attached")
    }
    if !force, let use = use(of: index) {
      throw JobError(
        .refused, "\(path(index)) is in use: \(use.reason)",
        hint: (use.hint.map { "\($0); or " } ?? "") + "--force, and reads fail")
    }
    if let record = DeviceRecord.read(index) {
      try removeLink(record.name, index)
      try record.remove()
    }
    if let netlink = NBDNetlink.open() {
      try netlink.disconnect(index: index)
    } else {
      try NBDNode(path(index)).detach()
    }
    return path(index)
  }

  private static func index(of name: DeviceName) throws -> UInt32 {
    switch name {
    case .number(let number): return number
    case .friendly:
      if let record = DeviceRecord.all().first(where: { $0.name == name }) { return record.index }
    case .link(let link):
      let target = FileSystem.resolved(link).map(FileSystem.name(of:))
      if let number = target.flatMap(DeviceName.number) { return number }
    case .any: break
    }
    throw JobError(
      .badRequest, "\(name.text) is no network block device", hint: "name /dev/nbdN, or NODE as it was given")
  }

  /// Who uses a device beside the one that serves it.
  private static func use(of index: UInt32) -> DeviceUse? {
    // A node that is not there is used by nobody.
    guard let status = (try? File.status(path(index))) ?? nil else { return nil }
    return DeviceUse.ofDevice(status.target, path: path(index)) ?? DeviceUse.byProcess(status.target)
      ?? DeviceUse.byClaim(path(index))
  }
}
