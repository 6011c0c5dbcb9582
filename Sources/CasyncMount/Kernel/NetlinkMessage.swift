internal import CasyncFormat

// Handing a connection to the kernel (Linux, drivers/block/nbd.c), from left to right:
//
//   DeviceName: what NODE means → DeviceRecord: /run/casync/nbdN, who serves what
//   → KernelDevice: attach, resume or detach, by NBDNetlink (or, without netlink, by calls on the node)
//   → NetlinkMessage: the bytes of a request and of its answer → CasyncIO.NetlinkSocket

/// An attribute of a netlink message (linux/netlink.h, nlattr): a number and bytes.
package struct NetlinkAttribute: Equatable, Sendable {
  package let kind: UInt16
  package let data: [UInt8]
  /// Whether the bytes are attributes.
  private let isNested: Bool

  private static let nestedFlag: UInt16 = 0x8000
  private static let kindMask: UInt16 = 0x3fff

  package init(_ kind: UInt16, bytes: [UInt8]) {
    self.kind = kind
    data = bytes
    isNested = false
  }

  package init(_ kind: UInt16, word32: UInt32) {
    var data = [UInt8]()
    data.append(native: word32)
    self.init(kind, bytes: data)
  }

  package init(_ kind: UInt16, word64: UInt64) {
    var data = [UInt8]()
    data.append(native: word64)
    self.init(kind, bytes: data)
  }

  /// Text with a zero behind it.
  package init(_ kind: UInt16, text: String) { self.init(kind, bytes: Array(text.utf8) + [0]) }

  package init(_ kind: UInt16, nested: [NetlinkAttribute]) {
    self.kind = kind
    data = nested.flatMap(\.encoded)
    isNested = true
  }

  /// Header, bytes, and zeros up to a multiple of four.
  var encoded: [UInt8] {
    var bytes = [UInt8]()
    bytes.append(native: UInt16(clamping: 4 + data.count))
    bytes.append(native: kind | (isNested ? Self.nestedFlag : 0))
    bytes += data
    return bytes + [UInt8](repeating: 0, count: (4 - data.count % 4) % 4)
  }

  /// The attributes that `bytes` consist of; what is cut short is left out.
  package static func decode(_ bytes: ArraySlice<UInt8>) -> [NetlinkAttribute] {
    var attributes = [NetlinkAttribute]()
    var rest = bytes
    while let length = rest.native16(at: 0).map(Int.init), let kind = rest.native16(at: 2), length >= 4,
      length <= rest.count
    {
      attributes.append(NetlinkAttribute(kind & kindMask, bytes: Array(rest.prefix(length).dropFirst(4))))
      rest = rest.dropFirst((length + 3) & ~3)
    }
    return attributes
  }

  package var word16: UInt16? { data.count == 2 ? data[...].native16(at: 0) : nil }
  package var word32: UInt32? { data.count == 4 ? data[...].native32(at: 0) : nil }
}

/// A request to a family of generic netlink (linux/genetlink.h) that the kernel acknowledges.
package struct NetlinkMessage: Equatable, Sendable {
  package let family: UInt16
  package let command: UInt8
  package let attributes: [NetlinkAttribute]

  /// NLM_F_REQUEST | NLM_F_ACK
  private static let flags: UInt16 = 1 | 4
  private static let headerLength = 16
  private static let version: UInt8 = 1

  package init(family: UInt16, command: UInt8, _ attributes: [NetlinkAttribute]) {
    self.family = family
    self.command = command
    self.attributes = attributes
  }

  /// - Parameter sequence: the number that the answers bear.
  package func encoded(sequence: UInt32) -> [UInt8] {
    let body = attributes.flatMap(\.encoded)
    var bytes = [UInt8]()
    bytes.append(native: UInt32(clamping: Self.headerLength + 4 + body.count))
    bytes.append(native: family)
    bytes.append(native: Self.flags)
    bytes.append(native: sequence)
    // The sender's port is filled in by the kernel.
    bytes.append(native: UInt32(0))
    bytes += [command, Self.version, 0, 0]
    return bytes + body
  }

  /// One message of the kernel's.
  package enum Answer: Equatable, Sendable {
    case attributes([NetlinkAttribute])
    /// The request was done, or failed with this `errno`.
    case done(errno: Int32)
  }

  private static let errorType: UInt16 = 2

  /// The answers among the messages of a datagram that bear the number `sequence`.
  package static func answers(in datagram: [UInt8], sequence: UInt32) -> [Answer] {
    var answers = [Answer]()
    var rest = datagram[...]
    while let length = rest.native32(at: 0).flatMap({ Int(exactly: $0) }), length >= headerLength,
      length <= rest.count, let type = rest.native16(at: 4), let number = rest.native32(at: 8)
    {
      let body = rest.prefix(length).dropFirst(headerLength)
      if number == sequence {
        if type != errorType {
          answers.append(.attributes(NetlinkAttribute.decode(body.dropFirst(4))))
        } else if let code = body.native32(at: 0) {
          answers.append(.done(errno: 0 &- Int32(bitPattern: code)))
        }
      }
      rest = rest.dropFirst((length + 3) & ~3)
    }
    return answers
  }
}

/// Netlink's integers are in the machine's byte order, which is little-endian wherever we build.
extension [UInt8] {
  fileprivate mutating func append(native value: UInt16) {
    append(UInt8(truncatingIfNeeded: value))
    append(UInt8(truncatingIfNeeded: value >> 8))
  }

  fileprivate mutating func append(native value: UInt32) {
    append(native: UInt16(truncatingIfNeeded: value))
    append(native: UInt16(truncatingIfNeeded: value >> 16))
  }

  fileprivate mutating func append(native value: UInt64) { append(word: value) }
}

extension ArraySlice<UInt8> {
  /// The word at `offset` from the slice's start; `nil` when it does not lie inside.
  fileprivate func native16(at offset: Int) -> UInt16? {
    guard count >= offset + 2 else { return nil }
    return UInt16(self[startIndex + offset]) | UInt16(self[startIndex + offset + 1]) << 8
  }

  fileprivate func native32(at offset: Int) -> UInt32? {
    guard let low = native16(at: offset), let high = native16(at: offset + 2) else { return nil }
    return UInt32(low) | UInt32(high) << 16
  }
}
