import Testing

@testable import CasyncMount

@Suite("Heads of HTTP requests")
struct HTTPHeadTests {
  private static func parse(_ text: String) throws(HTTPRefusal) -> HTTPHead? {
    try HTTPHead.parse(Array(text.utf8))?.head
  }

  private static let good = "GET /a/b%20c.caibx?x=y HTTP/1.1\r\nHost: h\r\nRange: bytes=1-2\r\nX:  y \r\n\r\n"

  @Test("are read, and what follows is left")
  func reading() throws {
    let (head, length) = try #require(try HTTPHead.parse(Array((Self.good + "rest").utf8)))
    #expect(head.method == .get && head.path == ["a", "b c.caibx"] && head.isKept && head.length == nil)
    #expect(head["x"] == "y" && head["range"] == "bytes=1-2")
    #expect(length == Self.good.utf8.count)
  }

  @Test("are none before their empty line")
  func prefixes() throws {
    for count in 0..<Self.good.utf8.count {
      #expect(try HTTPHead.parse(Array(Self.good.utf8.prefix(count))) == nil)
    }
  }

  @Test("with any byte changed are read or refused, and nothing else")
  func changes() {
    for index in Self.good.utf8.indices {
      for byte in [0, 10, 13, 32, 37, 127, 255] as [UInt8] {
        var bytes = Array(Self.good.utf8)
        bytes[Self.good.utf8.distance(from: Self.good.startIndex, to: index)] = byte
        _ = try? HTTPHead.parse(bytes)
      }
    }
  }

  @Test(
    "that two readers could take for different things are refused",
    arguments: [
      ("GET /x HTTP/1.1\r\n\r\n", 400), ("GET  /x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
      ("GET /x HTTP/2.0\r\nHost: h\r\n\r\n", 505), ("GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400),
      ("G(T /x HTTP/1.1\r\nHost: h\r\n\r\n", 400), ("GET /x HTTP/1.1\r\nHost : h\r\n\r\n", 400),
      ("GET /x HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400),
      ("GET /x HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400),
      ("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
      ("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n", 400),
      ("PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
      ("PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
      ("GET /x HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n", 400), ("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400),
      ("GET /../x HTTP/1.1\r\nHost: h\r\n\r\n", 404), ("GET /a/%2e%2e/x HTTP/1.1\r\nHost: h\r\n\r\n", 404),
      ("GET /a%2fb HTTP/1.1\r\nHost: h\r\n\r\n", 404), ("GET /a//b HTTP/1.1\r\nHost: h\r\n\r\n", 404),
      ("GET /.hidden HTTP/1.1\r\nHost: h\r\n\r\n", 404), ("GET /a%00 HTTP/1.1\r\nHost: h\r\n\r\n", 404),
      ("GET /" + String(repeating: "x", count: 17000) + " HTTP/1.1\r\nHost: h\r\n\r\n", 431),
      (String(repeating: "x", count: 17000), 431),
    ])
  func refusals(text: String, status: Int) {
    let refusal = #expect(throws: HTTPRefusal.self) { try Self.parse(text) }
    #expect(refusal?.status == status)
  }

  @Test(
    "ask for parts of a file",
    arguments: [
      ("bytes=0-0", HTTPHead.Part.range(0..<1)), ("bytes=2-", .range(2..<10)), ("bytes=-3", .range(7..<10)),
      ("bytes=-30", .range(0..<10)), ("bytes=5-99", .range(5..<10)), ("bytes=10-", .none),
      ("bytes=-0", .none),
      ("bytes=4-3", .all), ("bytes=0-1,3-4", .all), ("items=0-1", .all), ("bytes=-", .all),
      ("bytes=a-b", .all),
      ("bytes=18446744073709551615-", .none), ("bytes=0-18446744073709551615", .range(0..<10)),
    ] as [(String, HTTPHead.Part)])
  func parts(range: String, part: HTTPHead.Part) throws {
    let head = try #require(try Self.parse("GET / HTTP/1.1\r\nHost: h\r\nRange: \(range)\r\n\r\n"))
    #expect(head.part(of: 10, validator: "\"v\"") == part)
  }

  @Test("ask for a part of a version that they name")
  func validators() throws {
    let text =
      "GET / HTTP/1.1\r\nHost: h\r\nRange: bytes=2-\r\nIf-Range: \"a\"\r\nIf-None-Match: \"b\", \"c\"\r\n\r\n"
    let head = try #require(try Self.parse(text))
    #expect(head.part(of: 10, validator: "\"a\"") == .range(2..<10))
    #expect(head.part(of: 10, validator: "\"b\"") == .all)
    #expect(head.isKnown("\"c\"") && !head.isKnown("\"a\""))
  }
}
