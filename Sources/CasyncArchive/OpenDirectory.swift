import CasyncFormat
import CasyncIO
import Synchronization

/// A directory that is being extracted: it stays open until all in it is done, whichever thread did it.
final class OpenDirectory: Sendable {
  /// What is left to do when nothing in the directory is under way any more.
  struct Ending: Sendable {
    /// `nil` for a directory that is not a node of the archive.
    let node: CatarNode?
    /// Names that the archive has in it, ascending.
    let names: [[UInt8]]
    /// Attributes of chattr(1) that it has.
    let attributes: UInt32?
  }

  private struct State {
    /// The directory itself, until it ends, and what is under way in it.
    var pending = 1
    var ending: Ending?
  }

  let file: File
  let parent: OpenDirectory?
  /// Nothing was in it before.
  let isNew: Bool
  private let state = Mutex(State())

  init(_ file: File, in parent: OpenDirectory?, isNew: Bool) {
    self.file = file
    self.parent = parent
    self.isNew = isNew
    parent?.retain()
  }

  /// Something in it begins.
  func retain() { state.withLock { $0.pending += 1 } }

  /// Nothing new will begin in it.
  func end(_ ending: Ending) { state.withLock { $0.ending = ending } }

  /// Something in it, or after `end` the directory itself, is done.
  /// - Returns: what is left to do, to whoever was the last.
  func release() -> Ending? {
    state.withLock { state in
      state.pending -= 1
      return state.pending == 0 ? state.ending : nil
    }
  }
}
