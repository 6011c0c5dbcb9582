import Foundation
import TestSupport
import Testing

/// `casync serve`, running on a free port.
private final class Server {
  let scratch: Scratch
  let url: String
  private let process: Running

  static let token = "a-token-of-the-tests"

  init(_ scratch: Scratch, _ options: String...) throws {
    self.scratch = scratch
    let ready = scratch("listening")
    // The line with the address goes to a file that can be waited for.
    process = try Running(
      "sh",
      ["-c", "exec \"$@\" >\(ready)", "sh", Command.binary, "serve", scratch("www"), "--listen=127.0.0.1:0"]
        + options,
      environment: ["CASYNC_TOKEN": Self.token])
    let process = process
    guard process.wait(until: { (try? scratch.text("listening"))?.contains("\n") ?? false }) else {
      throw Tool.Failure("casync serve does not start: \(process.errorsSoFar)")
    }
    url = String(try scratch.text("listening").dropFirst("Listening: ".count).dropLast(2))
  }

  /// curl's idea of an answer: the status, and what else `format` asks for.
  func curl(_ arguments: String..., format: String = "%{http_code}") throws -> String {
    try Tool.run("curl", "-sS", "-o", scratch("body"), "-w", format, "--path-as-is", arguments: arguments)
  }

  /// What comes back for bytes sent as they are.
  func raw(_ text: String) throws -> String {
    let port = url.split(separator: ":").last.map(String.init) ?? ""
    let script = """
      import socket, sys
      s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
      s.sendall(sys.argv[2].encode("latin1").decode("unicode_escape").encode("latin1"))
      s.shutdown(socket.SHUT_WR)
      while True:
          piece = s.recv(65536)
          if not piece: break
          sys.stdout.buffer.write(piece)
      """
    return try Tool.run("python3", "-c", script, port, text)
  }

  func end() throws -> Command {
    process.send(SIGTERM)
    return try process.wait()
  }
}

extension Tool {
  fileprivate static func run(_ name: String, _ fixed: String..., arguments: [String]) throws -> String {
    let run = try Command.run(name, fixed + arguments)
    guard run.status == 0 else { throw Failure("\(name) \(arguments): \(run.status): \(run.errors)") }
    return run.output
  }
}

@Suite("casync serve", .serialized, .tools("curl", "python3", "casync"))
struct ServeTests {
  private static let length = 8 << 20
  private static let authorization = "Authorization: Bearer \(Server.token)"

  /// A directory to serve, with an image's index and store.
  private static func site() throws -> Scratch {
    let scratch = try Scratch(.memory)
    try Tool.run("mkdir", "-p", scratch("www"))
    try scratch.slice(Images.small + "/new.ext4", count: length, to: "image")
    try Site.succeed(
      "put", "--store=\(scratch("www/default.castr"))", scratch("www/image.caibx"), scratch("image"))
    return scratch
  }

  @Test("an image comes whole to us, to casync, and as files to curl")
  func reading() throws {
    let scratch = try Self.site()
    let server = try Server(scratch)
    try Site.succeed("get", "--state-dir=none", "\(server.url)/image.caibx", scratch("target"))
    #expect(try Tool.isSame(scratch("target"), scratch("image")))
    try Tool.run("/usr/bin/casync", "extract", "\(server.url)/image.caibx", scratch("theirs"))
    #expect(try Tool.isSame(scratch("theirs"), scratch("image")))
    #expect(try server.curl("\(server.url)/image.caibx") == "200")
    #expect(try scratch.bytes("body") == scratch.bytes("www/image.caibx"))
    let end = try server.end()
    #expect(end.status == 0, "\(end.errors)")
  }

  @Test("the same by HTTPS, for who trusts its certificate")
  func secure() throws {
    let scratch = try Self.site()
    try Tool.run("mkdir", scratch("tls"))
    try Tool.run(
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
      "2",
      "-keyout", scratch("tls/server-key.pem"), "-out", scratch("tls/server-cert.pem"), "-subj",
      "/CN=localhost",
      "-addext", "subjectAltName=IP:127.0.0.1")
    let server = try Server(scratch, "--writable", "--tls-certs=\(scratch("tls"))")
    #expect(server.url.hasPrefix("https://"))
    let trust = "--cacert=\(scratch("tls/server-cert.pem"))"
    let index = "\(server.url)/image.caibx"
    try Site.succeed("get", trust, "--state-dir=none", index, scratch("target"))
    #expect(try Tool.isSame(scratch("target"), scratch("image")))
    try Tool.run("rm", "-r", scratch("www/default.castr"))
    try Site.succeed(
      "put", trust, "--header=\(Self.authorization)", "\(server.url)/new.caibx", scratch("image"))
    #expect(try scratch.bytes("www/new.caibx") == scratch.bytes("www/image.caibx"))
    let stranger = try Site.casync("info", index)
    #expect(stranger.status == 1 && stranger.errors.contains("certificate"), "\(stranger.errors)")
  }

  @Test("HEAD, ranges, validators and connections that stay work as HTTP says")
  func http() throws {
    let scratch = try Self.site()
    let server = try Server(scratch)
    let index = "\(server.url)/image.caibx"
    let bytes = try scratch.bytes("www/image.caibx")
    #expect(try server.curl("-r", "64-103", index) == "206")
    #expect(try scratch.bytes("body") == Array(bytes[64..<104]))
    #expect(try server.curl("-r", "\(bytes.count)-", index) == "416")
    #expect(try server.curl("-I", index, format: "%{http_code} %{header_json}").contains("\(bytes.count)"))
    let tag = try server.curl("-I", index, format: "%header{etag}")
    #expect(try server.curl("-H", "If-None-Match: \(tag)", index) == "304")
    #expect(try server.curl("-H", "If-None-Match: \"x\"", index) == "200")
    #expect(try server.curl(index, "-o", scratch("second"), index, format: "%{num_connects} ") == "1 0 ")
  }

  @Test(
    "what leads out of the directory, or is no file, is not there",
    arguments: [
      "/", "/default.castr", "/../image", "/%2e%2e/image", "/link", "/fifo", "/.hidden", "/no.caibx",
      "//image.caibx",
    ])
  func outside(path: String) throws {
    let scratch = try Self.site()
    try Tool.run("ln", "-s", "../image", scratch("www/link"))
    try Tool.run("mkfifo", scratch("www/fifo"))
    try scratch.write([1], to: "www/.hidden")
    let server = try Server(scratch)
    #expect(try server.curl("\(server.url)\(path)") == "404")
  }

  @Test("hostile requests get an answer or an end, and the server goes on")
  func hostile() throws {
    let scratch = try Self.site()
    let server = try Server(scratch, "--writable")
    for (text, status) in [
      ("GET / HTTP/1.1\\r\\n\\r\\n", "400"), ("nonsense\\r\\n\\r\\n", "400"),
      ("GET /x HTTP/1.1\\r\\nHost: h\\r\\nContent-Length: 5\\r\\n\\r\\nhello", "400"),
      ("PUT /x.caibx HTTP/1.1\\r\\nHost: h\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n", "501"),
      ("DELETE /image.caibx HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n", "405"),
      ("GET /" + String(repeating: "x", count: 20000), "431"),
      ("PUT /x.caibx HTTP/1.1\\r\\nHost: h\\r\\nContent-Length: 99999999999\\r\\n\\r\\n", "401"),
    ] {
      #expect(try server.raw(text).hasPrefix("HTTP/1.1 \(status) "), "\(text.prefix(60))")
    }
    #expect(try server.raw("") == "")
    // A body that ends too early leaves nothing.
    let cut =
      "PUT /x.caibx HTTP/1.1\\r\\nHost: h\\r\\n\(Self.authorization)\\r\\nContent-Length: 100\\r\\n\\r\\nabc"
    #expect(try server.raw(cut) == "")
    #expect(try scratch.names(in: "www") == ["default.castr", "image.caibx"])
    // Two requests at once are answered in order.
    let two =
      "GET /no HTTP/1.1\\r\\nHost: h\\r\\n\\r\\nHEAD /image.caibx HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n"
    let answers = try server.raw(two)
    #expect(answers.hasPrefix("HTTP/1.1 404 ") && answers.contains("HTTP/1.1 200 "))
  }

  @Test("an image is put there by us, with the token only, and verified")
  func writing() throws {
    let scratch = try Self.site()
    let server = try Server(scratch, "--writable")
    let target = "\(server.url)/new.caibx"
    let header = "--header=\(Self.authorization)"
    let refused = try Site.casync("put", target, scratch("image"))
    #expect(refused.status == 1 && refused.errors.contains("refuses access"), "\(refused.errors)")
    try Tool.run("rm", "-r", scratch("www/default.castr"))
    try Site.succeed("put", header, target, scratch("image"))
    #expect(try scratch.bytes("www/new.caibx") == scratch.bytes("www/image.caibx"))
    try Site.succeed("check", scratch("www/default.castr"))
    #expect(try Tool.run("find", scratch("www"), "-name", "*.tmp", "-o", "-name", ".#*") == "")
    try Site.succeed("put", header, target, scratch("image"))

    // What is not what its name says, or names what is not there, is refused.
    let id = String(repeating: "ab", count: 32)
    try scratch.write(Array("no chunk".utf8), to: "junk")
    func put(_ path: String, _ file: String) throws -> String {
      try server.curl("-H", Self.authorization, "-T", scratch(file), "\(server.url)/\(path)")
    }
    #expect(try put("default.castr/abab/\(id).cacnk", "junk") == "422")
    #expect(try put("bad.caibx", "junk") == "422")
    #expect(try put("notes.txt", "junk") == "403")
    #expect(try put("abab/\(id)", "junk") == "403")
    #expect(try put("no/where/new.caibx", "www/image.caibx") == "409")
    try Tool.run("mkdir", scratch("www/other"))
    #expect(try put("other/new.caibx", "www/image.caibx") == "409")
    #expect(try scratch.names(in: "www/other") == [])
    #expect(try server.curl("-T", scratch("www/image.caibx"), target) == "401")
    #expect(
      try server.curl("-H", "\(Self.authorization)x", "-T", scratch("www/image.caibx"), target) == "401")
  }

  @Test("without --writable nothing is taken, and --writable wants a token")
  func readOnly() throws {
    let scratch = try Self.site()
    let server = try Server(scratch)
    let put = ["-H", Self.authorization, "-T", scratch("image"), "\(server.url)/x.caibx"]
    #expect(try server.curl(put[0], put[1], put[2], put[3], put[4]) == "405")
    let run = try Command.casync(
      ["serve", "--writable", "--listen=127.0.0.1:0", scratch("www")], environment: ["CASYNC_TOKEN": nil])
    #expect(run.status == 1 && run.errors.contains("needs a token"), "\(run.errors)")
  }
}
