package import Casync
internal import CasyncFormat
package import CasyncIO

/// What is to be sent to a client, in order: short things copied together, long ones where they lie in
/// memory.
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
    add(buffer, start..<start + bytes.count)
  }

  private mutating func append(_ buffer: Buffer, _ range: Range<Int>) {
    guard range.count <= Self.copyLimit else { return add(buffer, range) }
    let (copy, start) = room(range.count)
    copy.copy(range, of: buffer, to: start)
    add(copy, start..<start + range.count)
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

  private mutating func add(_ buffer: Buffer, _ range: Range<Int>) {
    count += range.count
    if pieces.count > head, let last = pieces.last, last.buffer === buffer,
      last.range.upperBound == range.lowerBound
    {
      pieces[pieces.count - 1].range = last.range.lowerBound..<range.upperBound
    } else {
      pieces.append(Socket.Piece(buffer, range))
    }
  }

  // MARK: Answers to reads

  /// The answer to a read.
  /// - Parameter pieces: of the whole range, in order.
  package mutating func append(_ pieces: [ImagePiece], for request: NBDRequest) {
    guard request.isStructured else {
      append(NBDRequest.simpleHeader(request.cookie, error: 0))
      return pieces.forEach { append($0) }
    }
    var rest = pieces[...]
    while let first = rest.first {
      if first.buffer == nil, !request.dontFragment {
        rest.removeFirst()
        var chunk = NBDRequest.chunkHeader(request.cookie, .offsetHole, length: 12, isLast: rest.isEmpty)
        chunk.append(big: first.offset)
        chunk.append(big: UInt32(clamping: first.length))
        append(chunk)
        continue
      }
      let run = request.dontFragment ? rest : rest.prefix { $0.buffer != nil }
      rest.removeFirst(run.count)
      let length = 8 + run.reduce(0) { $0 + $1.length }
      var chunk = NBDRequest.chunkHeader(request.cookie, .offsetData, length: length, isLast: rest.isEmpty)
      chunk.append(big: first.offset)
      append(chunk)
      run.forEach { append($0) }
    }
  }

  private mutating func append(_ piece: ImagePiece) {
    if let buffer = piece.buffer {
      append(buffer, piece.start..<piece.start + piece.length)
    } else {
      appendZeros(piece.length)
    }
  }
}
