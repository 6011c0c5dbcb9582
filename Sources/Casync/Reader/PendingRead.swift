package import CasyncIO
internal import Synchronization

/// A piece of an image in memory.
package struct ImagePiece: Sendable {
  /// Offset in the image in bytes.
  package let offset: UInt64
  package var length: Int
  /// Where its bytes lie; `nil` for zeros. To be read only: others see the same buffer.
  package let buffer: Buffer?
  /// Where in the buffer they begin.
  package let start: Int

  /// Bytes at `start` of `buffer`.
  package init(offset: UInt64, length: Int, buffer: Buffer?, start: Int) {
    self.offset = offset
    self.length = length
    self.buffer = buffer
    self.start = start
  }

  /// Zeros.
  package init(zerosAt range: Range<UInt64>) {
    self.init(
      offset: range.lowerBound, length: Int(range.upperBound - range.lowerBound), buffer: nil, start: 0)
  }
}

/// A read that waits for chunks. The last of them to come ends it, on the thread that loaded it.
final class PendingRead: Sendable {
  typealias Completion = @Sendable (Result<[ImagePiece], any Error>) -> Void

  private struct State {
    var missing = 1
    /// Of each place; none where something is missing.
    var pieces: [[ImagePiece]] = []
    var error: (any Error)?
    /// Whether it waits for a store.
    var isStalled = false
  }

  private let state = Mutex(State())
  private let completion: Completion
  private let tally: ReadTally?

  /// It waits for nothing yet, but does not end before `start`.
  /// - Parameter tally: what counts how long it waits for stores.
  init(tally: ReadTally? = nil, _ completion: @escaping Completion) {
    self.tally = tally
    self.completion = completion
  }

  /// One more piece is missing.
  func expect(fromStore: Bool = false) {
    let isStalled = state.withLock { state in
      state.missing += 1
      defer { state.isStalled = state.isStalled || fromStore }
      return fromStore && !state.isStalled
    }
    if isStalled { tally?.beginWait() }
  }

  /// What is there already, in the order of the image, with `nil` where a chunk is missing.
  func start(_ pieces: [ImagePiece?]) {
    let result = state.withLock { state -> Result<[ImagePiece], any Error>? in
      for (place, piece) in pieces.enumerated() {
        if place >= state.pieces.count {
          state.pieces.append(piece.map { [$0] } ?? [])
        } else if let piece {
          state.pieces[place] = [piece]
        }
      }
      return Self.arrived(&state)
    }
    if let result { end(result) }
  }

  /// What was missing came; no pieces when nobody wants to see them.
  func deliver(_ result: Result<[ImagePiece], any Error>, at place: Int) {
    let result = state.withLock { state -> Result<[ImagePiece], any Error>? in
      switch result {
      case .success(let pieces):
        while state.pieces.count <= place { state.pieces.append([]) }
        state.pieces[place] = pieces
      case .failure(let error):
        state.error = state.error ?? error
      }
      return Self.arrived(&state)
    }
    if let result { end(result) }
  }

  private func end(_ result: Result<[ImagePiece], any Error>) {
    if state.withLock({ $0.isStalled }) { tally?.endWait() }
    completion(result)
  }

  private static func arrived(_ state: inout State) -> Result<[ImagePiece], any Error>? {
    state.missing -= 1
    guard state.missing == 0 else { return nil }
    let pieces = state.pieces.flatMap { $0 }
    state.pieces = []
    return state.error.map { .failure($0) } ?? .success(pieces)
  }
}
