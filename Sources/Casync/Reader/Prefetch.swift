/// What is fetched before anybody asks for it.
package enum Prefetch: String, CaseIterable, Sendable {
  case none
  /// What the profile names, in its order.
  case profile
  /// The same, then everything else in the order of the image.
  case all
}

/// Where a prefetch stands. Guarded by its owner.
struct PrefetchPlan {
  private var profile: ArraySlice<Int>
  private var rest: Range<Int>
  /// Bytes that may still be fetched; more would only push out of memory what came before.
  private var budget: Int

  /// - Parameters:
  ///   - profile: positions that are fetched first.
  ///   - count: chunks of the image.
  ///   - budget: most bytes to fetch.
  init(_ mode: Prefetch, profile: [Int], count: Int, budget: Int) {
    self.profile = mode == .none ? [] : profile[...]
    rest = 0..<(mode == .all ? count : 0)
    self.budget = budget
  }

  var isDone: Bool { profile.isEmpty && rest.isEmpty || budget <= 0 }

  /// The next positions.
  /// - Parameters:
  ///   - isIdle: whether nobody waits for anything: only then comes what no profile names.
  ///   - length: bytes of the chunk at a position; `nil` when it is not wanted.
  mutating func next(_ limit: Int, isIdle: Bool, _ length: (Int) -> Int?) -> [Int] {
    var positions = [Int]()
    while positions.count < limit, budget > 0,
      let position = profile.popFirst() ?? (isIdle ? rest.popFirst() : nil)
    {
      guard let length = length(position) else { continue }
      budget -= length
      positions.append(position)
    }
    return positions
  }
}
