/// What one end of casync's remote protocol offers and wants, as its HELLO says it.
package struct RemoteFlags: OptionSet, Hashable, Sendable {
  package let rawValue: UInt64

  package init(rawValue: UInt64) { self.rawValue = rawValue }

  // Offered by a server.
  package static let readableStore = RemoteFlags(rawValue: 0x1)
  package static let writableStore = RemoteFlags(rawValue: 0x2)
  package static let readableIndex = RemoteFlags(rawValue: 0x4)
  package static let writableIndex = RemoteFlags(rawValue: 0x8)
  package static let readableArchive = RemoteFlags(rawValue: 0x10)
  package static let writableArchive = RemoteFlags(rawValue: 0x20)

  // Wanted by a client.
  package static let pullChunks = RemoteFlags(rawValue: 0x40)
  package static let pullIndex = RemoteFlags(rawValue: 0x80)
  package static let pullArchive = RemoteFlags(rawValue: 0x100)
  package static let pushChunks = RemoteFlags(rawValue: 0x200)
  package static let pushIndex = RemoteFlags(rawValue: 0x400)
  /// "Ask me for the chunks of the index I push that you lack."
  package static let pushIndexChunks = RemoteFlags(rawValue: 0x800)
  package static let pushArchive = RemoteFlags(rawValue: 0x1000)

  private static let known = RemoteFlags(rawValue: 0x1fff)

  /// Each wish with the offer that it needs.
  private static let needs: [(wish: RemoteFlags, offer: RemoteFlags)] = [
    (.pullChunks, .readableStore), (.pullIndex, .readableIndex), (.pullArchive, .readableArchive),
    (.pushChunks, .writableStore), (.pushIndex, .writableIndex), (.pushArchive, .writableArchive),
  ]

  /// Refuses flags that no HELLO may have.
  func check() throws(ProtocolError) {
    guard rawValue != 0, rawValue != .max else { throw ProtocolError(.badFlags(self)) }
    guard isSubset(of: Self.known) else { throw ProtocolError(.unknownFlags(self)) }
    guard !contains(.pushIndexChunks) || isSuperset(of: [.pushIndex, .pushChunks]) else {
      throw ProtocolError(.badFlags(self))
    }
  }

  /// Refuses two ends of which one wants what the other does not offer, or that want nothing.
  static func agree(_ a: RemoteFlags, _ b: RemoteFlags) throws(ProtocolError) {
    var count = 0
    for (own, other) in [(a, b), (b, a)] {
      for (wish, offer) in needs where own.contains(wish) {
        guard other.contains(offer) else { throw ProtocolError(.notOffered(wish)) }
        count += 1
      }
    }
    guard count > 0 else { throw ProtocolError(.nothingWanted) }
  }
}
