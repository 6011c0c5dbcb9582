internal import CasyncIO

extension RemotePlace {
  private static let pieceLength: UInt64 = 4 << 20
  /// Pieces that are asked for at one time.
  private static let piecesAhead = 2

  /// Passes on the bytes of a file, in their order: in parts, the next of which are on their way. Blocks.
  /// - Throws: `StoreError` (notFound; unreachable also when the file changes on the way),
  ///   `CancellationError`.
  func stream(_ body: (RawSpan) throws -> Void) throws {
    guard let head = try response(start(.head)) else { throw StoreError(.notFound, name, "not there") }
    guard let length = head.length else {
      throw StoreError(.unreachable, name, "the server does not say how long it is")
    }
    // All parts are of one file.
    let headers = head.validator.map { $0.hasPrefix("\"") ? ["If-Match: \($0)"] : [] } ?? []
    var parts = Fifo<(range: Range<UInt64>, ticket: HTTPTicket)>()
    var next: UInt64 = 0
    while next < length || !parts.isEmpty {
      while next < length, parts.count < Self.piecesAhead {
        let range = next..<min(length, next + Self.pieceLength)
        parts.append((range, start(limit: range.count, headers: headers, range: range)))
        next = range.upperBound
      }
      guard let (range, ticket) = parts.popFirst() else { return }
      guard let bytes = try response(ticket)?.body, bytes.count == range.count else {
        throw StoreError(.unreachable, name, "the server does not send it in parts")
      }
      try body(bytes.rawSpan)
    }
  }
}
