internal import Casync
internal import CasyncFormat
internal import CasyncIO

/// What a thread serves requests with. Not shared between threads.
final class HTTPWorker {
  let check = ChunkCheck()
  let buffer = Buffer(count: 256 << 10)

  /// Answers the requests of a connection until there is none for now.
  /// - Returns: whether the connection stays.
  func serve(_ connection: HTTPConnection, _ service: HTTPService, _ cancellation: Cancellation) throws
    -> Bool
  {
    while true {
      do {
        guard let (head, length) = try HTTPHead.parse(connection.input) else {
          switch try connection.receive(buffer, cancellation) {
          case .bytes: continue
          case .nothing: return true
          case .ended: return false
          }
        }
        connection.input.removeFirst(length)
        let exchange = HTTPExchange(connection, head, self, cancellation)
        guard try service.answer(exchange) else { return false }
      } catch let refusal as HTTPRefusal {
        let text = Array("\(refusal.reason)\n".utf8)
        let head = HTTPExchange.head(refusal.status, length: UInt64(text.count), isKept: false, [])
        _ = try connection.send((Array(head.utf8) + text).rawSpan, cancellation)
        return false
      }
    }
  }
}

/// A request and the way to answer it.
struct HTTPExchange {
  let request: HTTPHead
  private let connection: HTTPConnection
  private let worker: HTTPWorker
  private let cancellation: Cancellation

  init(_ connection: HTTPConnection, _ request: HTTPHead, _ worker: HTTPWorker, _ cancellation: Cancellation)
  {
    self.connection = connection
    self.request = request
    self.worker = worker
    self.cancellation = cancellation
  }

  var check: ChunkCheck { worker.check }

  /// The head of an answer.
  static func head(_ status: Int, length: UInt64?, isKept: Bool, _ fields: [String]) -> String {
    var lines = ["HTTP/1.1 \(status) \(phrases[status] ?? "Status")"]
    if let length { lines.append("Content-Length: \(length)") }
    lines += fields
    if !isKept { lines.append("Connection: close") }
    return lines.joined(separator: "\r\n") + "\r\n\r\n"
  }

  private static let phrases = [
    200: "OK", 201: "Created", 206: "Partial Content", 304: "Not Modified", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    411: "Length Required", 413: "Content Too Large", 416: "Range Not Satisfiable",
    422: "Unprocessable Content",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
    503: "Service Unavailable", 505: "HTTP Version Not Supported", 507: "Insufficient Storage",
  ]

  /// Answers with a line of text, or with nothing.
  /// - Returns: whether the connection stays.
  func send(_ status: Int, _ text: String = "", _ fields: [String] = [], isKept: Bool = true) throws -> Bool {
    // What was not received of a body would be taken for the next request.
    let isKept = isKept && request.isKept
    let body = text.isEmpty ? [] : Array("\(text)\n".utf8)
    let hasBody = status != 304
    let head = Self.head(status, length: hasBody ? UInt64(body.count) : nil, isKept: isKept, fields)
    let bytes = Array(head.utf8) + (request.method == .head ? [] : body)
    return try connection.send(bytes.rawSpan, cancellation) && isKept
  }

  /// Answers with bytes of a file, without them to HEAD.
  /// - Returns: whether the connection stays.
  func send(_ status: Int, _ file: File, _ range: Range<UInt64>, _ fields: [String]) throws -> Bool {
    let length = range.upperBound - range.lowerBound
    let head = Self.head(status, length: length, isKept: request.isKept, fields)
    guard try connection.send(Array(head.utf8).rawSpan, cancellation) else { return false }
    guard request.method == .get else { return request.isKept }
    let buffer = worker.buffer
    var offset = range.lowerBound
    while offset < range.upperBound {
      let wanted = Int(min(UInt64(buffer.count), range.upperBound - offset))
      let count = try file.read(at: offset, into: buffer, 0..<wanted)
      // A file that became shorter meanwhile: the client sees that its answer is cut.
      guard count == wanted, try connection.send(buffer.bytes.extracting(0..<count), cancellation) else {
        return false
      }
      offset += UInt64(count)
    }
    return request.isKept
  }

  /// The body of the request.
  /// - Returns: `nil` when the client does not send it.
  func body(_ length: Int) throws -> [UInt8]? {
    if request["expect"]?.lowercased() == "100-continue" {
      let line = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
      guard try connection.send(line.rawSpan, cancellation) else { return nil }
    }
    return try connection.body(length, worker.buffer, cancellation)
  }
}
