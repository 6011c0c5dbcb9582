import Foundation
import TestSupport
import Testing

/// nginx on loopback, by HTTP and by HTTPS with HTTP/2, with an image, its index and its store as static
/// files.
final class Site: @unchecked Sendable {
  // Written in `init` only; the scratch directory is used by one test at a time.
  let scratch: Scratch
  let port: Int
  let securePort: Int
  /// For who shows the certificate.
  let mutualPort: Int
  /// The small pair's new image, and a part of it where a test takes long.
  let image: String
  let slice: String
  private let server: Running

  static let sliceLength = 24 << 20

  @TaskLocal private static var shared: Site?
  static var current: Site { get throws { try #require(shared) } }

  var url: String { "http://127.0.0.1:\(port)" }
  var secureURL: String { "https://localhost:\(securePort)" }
  var certificate: String { scratch("cert.pem") }

  private init() throws {
    let scratch = try Scratch(.memory)
    self.scratch = scratch
    image = try Images.small + "/new.ext4"
    slice = try scratch.slice(image, count: Self.sliceLength, to: "slice")
    try Tool.run("mkdir", "-p", scratch("www/portal"), scratch("www/empty"))
    for (name, file) in [("new", image), ("slice", slice)] {
      try Site.succeed("put", "--store=\(scratch("www/default.castr"))", scratch("www/\(name).caibx"), file)
    }
    try Tool.run(
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
      "2",
      "-keyout", scratch("key.pem"), "-out", scratch("cert.pem"), "-subj", "/CN=localhost", "-addext",
      "subjectAltName=DNS:localhost")
    let ports = try Tool.run(
      "python3", "-c",
      "import socket; s = [socket.create_server(('127.0.0.1', 0)) for _ in 'abc']; "
        + "print(*[x.getsockname()[1] for x in s])"
    ).split(separator: " ").compactMap { Int($0) }
    try #require(ports.count == 3)
    (port, securePort, mutualPort) = (ports[0], ports[1], ports[2])
    try scratch.write(Array(Self.configuration(scratch.path, ports).utf8), to: "nginx.conf")
    // One process without a master: killed by its number, it is gone.
    server = try Running("nginx", ["-p", scratch.path, "-c", scratch("nginx.conf")])
    let url = url
    guard server.wait(until: { (try? Site.casync("info", "\(url)/new.caibx").status) == 0 }) else {
      throw Tool.Failure("nginx does not answer: \(server.errorsSoFar)")
    }
  }

  private static func configuration(_ path: String, _ ports: [Int]) -> String {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map { "\($0)_temp_path \(path)/\($0);" }.joined(separator: " ")
    return """
      daemon off; master_process off; user root; pid \(path)/pid; error_log \(path)/error.log;
      events { worker_connections 512; }
      http {
        log_format line '$request $status $http_x_token';
        access_log \(path)/access.log line; \(temporary) root \(path)/www; sendfile on;
        server {
          listen 127.0.0.1:\(ports[0]);
          location /auth/ { return 401; }
          location /forbidden/ { return 403; }
          location /loop/ { return 302 $request_uri; }
          location /moved/ { rewrite ^/moved/(.*)$ /$1 redirect; }
          location /elsewhere/ { rewrite ^/elsewhere/(.*)$ http://localhost:$server_port/$1 redirect; }
          location /portal/ { return 200 "<!DOCTYPE html><title>Please log in</title>"; }
          location /broken/ { return 400; }
          location /bucket/ { rewrite ^/bucket/(.*)$ /$1 break; error_page 404 =403 @none; }
          location @none { return 403; }
          location /dav/ { dav_methods PUT DELETE; create_full_put_path on; client_max_body_size 0; }
        }
        server {
          listen 127.0.0.1:\(ports[1]) ssl http2;
          ssl_certificate \(path)/cert.pem; ssl_certificate_key \(path)/key.pem;
          location /down/ { return 302 http://127.0.0.1:\(ports[0])/new.caibx; }
        }
        server {
          listen 127.0.0.1:\(ports[2]) ssl http2;
          ssl_certificate \(path)/cert.pem; ssl_certificate_key \(path)/key.pem;
          ssl_client_certificate \(path)/cert.pem; ssl_verify_client on;
        }
      }
      """
  }

  /// Publishes before the first test of a suite; ends the server and takes everything away after the last.
  struct Trait: SuiteTrait, TestScoping {
    func provideScope(
      for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
      try await Site.$shared.withValue(Site(), operation: function)
    }
  }

  // MARK: What tests do with it

  /// Our program, without the credentials and proxies of who runs the tests.
  static func casync(_ arguments: String..., environment: [String: String?] = [:]) throws -> Command {
    try casync(arguments, environment: environment)
  }

  static func casync(_ arguments: [String], environment: [String: String?] = [:]) throws -> Command {
    var clean: [String: String?] = ["HOME": "/nonexistent"]
    let names = ProcessInfo.processInfo.environment.keys.filter {
      $0.lowercased().hasSuffix("_proxy") || $0.hasPrefix("AWS_")
    }
    for name in names + ["CASYNC_CONFIG", "XDG_CONFIG_HOME"] { clean.updateValue(nil, forKey: name) }
    return try Command.casync(arguments, environment: clean.merging(environment) { $1 })
  }

  @discardableResult
  static func succeed(_ arguments: String..., environment: [String: String?] = [:]) throws -> Command {
    let run = try casync(arguments, environment: environment)
    guard run.status == 0 else { throw Tool.Failure("\(arguments): status \(run.status): \(run.errors)") }
    return run
  }

  /// The requests that nginx has answered, `METHOD PATH VERSION STATUS TOKEN`; the log starts anew.
  func takeLog() throws -> [String] {
    let text = String(decoding: try scratch.bytes("access.log"), as: UTF8.self)
    try Tool.run("truncate", "--size=0", scratch("access.log"))
    return text.split(separator: "\n").map(String.init)
  }

  /// The fault proxy in front of nginx.
  func proxy(_ options: String...) throws -> FaultProxy { try FaultProxy(port, options) }

  /// The same, spoken to by TLS.
  func secureProxy(_ options: String...) throws -> FaultProxy {
    try FaultProxy(port, options + ["tls=\(certificate),\(scratch("key.pem"))"])
  }
}

/// `Tests/Faults/http-proxy.py`, running.
final class FaultProxy {
  private let process: Running
  let url: String
  let port: String

  /// - Parameter script: another one that prints its port.
  init(_ port: Int, _ options: [String], script: String = "http-proxy.py") throws {
    process = try Running("python3", [Repository.path("Tests/Faults/\(script)"), "\(port)"] + options)
    let process = process
    guard process.wait(until: { process.errorsSoFar.contains("\n") }),
      let port = process.errorsSoFar.split(separator: "\n").first
    else { throw Tool.Failure("\(script) does not start: \(process.errorsSoFar)") }
    self.port = String(port)
    let isSecure = options.contains { $0.hasPrefix("tls=") }
    url = isSecure ? "https://localhost:\(port)" : "http://127.0.0.1:\(port)"
  }

  /// The requests so far, with what went wrong with each.
  var requests: [String] { process.errorsSoFar.split(separator: "\n").dropFirst().map(String.init) }
}

/// `ci/test` sets it: then what a test needs has to be there.
let isCI = ProcessInfo.processInfo.environment["CI"] == "1"

extension Trait where Self == ConditionTrait {
  static func tools(_ names: String...) -> Self {
    .enabled("needs \(names.joined(separator: ", "))") {
      try isCI || names.allSatisfy { try Command.run("which", [$0]).status == 0 }
    }
  }
}
