import CasyncFormat
import Testing

@testable import CasyncMount

@Suite("The NBD protocol")
struct NBDSessionTests {
  struct Negotiation: CustomTestStringConvertible {
    let testDescription: String
    let client: Client
    let replies: [Wire.OptionReply]

    init(_ description: String, _ client: Client, _ replies: Wire.OptionReply...) {
      testDescription = description
      self.client = client
      self.replies = replies
    }
  }

  private static let hello = Client.hello()

  @Test(
    "answers each option as the specification says",
    arguments: [
      Negotiation("GO", hello.option(.go, Client.choice()), .info, .acknowledge),
      Negotiation(
        "GO with all infos", hello.option(.go, Client.choice("two", [0, 1, 2, 3, 99])), .info, .info, .info,
        .info, .acknowledge),
      Negotiation(
        "INFO, then GO", hello.option(.info, Client.choice()).option(.go, Client.choice()), .info,
        .acknowledge, .info, .acknowledge),
      Negotiation("GO of no export", hello.option(.go, Client.choice("no")), .unknown),
      Negotiation("GO cut short", hello.option(.go, [0, 0, 0, 9, 1]), .invalid),
      Negotiation("GO with fewer infos than it says", hello.option(.go, [0, 0, 0, 0, 0, 5]), .invalid),
      Negotiation("GO with more", hello.option(.go, Client.choice() + [1]), .invalid),
      Negotiation(
        "GO with a long name", hello.option(.go, Client.choice(String(repeating: "x", count: 5000))), .tooBig),
      Negotiation("LIST", hello.option(.list), .server, .server, .acknowledge),
      Negotiation("LIST with data", hello.option(.list, [1]), .invalid),
      Negotiation("STARTTLS", hello.option(.startTLS), .unsupported),
      Negotiation("an unknown option", hello.option(12345, [1, 2, 3]), .unsupported),
      Negotiation("STRUCTURED_REPLY", hello.option(.structuredReply), .acknowledge),
      Negotiation("STRUCTURED_REPLY with data", hello.option(.structuredReply, [0]), .invalid),
      Negotiation(
        "SET_META_CONTEXT before structured replies",
        hello.option(.setMetaContext, Client.contexts("", ["base:allocation"])), .invalid),
      Negotiation(
        "SET_META_CONTEXT",
        hello.option(.structuredReply).option(
          .setMetaContext, Client.contexts("", ["qemu:x", "base:allocation"])), .acknowledge, .metaContext,
        .acknowledge),
      Negotiation(
        "LIST_META_CONTEXT of all",
        hello.option(.structuredReply).option(.listMetaContext, Client.contexts("", [])), .acknowledge,
        .metaContext, .acknowledge),
      Negotiation(
        "SET_META_CONTEXT of a namespace",
        hello.option(.structuredReply).option(.setMetaContext, Client.contexts("", ["base:"])), .acknowledge,
        .acknowledge),
      Negotiation(
        "an option longer than is kept", hello.option(6, [UInt8](repeating: 0, count: 70000)), .tooBig),
      Negotiation("ABORT", hello.option(.abort), .acknowledge),
    ])
  func options(_ case: Negotiation) {
    #expect(NBDSession.replyTypes(`case`.client) == `case`.replies.map(\.rawValue))
  }

  @Test(
    "ends the connection of a client that breaks it",
    arguments: [
      ("unknown client flags", Client.hello(0x8000_0003)),
      ("no option", Client(bytes: hello.bytes + [UInt8](repeating: 7, count: 16))),
      ("an option of 4 GiB", hello.option(7, [], claims: .max)),
      ("the old way with an unknown name", hello.option(.exportName, Array("no".utf8))),
      ("no request", Client(bytes: Client.full.bytes + [UInt8](repeating: 7, count: 28))),
      ("a write of 4 GiB", Client.full.request(1, length: .max)),
      ("options without end", (0...1024).reduce(hello) { client, _ in client.option(99) }),
    ])
  func violations(_ name: String, _ client: Client) {
    #expect(NBDSession.actions(client.bytes).last == .abort, "\(name)")
  }

  @Test("gives export and flags the old way, with and without 124 zeros", arguments: [(3, 10), (1, 134)])
  func oldWay(_ flags: UInt32, _ count: Int) throws {
    let client = Client.hello(flags).option(.exportName).request(0, offset: 512, length: 512)
    let actions = NBDSession.actions(client.bytes)
    guard case .send(let reply) = try #require(actions.dropFirst().first) else {
      Issue.record("no reply")
      return
    }
    #expect(reply.count == count)
    #expect(actions.last == .read(NBDRequest(cookie: 7, export: 0, range: 512..<1024)))
  }

  struct Refusal: CustomTestStringConvertible {
    let testDescription: String
    let command: UInt16
    var flags: UInt16 = 0
    var offset: UInt64 = 0
    var length: UInt32 = 512
    var error = NBDErrorNumber.invalid
    var data: [UInt8] = []
    var isStructured = false
  }

  private static let end = NBDSession.size

  @Test(
    "refuses a request and goes on",
    arguments: [
      Refusal(testDescription: "read past the end", command: 0, offset: end - 256, isStructured: true),
      Refusal(testDescription: "read from the end", command: 0, offset: end, isStructured: true),
      Refusal(testDescription: "read from 2^64 - 1", command: 0, offset: .max, isStructured: true),
      Refusal(testDescription: "read nothing", command: 0, length: 0, isStructured: true),
      Refusal(testDescription: "read 4 GiB", command: 0, length: .max, isStructured: true),
      Refusal(testDescription: "read with unknown flags", command: 0, flags: 0x8000, isStructured: true),
      Refusal(testDescription: "status past the end", command: 7, offset: end, isStructured: true),
      Refusal(
        testDescription: "write", command: 1, error: .notPermitted, data: [UInt8](repeating: 1, count: 512)),
      Refusal(testDescription: "trim", command: 4, error: .notPermitted),
      Refusal(testDescription: "write zeroes", command: 6, error: .notPermitted),
      Refusal(testDescription: "cache past the end", command: 5, offset: end),
      Refusal(testDescription: "an unknown command", command: 77),
    ])
  func refusals(_ case: Refusal) throws {
    var client = Client.full.request(
      `case`.command, flags: `case`.flags, offset: `case`.offset, length: `case`.length)
    client.bytes += `case`.data
    client = client.request(0, cookie: 8, length: 1)
    let actions = NBDSession.actions(client.bytes)
    let next = NBDRequest(cookie: 8, export: 0, range: 0..<1, isStructured: true)
    #expect(actions.last == .read(next))
    guard case .send(let reply) = try #require(actions.dropLast().last) else {
      Issue.record("no reply")
      return
    }
    var cursor = Cursor(reply[...])
    #expect(cursor.word32() == (`case`.isStructured ? Wire.structuredReply : Wire.simpleReply))
    if `case`.isStructured { #expect(cursor.take(16) != nil) }
    #expect(cursor.word32() == `case`.error.rawValue)
  }

  @Test("passes good requests on, and ends when it is told to")
  func requests() {
    let client = Client.full.request(0, flags: 4, offset: 1, length: 3).request(5, length: 9)
      .request(7, flags: 8, offset: 512, length: 512).request(3).request(2).request(0, length: 1)
    let read = NBDRequest(cookie: 7, export: 0, range: 1..<4, dontFragment: true, isStructured: true)
    let status = NBDRequest(cookie: 7, export: 0, range: 512..<1024, wantsOne: true, isStructured: true)
    let prefetch = NBDRequest(cookie: 7, export: 0, range: 0..<9)
    #expect(
      NBDSession.actions(client.bytes).suffix(5) == [
        .read(read), .prefetch(prefetch), .blockStatus(status), .send(prefetch.acknowledgement), .finish,
      ])
  }

  @Test("passes changes of a writable export on, with their flags and bytes")
  func changes() {
    let bytes = (0..<3000).map { UInt8(truncatingIfNeeded: $0) }
    let client = Client.full.write(bytes, flags: 1, offset: 5).request(4, flags: 1, length: 512)
      .request(6, flags: 19, offset: 512, length: 1024).request(3).write([1], offset: NBDSession.size - 1)
    let write = NBDRequest(cookie: 7, export: 0, range: 5..<3005, isDurable: true)
    let trim = NBDRequest(cookie: 7, export: 0, range: 0..<512, isDurable: true)
    let zero = NBDRequest(
      cookie: 7, export: 0, range: 512..<1536, isDurable: true, keepsRoom: true, mustBeFast: true)
    let flush = NBDRequest(cookie: 7, export: 0, range: 0..<0)
    let last = NBDRequest(cookie: 7, export: 0, range: NBDSession.size - 1..<NBDSession.size)
    #expect(
      NBDSession.actions(client.bytes, isWritable: true).suffix(5) == [
        .write(write, bytes), .trim(trim), .zero(zero), .flush(flush), .write(last, [1]),
      ])
  }

  @Test(
    "refuses a change that is not good, takes its bytes, and goes on",
    arguments: [
      ("past the end", Client.full.write([1, 2], offset: NBDSession.size - 1), NBDErrorNumber.noSpace),
      ("of nothing", Client.full.write([]), .invalid),
      ("with an unknown flag", Client.full.write([1], flags: 2), .invalid),
      ("zeros past the end", Client.full.request(6, offset: .max, length: 2), .noSpace),
      ("trim with NO_HOLE", Client.full.request(4, flags: 2, length: 512), .invalid),
      ("flush with a flag", Client.full.request(3, flags: 1), .invalid),
    ])
  func badChanges(_ name: String, _ client: Client, _ error: NBDErrorNumber) {
    let actions = NBDSession.actions(client.request(0, cookie: 8, length: 1).bytes, isWritable: true)
    let refusal = NBDRequest.failure(7, error, isStructured: false)
    #expect(actions.dropLast().last == .send(refusal), "\(name)")
    #expect(actions.last == .read(NBDRequest(cookie: 8, export: 0, range: 0..<1, isStructured: true)))
  }

  @Test("counts the memory of a write from its header on")
  func payload() {
    var session = NBDSession(exports: [.init(name: "", size: NBDSession.size, isWritable: true)])
    session.receive(Client.full.request(1, length: 100_000).bytes.rawSpan)
    while session.next() != nil {}
    #expect(session.payloadCount == 100_000)
    session.receive([UInt8](repeating: 1, count: 100_000).rawSpan)
    #expect(session.hasAction)
    while session.next() != nil {}
    #expect(session.payloadCount == 0)
  }

  @Test("has a metadata context only for the export it was selected for")
  func otherExport() {
    let client = Client.hello().option(.structuredReply)
      .option(.setMetaContext, Client.contexts("", ["base:allocation"])).option(.go, Client.choice("two"))
      .request(7, length: 512)
    guard case .send? = NBDSession.actions(client.bytes).last else {
      Issue.record("no refusal")
      return
    }
  }

  @Test("begins with requests where the kernel has a connection")
  func chosen() {
    let export = NBDSession.Export(name: "", size: NBDSession.size)
    var session = NBDSession(exports: [export], chosen: 0)
    #expect(session.isTransmitting && session.next() == nil)
    session.receive(Client(bytes: []).request(0, offset: 512, length: 512).request(2).bytes.rawSpan)
    #expect(session.next() == .read(NBDRequest(cookie: 7, export: 0, range: 512..<1024)))
    #expect(session.next() == .finish)
  }

  private static func encrypted(
    _ client: Client, _ encryption: NBDSession.Encryption
  ) -> [NBDSession.Action] {
    let export = NBDSession.Export(name: "", size: NBDSession.size)
    return NBDSession.actions(client.bytes, in: NBDSession(exports: [export], encryption: encryption))
  }

  @Test("refuses everything before TLS where that is required")
  func required() {
    let options: [Wire.Option] = [.list, .info, .go, .structuredReply, .listMetaContext, .setMetaContext]
    for option in options {
      let actions = Self.encrypted(Self.hello.option(option, Client.choice()), .required)
      #expect(NBDSession.replyTypes(actions) == [Wire.OptionReply.tlsRequired.rawValue], "\(option)")
    }
    #expect(Self.encrypted(Self.hello.option(.exportName), .required).last == .abort)
    let abort = Self.encrypted(Self.hello.option(.abort), .required)
    #expect(NBDSession.replyTypes(abort) == [Wire.OptionReply.acknowledge.rawValue])
  }

  @Test("begins TLS, once, and forgets what was agreed on before", arguments: [false, true])
  func startTLS(_ isRequired: Bool) {
    let export = NBDSession.Export(name: "", size: NBDSession.size)
    var session = NBDSession(exports: [export], encryption: isRequired ? .required : .available)
    func answers(_ client: Client) -> [NBDSession.Action] {
      session.receive(client.bytes.rawSpan)
      var actions = [NBDSession.Action]()
      while let action = session.next() { actions.append(action) }
      return actions
    }
    if !isRequired { _ = answers(Self.hello.option(.structuredReply)) }
    #expect(answers((isRequired ? Self.hello : Client()).option(.startTLS)).last == .startTLS)
    #expect(!session.isStructured)
    let again = answers(Client().option(.startTLS))
    #expect(NBDSession.replyTypes(again) == [Wire.OptionReply.invalid.rawValue])
    #expect(!answers(Client().option(.go, Client.choice())).isEmpty && session.isTransmitting)
  }

  @Test("does not take what came before the handshake for what comes after")
  func injection() {
    #expect(Self.encrypted(Self.hello.option(.startTLS).option(.list), .available).last == .abort)
  }
}
