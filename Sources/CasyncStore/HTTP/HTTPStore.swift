package import CasyncFormat
package import CasyncIO

/// A store behind a web server: static files under the names that they have in a local store, compressed ones
/// only.
package final class HTTPStore: ChunkStore {
  package let name: String
  package let isRemote = true
  package let forms = [ChunkForm.compressed]
  /// The URL, up to where names are appended.
  private let base: String
  private let suffix: String
  private let client: HTTPClient
  /// Requests for sizes that are under way at one time.
  private static let sizesAtOnce = 1024

  init(_ url: String, _ client: HTTPClient, suffix: String) {
    name = Stores.name(url)
    base = Self.base(url)
    self.client = client
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

  private func url(_ id: ChunkID) -> String { "\(base)/\(LocalStore.name(of: id))\(suffix)" }

  /// The most bytes that a chunk of `length` bytes takes compressed: what does not compress grows by less
  /// than a 64th.
  private static func limit(_ length: Int) -> Int { min(ChunkSizes.limit - 1, length + length / 64 + 4096) }

  package func request(_ id: ChunkID, length: Int, onMiss: (@Sendable () -> Void)?) -> ChunkRequest? {
    let limit = Self.limit(length)
    return ChunkRequest(client.start(HTTPRequest(url: url(id), limit: limit), cost: limit, onMiss: onMiss))
  }

  package func load(
    _ id: ChunkID, _ form: ChunkForm, into buffer: Buffer, _ range: Range<Int>, using loader: ChunkLoader,
    _ request: ChunkRequest?
  ) throws -> ChunkLoad {
    guard form == .compressed, let request = request ?? self.request(id, length: range.count, onMiss: nil)
    else { return .missing }
    switch request.ticket.wait() {
    case .found(let body, _):
      guard !body.isEmpty else { return .missing }
      let load = loader.load(body.rawSpan, of: name, into: buffer, range)
      if case .bad = load, Self.isWebPage(body) {
        return .bad(
          "\(name): the answer is a web page, not a chunk: some login page or proxy answered instead")
      }
      return load
    case .missing: return .missing
    case .failed(let code, let reason): throw StoreError(code, name, reason)
    case .cancelled: throw CancellationError()
    }
  }

  /// Whether the bytes begin like HTML: neither a chunk nor an index does.
  package static func isWebPage(_ bytes: [UInt8]) -> Bool {
    bytes.first { ![9, 10, 13, 32].contains($0) } == UInt8(ascii: "<")
  }

  package func storedSizes(of ids: [ChunkID]) throws -> [UInt64?] {
    var sizes = [UInt64?]()
    var tickets = Fifo<HTTPTicket>()
    for (number, id) in ids.enumerated() {
      tickets.append(client.start(HTTPRequest(method: .head, url: url(id), limit: 0), cost: 0))
      let isLast = number + 1 == ids.count
      while tickets.count >= Self.sizesAtOnce || isLast, let ticket = tickets.popFirst() {
        switch ticket.wait() {
        case .found(_, let length): sizes.append(length)
        case .missing: sizes.append(nil)
        case .failed(let code, let reason): throw StoreError(code, name, reason)
        case .cancelled: throw CancellationError()
        }
      }
    }
    return sizes
  }
}
