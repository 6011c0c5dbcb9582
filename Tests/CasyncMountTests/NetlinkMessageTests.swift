import Testing

@testable import CasyncMount

@Suite("Netlink messages")
struct NetlinkMessageTests {
  private static let request = NBDNetlink.connect(
    family: 31, index: 2,
    NBDNetlink.Device(size: 1 << 20, blockSize: 512, flags: 3, identifier: "abc", timeout: 30, patience: 600),
    sockets: [7, 8])

  /// A datagram of the kernel's: a message of `type` with this body.
  private static func message(_ type: UInt16, _ body: [UInt8], sequence: UInt8 = 1) -> [UInt8] {
    [UInt8(16 + body.count), 0, 0, 0, UInt8(type), 0, 0, 0, sequence, 0, 0, 0, 9, 0, 0, 0] + body
  }

  /// What nbd-client 3.24 (`nbd-client -unix SOCKET /dev/nbd0 -C 2 -b 512`) tells Linux 6.1 behind the two
  /// headers, and the beginning of what that answers to the question for the family; both from strace.
  private static let connect: [UInt8] = [
    8, 0, 1, 0, 0, 0, 0, 0, 12, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 12, 0, 3, 0, 0, 2, 0, 0, 0, 0, 0, 0,
    12, 0, 5, 0, 7, 5, 0, 0, 0, 0, 0, 0, 28, 0, 7, 128, 12, 0, 1, 128, 8, 0, 1, 0, 3, 0, 0, 0, 12, 0,
    1, 128, 8, 0, 1, 0, 4, 0, 0, 0,
  ]
  private static let family: [UInt8] = [
    1, 2, 0, 0, 8, 0, 2, 0, 110, 98, 100, 0, 6, 0, 1, 0, 32, 0, 0, 0, 8, 0, 3, 0, 1, 0, 0, 0, 8, 0, 4,
    0, 0, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 0,
  ]

  @Test("are those of nbd-client")
  func golden() {
    let sockets = [UInt32(3), 4].map { NetlinkAttribute(1, nested: [NetlinkAttribute(1, word32: $0)]) }
    let message = NetlinkMessage(
      family: 0x20, command: 1,
      [
        NetlinkAttribute(1, word32: 0), NetlinkAttribute(2, word64: 1 << 20),
        NetlinkAttribute(3, word64: 512),
        NetlinkAttribute(5, word64: 0x507), NetlinkAttribute(7, nested: sockets),
      ])
    #expect(Array(message.encoded(sequence: 9).dropFirst(20)) == Self.connect)
    let answer = NetlinkAttribute.decode(Self.family.dropFirst(4))
    #expect(answer.first { $0.kind == 1 }?.word16 == 0x20)
    #expect(answer.first { $0.kind == 2 }?.data == Array("nbd".utf8) + [0])
  }

  @Test("hold what a request says, nested, padded to words")
  func roundTrip() {
    let bytes = Self.request.encoded(sequence: 1)
    #expect(bytes.count % 4 == 0 && Int(bytes[0]) + Int(bytes[1]) << 8 == bytes.count)
    let attributes = NetlinkAttribute.decode(bytes[20...])
    #expect(attributes.map(\.kind) == [1, 2, 3, 4, 5, 8, 7, 10])
    #expect(attributes.last?.data == [0x61, 0x62, 0x63, 0])
    let sockets = attributes.first { $0.kind == 7 }.map { NetlinkAttribute.decode($0.data[...]) } ?? []
    let numbers = sockets.flatMap { NetlinkAttribute.decode($0.data[...]) }.map(\.word32)
    #expect(numbers == [7, 8])
  }

  @Test("of the kernel are attributes, an acknowledgement or an error")
  func answers() {
    let index: [UInt8] = [8, 0, 1, 0, 5, 0, 0, 0]
    let datagram = Self.message(31, [1, 1, 0, 0] + index) + Self.message(2, [0, 0, 0, 0])
    #expect(
      NetlinkMessage.answers(in: datagram, sequence: 1) == [
        .attributes([NetlinkAttribute(1, word32: 5)]), .done(errno: 0),
      ])
    let busy = Self.message(2, [0xf0, 0xff, 0xff, 0xff])
    #expect(NetlinkMessage.answers(in: busy, sequence: 1) == [.done(errno: 16)])
    #expect(NetlinkMessage.answers(in: busy, sequence: 2) == [])
  }

  @Test("that are cut short or say a wrong length trap nowhere")
  func damaged() {
    let whole = Self.message(31, [1, 1, 0, 0] + Self.request.encoded(sequence: 1)[20...])
    for count in 0..<whole.count {
      #expect(NetlinkMessage.answers(in: Array(whole.prefix(count)), sequence: 1) == [])
    }
    var generator = Generator(UInt64.random(in: .min ... .max))
    for _ in 0..<2000 {
      var bytes = whole
      for _ in 0..<3 {
        bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: generator.next())
      }
      _ = NetlinkMessage.answers(in: bytes, sequence: 1)
    }
  }
}
