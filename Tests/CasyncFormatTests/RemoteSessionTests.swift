import Testing

@testable import CasyncFormat

/// Bytes that go between two ends, in pieces of chance.
private struct Wire {
  var generator: Generator

  mutating func carry(_ bytes: [UInt8], to receive: (RawSpan) -> Void) {
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + Int.random(in: 1...200, using: &generator))
      receive(bytes.rawSpan.extracting(start..<end))
      start = end
    }
  }
}

@Suite("A pull without I/O")
struct PullTests {
  @Test("index and chunks arrive, each once, whatever the order and the cuts", arguments: Generator.seeds(30))
  func exchange(seed: UInt64) throws {
    var wire = Wire(generator: Generator(seed: seed))
    let index = IndexSample.random(seed).encoded
    let ids = (0..<20).map { _ in ChunkID.random(using: &wire.generator) }
    var client = PullClient(wants: [.pullIndex, .pullChunks])
    var server = PullServer(offers: [.readableIndex, .readableStore])
    var received = [UInt8]()
    var isIndexThere = false
    var answers = [ChunkID: Int]()
    for id in ids { client.request(id, isUrgent: Bool.random(using: &wire.generator)) }
    for id in ids.shuffled(using: &wire.generator).prefix(7) { client.request(id, isUrgent: true) }
    for _ in 0..<4 {
      wire.carry(client.takeOutput()) { server.receive($0) }
      while let event = try server.next() {
        guard case .begin(let wants) = event else { continue }
        #expect(wants == [.pullIndex, .pullChunks])
        for start in stride(from: 0, to: index.count, by: 100) {
          server.send(.index(Array(index[start..<min(index.count, start + 100)])))
        }
        server.send(.indexEnd)
      }
      while let id = server.popRequest() {
        id.words[0] % 3 == 0
          ? server.send(.missing(id)) : server.send(.chunk(id, isCompressed: true, Array(id.hex.utf8)))
      }
      wire.carry(server.takeOutput()) { client.receive($0) }
      while let event = try client.next() {
        switch event {
        case .index(let bytes): received += bytes
        case .indexEnd: isIndexThere = true
        case .chunk(let id, _, let bytes):
          answers[id, default: 0] += 1
          #expect(bytes == Array(id.hex.utf8))
        case .missing(let id): answers[id, default: 0] += 1
        case .archive, .archiveEnd: Issue.record("nobody asked for an archive")
        }
      }
      for id in ids.prefix(5) { client.request(id, isUrgent: true) }
    }
    #expect(isIndexThere && received == index)
    #expect(answers == Dictionary(uniqueKeysWithValues: ids.map { ($0, 1) }))
    client.sayGoodbye()
    server.receive(client.takeOutput().rawSpan)
    var last: PullServer.Event?
    while let event = try server.next() { last = event }
    #expect(last == .ended)
  }

  @Test("urgent requests go before others, a chunk that becomes urgent too, and none twice")
  func priorities() {
    let ids = (1...5).map { ChunkID(words: [$0, 0, 0, 0]) }
    var queue = RequestQueue()
    queue.add(ids, isUrgent: false)
    queue.add([ids[3]], isUrgent: true)
    queue.add([ids[3], ids[0]], isUrgent: false)
    #expect(queue.count == 5)
    #expect((0..<6).map { _ in queue.popFirst() } == [ids[3], ids[0], ids[1], ids[2], ids[4], nil])
    queue.add(ids, isUrgent: true)
    #expect(queue.popFirst() == nil)
  }

  @Test("an answer to nothing is ignored, and so is a second one")
  func duplicates() throws {
    let id = RemoteMessageTests.id
    var client = PullClient(wants: .pullChunks)
    client.request(id, isUrgent: true)
    for message in [
      RemoteMessage.hello(.readableStore), .chunk(ChunkID(words: [9, 9, 9, 9]), isCompressed: true, [1]),
      .chunk(id, isCompressed: false, [2]), .chunk(id, isCompressed: false, [3]), .missing(id),
    ] {
      client.receive(message.encoded.rawSpan)
    }
    #expect(try client.next() == .chunk(id, isCompressed: false, [2]))
    #expect(try client.next() == nil)
  }

  @Test("the client refuses what a server may not say", arguments: RemoteMessageTests.messages)
  func clientRefusals(message: RemoteMessage) {
    for wants in [RemoteFlags.pullChunks, .pullIndex, .pullArchive] {
      var client = PullClient(wants: wants)
      let offers: RemoteFlags = [.readableStore, .readableIndex, .readableArchive]
      client.receive(RemoteMessage.hello(offers).encoded.rawSpan)
      client.receive(message.encoded.rawSpan)
      let isAllowed =
        switch message.kind {
        case .index, .indexEnd: wants == .pullIndex
        case .archive, .archiveEnd: wants == .pullArchive
        case .chunk, .missing: wants == .pullChunks
        default: false
        }
      let hasEvent = (try? client.next()) != nil
      #expect(hasEvent == (isAllowed && wants != .pullChunks))
      if !isAllowed { #expect(throws: ProtocolError.self) { try client.next() } }
    }
  }

  @Test("the server refuses what a client may not say, and everything before HELLO")
  func serverRefusals() throws {
    for message in RemoteMessageTests.messages {
      var server = PullServer(offers: [.readableStore, .readableIndex])
      server.receive(message.encoded.rawSpan)
      if message.kind != .hello { #expect(throws: ProtocolError.self) { try server.next() } }
      server = PullServer(offers: [.readableStore, .readableIndex])
      server.receive(RemoteMessage.hello(.pullChunks).encoded.rawSpan)
      #expect(try server.next() == .begin(.pullChunks))
      server.receive(message.encoded.rawSpan)
      if ![.request, .goodbye].contains(message.kind) {
        #expect(throws: ProtocolError.self) { try server.next() }
      }
    }
    var server = PullServer(offers: [.readableStore, .readableIndex])
    server.receive(RemoteMessage.hello(.pullIndex).encoded.rawSpan)
    #expect(try server.next() == .begin(.pullIndex))
    server.receive(RemoteMessage.request(isUrgent: true, [RemoteMessageTests.id]).encoded.rawSpan)
    #expect(throws: ProtocolError(.unexpected(.request))) { try server.next() }
  }
}

@Suite("A push without I/O")
struct PushTests {
  private static let wants: RemoteFlags = [.pushIndex, .pushChunks, .pushIndexChunks]
  private static let offers: RemoteFlags = [.writableIndex, .writableStore]

  @Test(
    "the server asks once for each chunk that it lacks, and ends when all are there",
    arguments: Generator.seeds(30))
  func exchange(seed: UInt64) throws {
    var wire = Wire(generator: Generator(seed: seed))
    let sample = IndexSample.random(seed)
    let index = sample.encoded
    var store = Set(sample.chunks.map(\.id).filter { $0.words[1] % 2 == 0 })
    var client = PushClient(wants: Self.wants)
    var server = PushServer(offers: Self.offers)
    var sent = 0
    var answered = [ChunkID]()
    var isDone = false
    for _ in 0..<200 where !isDone {
      if sent < index.count {
        let end = min(index.count, sent + max(64, Int.random(in: 1...300, using: &wire.generator)))
        client.sendIndex(Array(index[sent..<end]))
        sent = end
        if sent == index.count { client.sendIndex(nil) }
      }
      wire.carry(client.takeOutput()) { server.receive($0) }
      while let event = try server.next() {
        if case .chunk(let id, _, _) = event { store.insert(id) }
      }
      while let id = server.nextNamed() { if !store.contains(id) { server.request(id) } }
      if server.isComplete { server.send(.goodbye) }
      wire.carry(server.takeOutput()) { client.receive($0) }
      while let event = try client.next() { isDone = isDone || event == .done }
      while let id = client.popRequest() {
        answered.append(id)
        client.send(.chunk(id, isCompressed: true, [1]))
      }
    }
    #expect(isDone)
    #expect(server.index == index)
    #expect(store.isSuperset(of: sample.chunks.map(\.id)))
    #expect(Set(answered).count == answered.count)
  }

  @Test(
    "no strict prefix of what a client sends completes a push, and no flipped bit puts another index in place"
  )
  func damage() throws {
    var sample = IndexSample()
    sample.chunks = [(1000, RemoteMessageTests.id)]
    var client = PushClient(wants: [.pushIndex])
    client.sendIndex(sample.encoded)
    client.sendIndex(nil)
    let bytes = client.takeOutput()
    for count in 0..<bytes.count {
      var server = PushServer(offers: Self.offers)
      server.receive(bytes.rawSpan.extracting(0..<count))
      while try server.next() != nil {}
      #expect(!server.isComplete)
    }
    for bit in 0..<bytes.count * 8 {
      var damaged = bytes
      damaged[bit / 8] ^= 1 << UInt8(bit % 8)
      var server = PushServer(offers: Self.offers)
      server.receive(damaged.rawSpan)
      while (try? server.next()) != nil {}
      // What is complete all the same is an index, though not the one that was sent.
      if server.isComplete { #expect(throws: Never.self) { try decode(server.index) } }
    }
  }

  @Test("what is no index is refused at once, and what is cut short at its end")
  func badIndexes() throws {
    var server = PushServer(offers: Self.offers)
    for message in [RemoteMessage.hello(Self.wants), .index([UInt8](repeating: 7, count: 64))] {
      server.receive(message.encoded.rawSpan)
    }
    #expect(try server.next() == .begin(Self.wants))
    #expect(throws: ProtocolError(.badIndex(IndexError(.notAnIndex, at: 0)))) { try server.next() }

    server = PushServer(offers: Self.offers)
    for message in [
      RemoteMessage.hello(Self.wants), .index(Array(IndexSample().encoded.dropLast())), .indexEnd,
    ] {
      server.receive(message.encoded.rawSpan)
    }
    #expect(try server.next() == .begin(Self.wants))
    #expect(try server.next() == .index)
    #expect(throws: ProtocolError.self) { try server.next() }
    #expect(!server.isComplete)
  }

  @Test("the server refuses chunks that it did not ask for, and a chunk that the client lacks")
  func chunks() throws {
    let id = RemoteMessageTests.id
    for message in [RemoteMessage.chunk(id, isCompressed: true, [1]), .missing(id)] {
      for isAsked in [false, true] {
        var server = PushServer(offers: Self.offers)
        server.receive(RemoteMessage.hello(Self.wants).encoded.rawSpan)
        #expect(try server.next() == .begin(Self.wants))
        if isAsked { server.request(id) }
        server.receive(message.encoded.rawSpan)
        guard isAsked, message.kind == .chunk else {
          #expect(throws: ProtocolError.self) { try server.next() }
          continue
        }
        #expect(try server.next() == .chunk(id, isCompressed: true, [1]))
        #expect(throws: Never.self) { try server.next() }
      }
    }
  }

  @Test("the client does not take a GOODBYE for the end before it has sent everything")
  func earlyGoodbye() throws {
    var client = PushClient(wants: Self.wants)
    for message in [RemoteMessage.hello(Self.offers), .goodbye] { client.receive(message.encoded.rawSpan) }
    #expect(try client.next() == .connected)
    #expect(throws: ProtocolError(.unexpected(.goodbye))) { try client.next() }
  }

  @Test("the client refuses what a server may not say", arguments: RemoteMessageTests.messages)
  func refusals(message: RemoteMessage) throws {
    var client = PushClient(wants: Self.wants)
    client.receive(RemoteMessage.hello(Self.offers).encoded.rawSpan)
    #expect(try client.next() == .connected)
    client.receive(message.encoded.rawSpan)
    guard message.kind != .request else { return }
    #expect(throws: ProtocolError.self) { try client.next() }
  }
}
