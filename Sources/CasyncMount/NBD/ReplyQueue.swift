package import CasyncIO

/// What is to be sent to a client, in order: short things copied together, long ones where they lie.
package struct ReplyQueue {
  /// Pieces up to this length are copied.
  private static let copyLimit = 8 << 10
  private static let stagingLength = 64 << 10

  private var pieces: [Socket.Piece] = []
  private var head = 0
  private var staging: Buffer?
  private var stagingEnd = 0
  /// What zeros are sent from.
  private let zeros: Buffer
  /// Bytes to be sent.
  package private(set) var count = 0

  /// - Parameter zeros: a buffer of zeros, shared by all queues; not empty.
  package init(zeros: Buffer) { self.zeros = zeros }

  package var isEmpty: Bool { count == 0 }

  /// The first pieces, to be sent by one call.
  package var front: ArraySlice<Socket.Piece> { pieces[head...].prefix(Socket.pieceLimit) }

  /// The first `count` bytes were sent.
  package mutating func drop(_ count: Int) {
    precondition(count <= self.count, "more was sent than there was")
    self.count -= count
    var rest = count
    while rest > 0 {
      let step = min(rest, pieces[head].range.count)
      rest -= step
      if step == pieces[head].range.count {
        head += 1
      } else {
        let range = pieces[head].range
        pieces[head].range = range.lowerBound + step..<range.upperBound
      }
    }
    if head == pieces.count {
      pieces.removeAll(keepingCapacity: true)
      head = 0
      stagingEnd = 0
    } else if head >= 1024 {
      pieces.removeFirst(head)
      head = 0
    }
  }

  // MARK: Adding

  package mutating func append(_ bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    let (buffer, start) = room(bytes.count)
    buffer.copy(bytes.rawSpan, to: start)
    add(Socket.Piece(buffer, start..<start + bytes.count))
  }

  private mutating func append(_ buffer: Buffer, _ range: Range<Int>) {
    guard range.count <= Self.copyLimit else { return add(Socket.Piece(buffer, range)) }
    let (copy, start) = room(range.count)
    copy.copy(range, of: buffer, to: start)
    add(Socket.Piece(copy, start..<start + range.count))
  }

  private mutating func appendZeros(_ length: Int) {
    var rest = length
    while rest > 0 {
      let step = min(rest, zeros.count)
      append(zeros, 0..<step)
      rest -= step
    }
  }

  /// Memory to copy `length` bytes to.
  private mutating func room(_ length: Int) -> (Buffer, Int) {
    if let staging, staging.count - stagingEnd >= length {
      defer { stagingEnd += length }
      return (staging, stagingEnd)
    }
    let fresh = Buffer(count: max(length, Self.stagingLength))
    staging = fresh
    stagingEnd = length
    return (fresh, 0)
  }

  private mutating func add(_ piece: Socket.Piece) {
    count += piece.range.count
    if pieces.count > head, let last = pieces.last, let buffer = last.buffer, buffer === piece.buffer,
      last.range.upperBound == piece.range.lowerBound
    {
      pieces[pieces.count - 1].range = last.range.lowerBound..<piece.range.upperBound
    } else {
      pieces.append(piece)
    }
  }

  // MARK: Answers to reads

  /// The answer to a read.
  /// - Parameter parts: of the whole range, in order.
  package mutating func append(_ parts: [ReplyPart], for request: NBDRequest) {
    guard request.isStructured else {
      append(NBDRequest.simpleHeader(request.cookie, error: 0))
      return parts.forEach { append($0) }
    }
    var rest = parts[...]
    while let first = rest.first {
      if first.isZeros, !request.dontFragment {
        rest.removeFirst()
        var chunk = NBDRequest.chunkHeader(request.cookie, .offsetHole, length: 12, isLast: rest.isEmpty)
        chunk.append(big: first.offset)
        chunk.append(big: UInt32(clamping: first.length))
        append(chunk)
        continue
      }
      let run = request.dontFragment ? rest : rest.prefix { !$0.isZeros }
      rest.removeFirst(run.count)
      let length = 8 + run.reduce(0) { $0 + $1.length }
      var chunk = NBDRequest.chunkHeader(request.cookie, .offsetData, length: length, isLast: rest.isEmpty)
      chunk.append(big: first.offset)
      append(chunk)
      run.forEach { append($0) }
    }
  }

  private mutating func append(_ part: ReplyPart) {
    switch part.source {
    case .zeros: appendZeros(part.length)
    case .memory(let buffer, let start): append(buffer, start..<start + part.length)
    case .file(let file):
      let start = Int(part.offset)
      add(Socket.Piece(file, start..<start + part.length))
    }
  }
}
