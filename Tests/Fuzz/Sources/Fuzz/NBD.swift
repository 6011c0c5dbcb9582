internal import CasyncFormat
internal import CasyncMount

/// What an NBD client sends, in pieces whose length the first byte says; the answers are made, too.
func fuzzNBD(_ bytes: [UInt8]) {
  guard let first = bytes.first else { return }
  let sizes: [UInt64] = [1 << 20, 512]
  var session = NBDSession(exports: [
    NBDSession.Export(name: "", size: sizes[0]),
    NBDSession.Export(name: "two", size: sizes[1], description: "second", isWritable: true),
  ])
  var rest = bytes.dropFirst()
  let step = first == 0 ? max(1, rest.count) : Int(first)
  var isOver = false
  repeat {
    while let action = session.next() {
      require(!isOver)
      switch action {
      case .send(let reply): require(reply.count < 1 << 20)
      case .read(let request), .prefetch(let request), .blockStatus(let request):
        require(!request.range.isEmpty && request.range.upperBound <= sizes[request.export])
        _ = request.failure(.io, "why")
      case .write(let request, let data):
        require(data.count == request.length && request.range.upperBound <= 512 && request.export == 1)
      case .zero(let request), .trim(let request):
        require(!request.range.isEmpty && request.range.upperBound <= sizes[request.export])
        require(request.export == 1)
      // A client that asks for TLS sends nothing else that is understood here.
      case .startTLS: return
      case .flush: break
      case .finish, .abort: isOver = true
      }
    }
    let piece = Array(rest.prefix(step))
    rest = rest.dropFirst(step)
    session.receive(piece.rawSpan)
    require(session.bufferedCount <= bytes.count)
  } while !rest.isEmpty || session.hasAction
}
