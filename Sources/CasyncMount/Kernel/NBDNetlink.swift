package import CasyncIO
internal import Glibc

/// The family "nbd" of generic netlink (linux/nbd-netlink.h): devices that outlive whoever attached them.
package struct NBDNetlink: Sendable {
  private enum Command: UInt8 {
    case connect = 1
    case disconnect, reconfigure
  }

  private enum Attribute: UInt16 {
    case index = 1
    case size, blockSize, timeout, serverFlags, clientFlags, sockets, deadConnectionTimeout, devices, backend
  }

  /// The controller of families (linux/genetlink.h, GENL_ID_CTRL): its command GETFAMILY, and attributes.
  private enum Controller {
    static let family: UInt16 = 16
    static let getFamily: UInt8 = 3
    static let familyID: UInt16 = 1
    static let familyName: UInt16 = 2
  }

  private let family: UInt16

  /// Asks for the family. It is there in the first network namespace only.
  /// - Returns: `nil` when this kernel, or namespace, has none.
  package static func open() -> NBDNetlink? {
    let query = NetlinkMessage(
      family: Controller.family, command: Controller.getFamily,
      [NetlinkAttribute(Controller.familyName, text: "nbd")])
    // Without netlink there are still the calls on the node, whose failures are told.
    guard let answer = try? exchange(query, "find", "the netlink family nbd"),
      let family = answer.first(where: { $0.kind == Controller.familyID })?.word16
    else { return nil }
    return NBDNetlink(family: family)
  }

  /// What is attached, and how.
  package struct Device: Equatable, Sendable {
    /// Bytes.
    package let size: UInt64
    package let blockSize: Int
    /// The transmission flags of the NBD protocol.
    package let flags: UInt16
    /// Names what is served: a reconfiguration must name the same.
    package let identifier: String
    /// Seconds after which a request that has no answer is sent over another connection.
    package let timeout: UInt64
    /// Seconds that requests wait when there is no connection left.
    package let patience: UInt64

    package init(
      size: UInt64, blockSize: Int, flags: UInt16, identifier: String, timeout: UInt64, patience: UInt64
    ) {
      self.size = size
      self.blockSize = blockSize
      self.flags = flags
      self.identifier = identifier
      self.timeout = timeout
      self.patience = patience
    }
  }

  // MARK: Requests

  package static func connect(
    family: UInt16, index: UInt32?, _ device: Device, sockets: [UInt32]
  ) -> NetlinkMessage {
    var attributes = index.map { [attribute(.index, $0)] } ?? []
    attributes += [
      attribute(.size, device.size), attribute(.blockSize, UInt64(device.blockSize)),
      attribute(.timeout, device.timeout), attribute(.serverFlags, UInt64(device.flags)),
      attribute(.deadConnectionTimeout, device.patience), list(sockets), backend(device.identifier),
    ]
    return NetlinkMessage(family: family, command: Command.connect.rawValue, attributes)
  }

  package static func reconfigure(
    family: UInt16, index: UInt32, identifier: String, sockets: [UInt32]
  ) -> NetlinkMessage {
    NetlinkMessage(
      family: family, command: Command.reconfigure.rawValue,
      [attribute(.index, index), list(sockets), backend(identifier)])
  }

  package static func disconnect(family: UInt16, index: UInt32) -> NetlinkMessage {
    NetlinkMessage(family: family, command: Command.disconnect.rawValue, [attribute(.index, index)])
  }

  private static func attribute(_ attribute: Attribute, _ value: UInt32) -> NetlinkAttribute {
    NetlinkAttribute(attribute.rawValue, word32: value)
  }

  private static func attribute(_ attribute: Attribute, _ value: UInt64) -> NetlinkAttribute {
    NetlinkAttribute(attribute.rawValue, word64: value)
  }

  private static func backend(_ identifier: String) -> NetlinkAttribute {
    NetlinkAttribute(Attribute.backend.rawValue, text: identifier)
  }

  /// NBD_ATTR_SOCKETS: of each NBD_SOCK_ITEM the NBD_SOCK_FD.
  private static func list(_ sockets: [UInt32]) -> NetlinkAttribute {
    NetlinkAttribute(
      Attribute.sockets.rawValue,
      nested: sockets.map { NetlinkAttribute(1, nested: [NetlinkAttribute(1, word32: $0)]) })
  }

  // MARK: Calls

  /// Attaches a device: the one with this number, or a free one.
  /// - Parameter sockets: the kernel's ends of the connections, of which it takes references of its own.
  /// - Returns: its number.
  /// - Throws: `SystemError`: `isBusy` when the device has connections.
  package func connect(index: UInt32?, _ device: Device, sockets: [Socket]) throws -> UInt32 {
    let subject = index.map { "/dev/nbd\($0)" } ?? "a network block device"
    // The numbers stand for the sockets as long as these live.
    let answer = try withExtendedLifetime(sockets) {
      let request = Self.connect(family: family, index: index, device, sockets: sockets.map(\.number))
      return try Self.exchange(request, "attach", subject)
    }
    if let index { return index }
    guard let found = answer.first(where: { $0.kind == Attribute.index.rawValue })?.word32 else {
      throw SystemError("attach", subject, errno: EBADMSG)
    }
    return found
  }

  /// Gives a device connections in place of dead ones, as many as there are.
  /// - Throws: `SystemError`: `isUnsupported` when it is not attached, or something else is.
  package func reconfigure(index: UInt32, identifier: String, sockets: [Socket]) throws {
    _ = try withExtendedLifetime(sockets) {
      let request = Self.reconfigure(
        family: family, index: index, identifier: identifier, sockets: sockets.map(\.number))
      return try Self.exchange(request, "attach again", "/dev/nbd\(index)")
    }
  }

  /// Takes a device down; what is read from it from now on fails. One that is not attached is left alone.
  package func disconnect(index: UInt32) throws {
    _ = try Self.exchange(Self.disconnect(family: family, index: index), "detach", "/dev/nbd\(index)")
  }

  /// Does one request, over a socket of its own, so that threads do not take each other's answers.
  private static func exchange(
    _ request: NetlinkMessage, _ operation: String, _ subject: String
  ) throws -> [NetlinkAttribute] {
    let socket = try NetlinkSocket()
    let sequence: UInt32 = 1
    try socket.send(request.encoded(sequence: sequence))
    var attributes = [NetlinkAttribute]()
    while true {
      for answer in NetlinkMessage.answers(in: try socket.receive(), sequence: sequence) {
        switch answer {
        case .attributes(let more): attributes += more
        case .done(errno: 0): return attributes
        case .done(let number): throw SystemError(operation, subject, errno: number)
        }
      }
    }
  }
}
