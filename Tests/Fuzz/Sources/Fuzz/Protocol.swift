internal import CasyncFormat

/// What the other end of casync's remote protocol sends, to the end that the first byte says, in pieces whose
/// length the second says.
func fuzzProtocol(_ bytes: [UInt8]) {
  guard bytes.count > 2 else { return }
  let rest = bytes.dropFirst(2)
  let step = bytes[1] == 0 ? rest.count : Int(bytes[1])
  let id = ChunkID(words: [1, 2, 3, 4])
  switch bytes[0] % 4 {
  case 0:
    var end = PullClient(wants: [.pullChunks, .pullIndex, .pullArchive])
    end.request(id, isUrgent: true)
    converse(rest, step) { piece in
      end.receive(piece.rawSpan)
      while try end.next() != nil {}
      return end.takeOutput().count
    }
  case 1:
    var end = PullServer(offers: [.readableStore, .readableIndex, .readableArchive])
    converse(rest, step) { piece in
      end.receive(piece.rawSpan)
      while try end.next() != nil {}
      require(end.requestCount <= PullServer.requestLimit)
      while let id = end.popRequest() { end.send(.missing(id)) }
      return end.takeOutput().count
    }
  case 2:
    var end = PushClient(wants: [.pushChunks, .pushIndex, .pushIndexChunks])
    converse(rest, step) { piece in
      end.receive(piece.rawSpan)
      while try end.next() != nil {}
      while let id = end.popRequest() { end.send(.missing(id)) }
      return end.takeOutput().count
    }
  default:
    var end = PushServer(offers: [.writableStore, .writableIndex])
    converse(rest, step) { piece in
      end.receive(piece.rawSpan)
      while try end.next() != nil {
        while let id = end.nextNamed() { end.request(id) }
      }
      _ = end.isComplete
      return end.takeOutput().count
    }
  }
}

/// Gives `bytes` to one end, piece by piece, until it has seen enough; what it answers is no more than 64
/// times what it got, and a HELLO.
private func converse(_ bytes: ArraySlice<UInt8>, _ step: Int, _ receive: ([UInt8]) throws -> Int) {
  var rest = bytes
  var answered = 0
  while !rest.isEmpty {
    let piece = Array(rest.prefix(step))
    rest = rest.dropFirst(step)
    guard let count = try? receive(piece) else { return }
    answered += count
    require(answered <= 64 * bytes.count + 4096)
  }
}
