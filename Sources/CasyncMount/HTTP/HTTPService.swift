internal import Casync
internal import CasyncFormat
internal import CasyncIO
internal import CasyncStore

/// What the HTTP server serves: the regular files below a directory, to be read, and stores and indexes there
/// to be written by who has the token.
package final class HTTPService: Sendable {
  private let root: String
  private let uploads: HTTPUploads?
  private let log: (@Sendable (String) -> Void)?

  /// - Parameters:
  ///   - directory: a directory that is there.
  ///   - token: what who writes must show; `nil` is read-only.
  ///   - log: called with a line for each request.
  /// - Throws: `SystemError` when there is no such directory.
  package init(_ directory: String, token: String?, log: (@Sendable (String) -> Void)?) throws {
    _ = try File.open(directory, .directory)
    guard let root = FileSystem.resolved(directory) else {
      throw SystemError("open", directory, errno: SystemError.notFound)
    }
    self.root = root
    self.log = log
    uploads = token.map { HTTPUploads(root: root, token: $0) }
  }

  /// - Returns: whether the connection stays.
  func answer(_ exchange: HTTPExchange) throws -> Bool {
    let request = exchange.request
    switch request.method {
    case .get, .head:
      // A body of a GET means nothing, and is not read.
      guard request.length ?? 0 == 0 else { throw HTTPRefusal(400, "a body where none belongs") }
      return try give(exchange)
    case .put:
      guard let uploads else {
        return try exchange.send(405, "this server is read-only", ["Allow: GET, HEAD"], isKept: false)
      }
      return try uploads.take(exchange)
    case .other:
      return try exchange.send(
        405, "only GET, HEAD and PUT are known here", ["Allow: GET, HEAD, PUT"], isKept: false)
    }
  }

  // MARK: Reading

  private func give(_ exchange: HTTPExchange) throws -> Bool {
    let request = exchange.request
    let name = request.path.joined(separator: "/")
    guard !request.path.isEmpty, let path = FileSystem.resolved("\(root)/\(name)"),
      path.hasPrefix(rootPrefix),
      let file = try? File.open(path, [.noFollow, .nonBlocking]), let status = try? file.status(),
      status.kind == .regular
    else {
      // Not there, or not to be read: the client need not know which.
      log?("\(request.method) /\(name) 404")
      return try exchange.send(404, "not there")
    }
    let validator = "\"\(String(status.inode, radix: 36))-\(status.size)-\(status.modified)\""
    // A chunk's name says what it holds for ever; an index may be another tomorrow.
    let isChunk = ChunkID(hex: FileSystem.name(of: path).prefix(64)) != nil
    let fields = [
      "ETag: \(validator)", "Accept-Ranges: bytes", "Content-Type: application/octet-stream",
      "Cache-Control: \(isChunk ? "public, max-age=31536000, immutable" : "no-cache")",
    ]
    if request.isKnown(validator) {
      log?("\(request.method) /\(name) 304")
      return try exchange.send(304, "", fields)
    }
    let part = request.part(of: status.size, validator: validator)
    switch part {
    case .all:
      log?("\(request.method) /\(name) 200 \(status.size)")
      return try exchange.send(200, file, 0..<status.size, fields)
    case .range(let range):
      log?("\(request.method) /\(name) 206 \(range.count)")
      let place = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(status.size)"
      return try exchange.send(206, file, range, fields + ["Content-Range: \(place)"])
    case .none:
      log?("\(request.method) /\(name) 416")
      return try exchange.send(416, "", ["Content-Range: bytes */\(status.size)"])
    }
  }

  private var rootPrefix: String { root == "/" ? "/" : root + "/" }
}
