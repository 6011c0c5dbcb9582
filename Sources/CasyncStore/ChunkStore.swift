package import CasyncFormat
package import CasyncIO

/// How a chunk lies in a store.
package enum ChunkForm: CaseIterable, Sendable {
  case compressed, plain
}

/// What became of loading a chunk.
package enum ChunkLoad: Sendable {
  /// It fills the range; so many bytes were read for it.
  case loaded(storedBytes: Int)
  case missing
  /// Something is there, but is not the chunk, for this reason.
  case bad(String)
}

/// A place that chunks are read from. All calls but `request` block; a store may be shared between threads.
package protocol ChunkStore: AnyObject, Sendable {
  /// The store as it is named in messages, without secrets.
  var name: String { get }

  /// Whether each call takes a round trip, so that chunks should be requested before their turn.
  var isRemote: Bool { get }

  /// The forms that a chunk may have there, the likelier first.
  var forms: [ChunkForm] { get }

  /// Reads and decompresses one form of a chunk into `range` of `buffer`, which is as long as the chunk.
  ///
  /// The digest is not compared: the caller does that, for many chunks at once. What is in the range after
  /// anything but `.loaded` is undefined.
  /// - Parameter request: what `request` returned for the chunk.
  /// - Throws: `StoreError` (denied, unreachable), `SystemError`, `CancellationError`.
  func load(
    _ id: ChunkID, _ form: ChunkForm, into buffer: Buffer, _ range: Range<Int>, using loader: ChunkLoader,
    _ request: ChunkRequest?
  ) throws -> ChunkLoad

  /// Starts getting a chunk of `length` bytes. Does not block.
  /// - Parameter onMiss: called once it turns out that the store has no such chunk; must not block.
  /// - Returns: what `load` takes; `nil` where there is nothing to gain.
  func request(_ id: ChunkID, length: Int, onMiss: (@Sendable () -> Void)?) -> ChunkRequest?

  /// Length in bytes of each chunk as stored; `nil` when it is missing.
  func storedSizes(of ids: [ChunkID]) throws -> [UInt64?]
}

/// A chunk that was asked for. When nobody has it any more the request is given up.
package final class ChunkRequest: Sendable {
  /// What the store knows it by.
  enum Ticket: Sendable {
    case http(HTTPTicket)
    case ssh(SSHTicket)
  }

  let ticket: Ticket
  /// Name of the store that was asked.
  let place: String

  init(_ ticket: Ticket, of place: String) {
    self.ticket = ticket
    self.place = place
  }
}
