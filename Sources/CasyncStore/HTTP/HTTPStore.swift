package import CasyncFormat
package import CasyncIO

/// A store behind a web server: static files under the names that they have in a local store, compressed ones
/// only.
package final class HTTPStore: ChunkStore {
  package let isRemote = true
  package let forms = [ChunkForm.compressed]
  let place: RemotePlace
  private let suffix: String
  /// Requests for sizes that are under way at one time.
  private static let sizesAtOnce = 1024

  package var name: String { place.name }

  init(_ place: RemotePlace, suffix: String) {
    self.place = place
    self.suffix = suffix
  }

  /// A store's URL without its arguments and trailing slashes (casync's rule).
  static func base(_ url: String) -> String {
    let host = url.firstRange(of: "://").map { $0.upperBound } ?? url.startIndex
    let end = url[host...].firstIndex { "?;".contains($0) } ?? url.endIndex
    var base = url[..<end]
    while base.endIndex > host, base.last == "/" { base = base.dropLast() }
    return String(base)
  }

  /// Where a chunk is.
  func file(_ id: ChunkID) -> RemotePlace { place.file(LocalStore.name(of: id) + suffix) }

  /// The most bytes that a chunk of `length` bytes takes compressed: what does not compress grows by less
  /// than a 64th.
  private static func limit(_ length: Int) -> Int { min(ChunkSizes.limit - 1, length + length / 64 + 4096) }

  package func request(_ id: ChunkID, length: Int, onMiss: (@Sendable () -> Void)?) -> ChunkRequest? {
    let limit = Self.limit(length)
    return ChunkRequest(.http(file(id).start(limit: limit, cost: limit, onMiss: onMiss)), of: name)
  }

  package func load(
    _ id: ChunkID, _ form: ChunkForm, into buffer: Buffer, _ range: Range<Int>, using loader: ChunkLoader,
    _ request: ChunkRequest?
  ) throws -> ChunkLoad {
    let request = request ?? self.request(id, length: range.count, onMiss: nil)
    guard form == .compressed, case .http(let ticket)? = request?.ticket,
      let body = try place.response(ticket)?.body, !body.isEmpty
    else { return .missing }
    let load = loader.load(body.rawSpan, of: name, into: buffer, range)
    if case .bad = load, Self.isWebPage(body) {
      return .bad(
        "\(name): the answer is a web page, not a chunk: some login page or proxy answered instead")
    }
    return load
  }

  /// Whether the bytes begin like HTML: neither a chunk nor an index does.
  package static func isWebPage(_ bytes: [UInt8]) -> Bool {
    bytes.first { ![9, 10, 13, 32].contains($0) } == UInt8(ascii: "<")
  }

  package func storedSizes(of ids: [ChunkID]) throws -> [UInt64?] {
    var sizes = [UInt64?]()
    var tickets = Fifo<HTTPTicket>()
    for (number, id) in ids.enumerated() {
      tickets.append(file(id).start(.head))
      let isLast = number + 1 == ids.count
      while tickets.count >= Self.sizesAtOnce || isLast, let ticket = tickets.popFirst() {
        sizes.append(try place.response(ticket).flatMap { $0.length == 0 ? nil : $0.length ?? 1 })
      }
    }
    return sizes
  }
}
