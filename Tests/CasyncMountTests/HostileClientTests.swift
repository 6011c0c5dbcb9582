import CasyncFormat
import Testing

@testable import CasyncMount

@Suite("A hostile NBD client")
struct HostileClientTests {
  private static let streams: [Client] = [
    Client.full.request(0, length: 4096).request(7, length: 4096).request(3).request(5, length: 1).request(2),
    Client.hello(1).option(.exportName).request(0, length: 1).request(1, length: 9),
    Client.hello().option(.list).option(.info, Client.choice("two", [0, 1, 2, 3])).option(.startTLS)
      .option(.structuredReply).option(.listMetaContext, Client.contexts("two", ["base:", "x:y"]))
      .option(.abort),
    Client.full.write(Array("bytes".utf8), offset: 9).request(6, flags: 3, length: 8192).request(4, length: 1)
      .request(3).write([UInt8](repeating: 7, count: 700), offset: 1 << 20).write([1]).request(2),
  ]

  @Test("gets the same answers however its bytes are split", arguments: [1, 2, 3, 7, 16, 27, 28, 29])
  func split(_ step: Int) {
    for client in Self.streams {
      for isWritable in [false, true] {
        #expect(
          NBDSession.actions(client.bytes, step: step, isWritable: isWritable)
            == NBDSession.actions(client.bytes, isWritable: isWritable))
      }
    }
  }

  @Test("that stops anywhere is waited for, and nothing traps")
  func prefixes() {
    for client in Self.streams {
      let all = NBDSession.actions(client.bytes, isWritable: true)
      for count in 0..<client.bytes.count {
        let some = NBDSession.actions(Array(client.bytes.prefix(count)), isWritable: true)
        #expect(some == Array(all.prefix(some.count)), "prefix of \(count) bytes")
      }
    }
  }

  @Test("with changed, added or missing bytes gets no range outside an export", arguments: 0..<40)
  func mutations(_ round: UInt64) {
    let seed = UInt64.random(in: .min ... .max) &+ round
    var generator = Generator(seed)
    for _ in 0..<100 {
      var bytes = Self.streams[Int(generator.next() % UInt64(Self.streams.count))].bytes
      for _ in 0..<1 + generator.next() % 4 {
        guard !bytes.isEmpty else { break }
        let place = Int(generator.next() % UInt64(bytes.count))
        switch generator.next() % 4 {
        case 0: bytes.remove(at: place)
        case 1: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: place)
        case 2: bytes.removeLast(min(bytes.count, place % 32))
        default: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
        }
      }
      Self.check(bytes, step: 1 + Int(generator.next() % 64), seed)
    }
  }

  @Test("that sends noise gets no range outside an export", arguments: 0..<20)
  func noise(_ round: UInt64) {
    let seed = UInt64.random(in: .min ... .max) &+ round
    var generator = Generator(seed)
    for start in [[], Client.hello().bytes, Client.full.bytes] {
      let noise = (0..<1000).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      Self.check(start + noise, step: 100, seed)
      // Behind the right magic number everything else is noise.
      var requests = start
      for _ in 0..<30 {
        requests.append(big: Wire.request)
        requests += (0..<24).map { _ in UInt8(truncatingIfNeeded: generator.next() & generator.next()) }
      }
      Self.check(requests, step: 28, seed)
    }
  }

  /// Whether every request that is passed on is within its export, and nothing follows the end.
  private static func check(_ bytes: [UInt8], step: Int, _ seed: UInt64) {
    let actions = NBDSession.actions(bytes, step: step, isWritable: seed % 2 == 0)
    let sizes: [UInt64] = [NBDSession.size, 512]
    for (place, action) in actions.enumerated() {
      switch action {
      case .send(let reply): #expect(reply.count < 1 << 20, "seed \(seed)")
      case .read(let request), .prefetch(let request), .blockStatus(let request), .zero(let request),
        .trim(let request):
        #expect(
          !request.range.isEmpty && request.range.upperBound <= sizes[request.export], "seed \(seed)")
      case .write(let request, let bytes):
        #expect(bytes.count == request.length && request.range.upperBound <= sizes[0], "seed \(seed)")
      case .flush(let request): #expect(request.range.isEmpty)
      case .startTLS: Issue.record("TLS, which was not offered")
      case .finish, .abort: #expect(place == actions.count - 1, "seed \(seed)")
      }
    }
  }
}

/// Random numbers that a seed repeats (splitmix64).
struct Generator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }
}
