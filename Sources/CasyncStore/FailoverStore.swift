package import CasyncFormat
package import CasyncIO
internal import Synchronization

/// Stores that hold the same chunks, `A|B`: one is asked until it fails, then the next. A chunk that is not
/// there is no failure.
package final class FailoverStore: ChunkStore {
  package let name: String
  package let isRemote: Bool
  package let forms: [ChunkForm]
  private let members: [any ChunkStore]
  /// Number of the one that is asked.
  private let active = Atomic(0)

  /// - Precondition: there is at least one member.
  init(_ members: [any ChunkStore]) {
    precondition(!members.isEmpty, "a group of no stores")
    self.members = members
    name = members.map(\.name).joined(separator: "|")
    isRemote = members.contains(where: \.isRemote)
    forms = ChunkForm.allCases.filter { form in members.contains { $0.forms.contains(form) } }
  }

  /// Asks the active member, and when that fails each of the others once.
  private func ask<Value>(_ body: (any ChunkStore) throws -> Value) throws -> Value {
    var failure: (any Error)?
    for _ in members.indices {
      let number = active.load(ordering: .relaxed)
      do {
        return try body(members[number])
      } catch let error as CancellationError {
        throw error
      } catch {
        failure = error
        // Of several threads that saw the same failure one goes on to the next.
        _ = active.compareExchange(
          expected: number, desired: (number + 1) % members.count, ordering: .relaxed)
      }
    }
    guard let failure else { preconditionFailure("a group of no stores") }
    throw failure
  }

  package func load(
    _ id: ChunkID, _ form: ChunkForm, into buffer: Buffer, _ range: Range<Int>, using loader: ChunkLoader,
    _ request: ChunkRequest?
  ) throws -> ChunkLoad {
    try ask { member in
      guard member.forms.contains(form) else { return .missing }
      // What another member was asked for beforehand is no answer of this one.
      let own = request.flatMap { $0.place == member.name ? $0 : nil }
      return try member.load(id, form, into: buffer, range, using: loader, own)
    }
  }

  package func request(_ id: ChunkID, length: Int, onMiss: (@Sendable () -> Void)?) -> ChunkRequest? {
    members[active.load(ordering: .relaxed)].request(id, length: length, onMiss: onMiss)
  }

  package func storedSizes(of ids: [ChunkID]) throws -> [UInt64?] { try ask { try $0.storedSizes(of: ids) } }
}
