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
  }

  private let state = Mutex(State())
  private let completion: Completion

  /// It waits for nothing yet, but does not end before `start`.
  init(_ completion: @escaping Completion) { self.completion = completion }

  /// One more chunk is missing.
  func expect() { state.withLock { $0.missing += 1 } }

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
    if let result { completion(result) }
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
    if let result { completion(result) }
  }

  private static func arrived(_ state: inout State) -> Result<[ImagePiece], any Error>? {
    state.missing -= 1
    guard state.missing == 0 else { return nil }
    let pieces = state.pieces.flatMap { $0 }
    state.pieces = []
    return state.error.map { .failure($0) } ?? .success(pieces)
  }
}
