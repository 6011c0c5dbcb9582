/// The chunks that the other end asked for, in the order in which they are to be answered: urgent ones first,
/// each once.
///
/// casync asks again, urgently, for each chunk it waits for; what was answered a short time ago is on its way
/// and is not answered again.
struct RequestQueue: Sendable {
  /// Answers that are remembered, at least.
  private static let memory = 65_536

  private var urgent = ChunkLine()
  private var others = ChunkLine()
  /// Waiting chunks, and whether they are urgent.
  private var waiting: [ChunkID: Bool] = [:]
  private var answered: Set<ChunkID> = []
  private var answeredBefore: Set<ChunkID> = []

  /// Chunks that wait for an answer.
  var count: Int { waiting.count }

  mutating func add(_ ids: [ChunkID], isUrgent: Bool) {
    for id in ids where !answered.contains(id) && !answeredBefore.contains(id) {
      switch waiting[id] {
      case nil: isUrgent ? urgent.append(id) : others.append(id)
      // Its other place in line is passed over when its turn comes.
      case false? where isUrgent: urgent.append(id)
      default: continue
      }
      waiting[id] = isUrgent
    }
  }

  /// The chunk to be answered next; it counts as answered.
  mutating func popFirst() -> ChunkID? {
    while let id = urgent.popFirst() ?? others.popFirst() {
      guard waiting.removeValue(forKey: id) != nil else { continue }
      if answered.count >= Self.memory {
        answeredBefore = answered
        answered = []
      }
      answered.insert(id)
      return id
    }
    return nil
  }
}

/// Chunks in line.
private struct ChunkLine: Sendable {
  private var ids: [ChunkID] = []
  private var head = 0

  mutating func append(_ id: ChunkID) { ids.append(id) }

  mutating func popFirst() -> ChunkID? {
    guard head < ids.count else { return nil }
    defer {
      head += 1
      // Places that were left are given up when they are the greater part.
      if head * 2 > ids.count {
        ids.removeFirst(head)
        head = 0
      }
    }
    return ids[head]
  }
}
