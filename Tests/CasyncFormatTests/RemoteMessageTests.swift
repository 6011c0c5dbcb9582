import Testing

@testable import CasyncFormat

@Suite("Messages of the remote protocol")
struct RemoteMessageTests {
  static let id = ChunkID(words: [1, 2, 3, 4])
  static let messages: [RemoteMessage] = [
    .hello([.pullChunks, .pullIndex]), .index([1, 2, 3]), .indexEnd, .archive([4]), .archiveEnd,
    .request(isUrgent: true, [id]), .request(isUrgent: false, [id, ChunkID(words: [5, 6, 7, 8])]),
    .chunk(id, isCompressed: true, [9, 8]), .chunk(id, isCompressed: false, [7]), .missing(id), .goodbye,
    .abort(number: 2, "not there"), .abort(number: 0, ""),
  ]

  /// All messages in `bytes`, which come in pieces of `step`.
  private func read(_ bytes: [UInt8], step: Int = .max) throws(ProtocolError) -> [RemoteMessage] {
    var reader = MessageReader()
    var messages = [RemoteMessage]()
    var start = 0
    while start < bytes.count {
      let end = start + min(step, bytes.count - start)
      reader.append(bytes.rawSpan.extracting(start..<end))
      start = end
      while let message = try reader.next() { messages.append(message) }
    }
    return messages
  }

  @Test("HELLO has the bytes that casync sends")
  func hello() {
    let golden = "18 00 00 00 00 00 00 00  ee fb a5 8c 94 d0 71 3c  c0 00 00 00 00 00 00 00"
    #expect(RemoteMessage.hello([.pullChunks, .pullIndex]).encoded == bytes(hex: golden))
  }

  @Test("what was encoded is decoded again, however it is cut", arguments: [1, 7, 16, 1000])
  func roundTrip(step: Int) throws {
    var bytes = [UInt8]()
    for message in Self.messages { message.append(to: &bytes) }
    #expect(try read(bytes, step: step) == Self.messages)
  }

  @Test("no strict prefix of a message is one", arguments: messages)
  func prefixes(message: RemoteMessage) throws {
    for count in 0..<message.encoded.count {
      #expect(try read(Array(message.encoded[..<count])) == [])
    }
  }

  @Test("a flipped bit gives an error, another message, or none yet", arguments: messages)
  func flips(message: RemoteMessage) {
    for bit in 0..<message.encoded.count * 8 {
      var damaged = message.encoded
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      do throws(ProtocolError) {
        let messages = try read(damaged)
        #expect(messages != [message], "bit \(bit)")
      } catch {}
    }
  }

  @Test("random bytes are refused or wait for more, and nothing else", arguments: Generator.seeds(200))
  func garbage(seed: UInt64) {
    var generator = Generator(seed: seed)
    var bytes = [UInt8]()
    for _ in 0..<Int.random(in: 1...8, using: &generator) {
      // A plausible header before a body of chance.
      bytes.append(word: UInt64.random(in: 0...100, using: &generator))
      let kind = Self.messages.randomElement(using: &generator)?.kind ?? .hello
      bytes.append(word: Bool.random(using: &generator) ? kind.rawValue : generator.next())
      for _ in 0..<Int.random(in: 0...100, using: &generator) { bytes.append(UInt8(generator.next() & 255)) }
    }
    _ = try? read(bytes)
  }

  private static func raw(_ kind: RemoteMessage.Kind, _ body: [UInt8]) -> [UInt8] {
    var bytes = [UInt8]()
    bytes.append(word: UInt64(16 + body.count))
    bytes.append(word: kind.rawValue)
    return bytes + body
  }

  @Test(
    "a body that a message cannot have is refused",
    arguments: [
      raw(.hello, [1]), raw(.hello, [UInt8](repeating: 0, count: 16)), raw(.index, []), raw(.archive, []),
      raw(.indexEnd, [0]), raw(.archiveEnd, [0]), raw(.goodbye, [0]), raw(.request, []),
      raw(.request, [UInt8](repeating: 0, count: 8)), raw(.request, [UInt8](repeating: 0, count: 41)),
      raw(.request, [2] + [UInt8](repeating: 0, count: 39)), raw(.chunk, [UInt8](repeating: 0, count: 40)),
      raw(.chunk, [2] + [UInt8](repeating: 0, count: 40)), raw(.missing, [UInt8](repeating: 0, count: 31)),
      raw(.missing, [UInt8](repeating: 0, count: 33)), raw(.abort, [UInt8](repeating: 0, count: 8)),
      raw(.abort, [UInt8](repeating: 0, count: 8) + [65]),
      raw(.abort, [UInt8](repeating: 0, count: 8) + [7, 0]),
      raw(.abort, [0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0]),
    ])
  func bodies(bytes: [UInt8]) {
    #expect(throws: ProtocolError.self) { try read(bytes) }
  }

  @Test(
    "a text in the place of a message is another language", arguments: ["Last login: Mon Jan", "SSH-2.0-x y"])
  func otherLanguage(text: String) {
    #expect(throws: ProtocolError(.otherLanguage)) { try read(Array(text.utf8)) }
  }

  @Test("a message longer than 16 MiB is refused before it comes")
  func tooLong() throws {
    var bytes = RemoteMessage.goodbye.encoded
    bytes.append(word: UInt64(RemoteMessage.lengthLimit + 1))
    #expect(throws: ProtocolError(.size)) { try read(bytes) }
    let chunk = RemoteMessage.chunk(
      Self.id, isCompressed: true, [UInt8](repeating: 1, count: RemoteMessage.chunkLimit))
    #expect(chunk.encoded.count == RemoteMessage.lengthLimit)
    #expect(try read(chunk.encoded) == [chunk])
  }

  @Test("an ABORT carries no control characters and no impossible number")
  func abortText() throws {
    let sent = RemoteMessage.abort(number: .max, "a\nb\u{7f}c\0d")
    #expect(try read(sent.encoded) == [.abort(number: UInt64(Int32.max) - 1, "abcd")])
  }

  private static let all: RemoteFlags = [
    .readableStore, .writableStore, .readableIndex, .writableIndex, .readableArchive, .writableArchive,
  ]

  @Test(
    "flags are refused as the protocol says",
    arguments: [
      (RemoteFlags(rawValue: 0), ProtocolError(.badFlags([]))),
      (RemoteFlags(rawValue: .max), ProtocolError(.badFlags(RemoteFlags(rawValue: .max)))),
      (RemoteFlags(rawValue: 0x2001), ProtocolError(.unknownFlags(RemoteFlags(rawValue: 0x2001)))),
      (RemoteFlags(rawValue: 0xc00), ProtocolError(.badFlags(RemoteFlags(rawValue: 0xc00)))),
      (RemoteFlags.readableStore, ProtocolError(.nothingWanted)),
    ])
  func flags(flags: RemoteFlags, error: ProtocolError) {
    var channel = RemoteChannel(Self.all)
    channel.receive(RemoteMessage.hello(flags).encoded.rawSpan)
    #expect(throws: error) { try channel.next() }
    // It stays so, whatever comes.
    channel.receive(RemoteMessage.hello(.pullChunks).encoded.rawSpan)
    #expect(throws: error) { try channel.next() }
  }

  @Test(
    "each wish needs its offer",
    arguments: [
      (RemoteFlags.pullChunks, RemoteFlags.readableStore), (.pullIndex, .readableIndex),
      (.pullArchive, .readableArchive), (.pushChunks, .writableStore), (.pushIndex, .writableIndex),
      (.pushArchive, .writableArchive),
    ])
  func offers(wish: RemoteFlags, offer: RemoteFlags) throws {
    try RemoteFlags.agree(wish, offer)
    try RemoteFlags.agree(offer, wish)
    #expect(throws: ProtocolError(.notOffered(wish))) {
      try RemoteFlags.agree(wish, Self.all.subtracting(offer))
    }
  }
}
