internal import CasyncFormat

/// The chunks that came last: who asks for one again is answered from here, since casync answers each only
/// once a connection.
struct RecentAnswers {
  /// Bytes that are kept.
  static let limit = 4 << 20

  private var answers: [ChunkID: SSHAnswer] = [:]
  private var order: [(id: ChunkID, count: Int)] = []
  private var head = 0
  private var count = 0

  subscript(id: ChunkID) -> SSHAnswer? { answers[id] }

  mutating func keep(_ id: ChunkID, _ answer: SSHAnswer) {
    guard case .chunk(let bytes, _) = answer, bytes.count <= Self.limit, answers[id] == nil else { return }
    answers[id] = answer
    order.append((id, bytes.count))
    count += bytes.count
    while count > Self.limit {
      answers[order[head].id] = nil
      count -= order[head].count
      head += 1
    }
    // Places that were left are given up when they are the greater part.
    if head * 2 > order.count {
      order.removeFirst(head)
      head = 0
    }
  }
}
