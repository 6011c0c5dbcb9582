import Foundation
import TestSupport
import Testing

@Suite("Over HTTP", .serialized, .tools("nginx", "openssl", "python3"), Site.Trait())
struct HTTPTests {
  @Test(
    "an image comes whole from nginx, each chunk asked for once, within the bound of memory",
    arguments: [false, true])
  func get(isSecure: Bool) throws {
    let site = try Site.current
    let faults = try Faults(site.scratch)
    let target = site.scratch("target")
    _ = try site.takeLog()
    let base = isSecure ? site.secureURL : site.url
    try Site.succeed(
      "get", "--state-dir=none", "--cacert=\(site.certificate)", "\(base)/new.caibx", target,
      environment: faults.environment([.read]))
    #expect(try Tool.isSame(target, site.image))
    let requests = try site.takeLog()
    #expect(Set(requests).count == requests.count)
    #expect(requests.allSatisfy { $0.contains(isSecure ? " HTTP/2.0 200" : " HTTP/1.1 200") })
    let peak = try faults.takeReport().peakBytes
    #expect(peak < 64 << 20, "\(peak) bytes of memory")
    try site.scratch.remove("target")
  }

  @Test("resets, cut bodies, busy answers and garbage cost time only")
  func faults() throws {
    let site = try Site.current
    let proxy = try site.proxy("every=3")
    let target = site.scratch("target")
    try Site.succeed("get", "--state-dir=none", "\(proxy.url)/slice.caibx", target)
    #expect(try Tool.isSame(target, site.slice))
    for fault in ["reset", "truncate", "busy", "garbage"] {
      #expect(proxy.requests.contains { $0.hasSuffix(fault) })
    }
    try site.scratch.remove("target")
  }

  @Test("a store that goes away for three seconds is waited for")
  func outage() throws {
    let site = try Site.current
    let proxy = try site.proxy("die=200")
    let target = site.scratch("target")
    try Site.succeed("get", "--state-dir=none", "\(proxy.url)/slice.caibx", target)
    #expect(try Tool.isSame(target, site.slice))
    try site.scratch.remove("target")
  }

  @Test("each answer 20 ms later does not add up")
  func delay() throws {
    let site = try Site.current
    let proxy = try site.proxy("delay=20")
    let target = site.scratch("target")
    let start = ContinuousClock.now
    try Site.succeed("get", "--state-dir=none", "\(proxy.url)/slice.caibx", target)
    let seconds = start.duration(to: .now) / .seconds(1)
    #expect(try Tool.isSame(target, site.slice))
    // No verdict: the machine may be busy with other things.
    print("20 ms an answer: \(proxy.requests.count) requests in \(seconds) s")
    try site.scratch.remove("target")
  }

  @Test("a download of an index that is cut again and again goes on where it was")
  func resume() throws {
    let site = try Site.current
    let length = try site.scratch.bytes("www/new.caibx").count
    let proxy = try site.proxy("cut=100000")
    _ = try site.takeLog()
    let run = try Site.succeed("list-chunks", "\(proxy.url)/new.caibx")
    #expect(run.output == (try Site.succeed("list-chunks", site.scratch("www/new.caibx")).output))
    #expect(proxy.requests.count == (length + 99_999) / 100_000)
    #expect(try site.takeLog().filter { $0.contains(" 206 ") }.count == proxy.requests.count - 1)
  }

  @Test("what is cached is not asked for again; a second store is asked for what the first lacks")
  func places() throws {
    let site = try Site.current
    let target = site.scratch("target")
    func get() throws {
      try Site.succeed(
        "get", "--state-dir=none", "--cache=\(site.scratch("cache"))", "--store=\(site.url)/empty",
        "--extra-store=\(site.url)/default.castr", "\(site.url)/slice.caibx", target)
      #expect(try Tool.isSame(target, site.slice))
      try site.scratch.remove("target")
    }
    try get()
    _ = try site.takeLog()
    try get()
    #expect(try site.takeLog().count == 1)
    try site.scratch.remove("cache")
  }

  @Test("an image is put onto a server that takes files: what is there is not sent, the index comes last")
  func put() throws {
    let site = try Site.current
    try Tool.run("mkdir", "-p", site.scratch("www/dav"))
    _ = try site.takeLog()
    let digest = try Site.succeed("put", "\(site.url)/dav/slice.caibx", site.slice).output
    let log = try site.takeLog()
    let puts = log.filter { $0.hasPrefix("PUT ") }
    #expect(puts.allSatisfy { $0.contains(" 201 ") })
    #expect(puts.last?.hasPrefix("PUT /dav/slice.caibx ") == true)
    #expect(log.last == puts.last)
    #expect(
      try site.scratch.bytes("www/dav/slice.caibx") == site.scratch.bytes("www/slice.caibx"))
    #expect(try digest.prefix(64) == Tool.run("sha256sum", site.scratch("www/slice.caibx")).prefix(64))
    try Site.succeed("check", site.scratch("www/dav/default.castr"))
    try Site.succeed(
      "put", "\(site.url)/dav/again.caibx", "--store=\(site.url)/dav/default.castr", site.slice)
    #expect(try site.takeLog().filter { $0.hasPrefix("PUT ") }.map { $0.prefix(16) } == ["PUT /dav/again.c"])
    let target = site.scratch("target")
    try Site.succeed("get", "--state-dir=none", "\(site.url)/dav/slice.caibx", target)
    #expect(try Tool.isSame(target, site.slice))
    try site.scratch.remove("target")
    try site.scratch.remove("www/dav")
  }

  @Test("verify, digest, diff and info read indexes and stores over HTTP like local ones")
  func otherVerbs() throws {
    let site = try Site.current
    let local = site.scratch("www")
    #expect(try Site.succeed("verify", "\(site.url)/slice.caibx", site.slice).output == "")
    for arguments in [
      ["info", "@/slice.caibx"], ["digest", "@/slice.caibx"],
      ["diff", "--store=@/default.castr", "@/slice.caibx", "@/new.caibx"],
    ] {
      func output(_ place: String) throws -> String {
        let run = try Site.casync(arguments.map { $0.replacingOccurrences(of: "@", with: place) })
        #expect(run.status == 0, "\(run.errors)")
        return run.output
      }
      #expect(try output(site.url) == output(local))
    }
    let target = site.scratch("target")
    try Site.succeed(
      "extract", "--seed-output=no", "--state-dir=none", "\(site.url)/moved/slice.caibx?a=b", target)
    #expect(try Tool.isSame(target, site.slice))
    try site.scratch.remove("target")
    let seeded = try Site.succeed(
      "get", "--state-dir=none", "--json", "--store=\(site.url)/empty", "--seed=\(site.slice)",
      "--seed-index=\(site.url)/slice.caibx", "\(site.url)/slice.caibx", target)
    #expect(seeded.output.contains("\"fetchedBytes\":0"))
    try site.scratch.remove("target")
  }

  @Test("trees are listed, digested and extracted from a server as from a directory")
  func trees() throws {
    let site = try Site.current
    // More than one part of an archive.
    try Tool.run("mkdir", "-p", site.scratch("tree/d"))
    try Tool.run("cp", site.slice, site.scratch("tree/d/slice"))
    try site.scratch.write([1, 2, 3], to: "tree/small")
    for name in ["tree.caidx", "tree.catar"] {
      try Site.succeed("make", site.scratch("www/\(name)"), site.scratch("tree"))
      for verb in ["list", "mtree", "stat", "digest"] {
        let remote = try Site.succeed(verb, "\(site.url)/\(name)").output
        #expect(try remote == Site.succeed(verb, site.scratch("www/\(name)")).output)
      }
      try Site.succeed("extract", "\(site.url)/\(name)", site.scratch("out"))
      try Tool.run("diff", "-r", site.scratch("tree"), site.scratch("out"))
      try site.scratch.remove("out")
    }
    try site.scratch.remove("tree")
  }

  @Test("headers go with each request")
  func headers() throws {
    let site = try Site.current
    _ = try site.takeLog()
    try Site.succeed("info", "--header=X-Token: abc", "\(site.url)/slice.caibx")
    #expect(try site.takeLog() == ["GET /slice.caibx HTTP/1.1 200 abc"])
    // Where a server sends us nobody knows them.
    try Site.succeed("info", "--header=X-Token: abc", "\(site.url)/elsewhere/slice.caibx")
    try Site.succeed("info", "--header=X-Token: abc", "\(site.url)/moved/slice.caibx")
    #expect(
      try site.takeLog() == [
        "GET /elsewhere/slice.caibx HTTP/1.1 302 abc", "GET /slice.caibx HTTP/1.1 200 -",
        "GET /moved/slice.caibx HTTP/1.1 302 abc", "GET /slice.caibx HTTP/1.1 200 abc",
      ])
  }

  struct Refusal: Sendable, CustomTestStringConvertible {
    let arguments: String
    let message: String
    var testDescription: String { arguments }
  }

  @Test(
    "what is not there, refused or not a store says so in one line, without secrets",
    arguments: [
      Refusal(arguments: "info @/none.caibx", message: "@/none.caibx: not there"),
      Refusal(
        arguments: "get --store=@/none.castr @/slice.caibx T",
        message: "cannot get chunk ID: @/none.castr: not there"),
      Refusal(
        arguments: "info U@/auth/x.caibx?k=secret",
        message: "@/auth/x.caibx: the server refuses access (status 401)"),
      Refusal(
        arguments: "get --store=U@/forbidden/s?k=secret @/slice.caibx T",
        message: "cannot get chunk ID: @/forbidden/s: the server refuses access (status 403)"),
      Refusal(
        arguments: "get --store=@/portal/s @/slice.caibx T",
        message: "cannot get chunk ID: @/portal/s: the answer is a web page, not a chunk: "
          + "some login page or proxy answered instead"),
      Refusal(
        arguments: "info @/portal/x.caibx",
        message: "@/portal/x.caibx: the answer is a web page, not an index"),
      Refusal(arguments: "info @/loop/x.caibx", message: "@/loop/x.caibx: more than 8 redirects"),
      Refusal(
        arguments: "info @/broken/x.caibx", message: "@/broken/x.caibx: the server answers with status 400"),
      Refusal(
        arguments: "info S/slice.caibx",
        message: "S/slice.caibx: SSL certificate problem: self-signed certificate"),
      Refusal(
        arguments: "info --cacert=C S/down/x.caibx",
        message: "S/down/x.caibx: the server sends us to a place without TLS"),
      Refusal(arguments: "get @/slice.caibx U@/x?k=secret", message: "the target must be local, not @/x"),
      Refusal(
        arguments: "put --store=U@/s?k=secret @/x.caibx C",
        message: "@/s: the server does not take files (status 405)"),
      Refusal(
        arguments: "put --store=@/portal/s @/dav/x.caibx C",
        message: "@/portal/s: the server claims to have a file that is nowhere"),
    ])
  func refusals(_ refusal: Refusal) throws {
    let site = try Site.current
    let target = site.scratch("refused")
    let plain = site.url.dropFirst("http://".count)
    let words = refusal.arguments.split(separator: " ").map { word in
      switch word {
      case "T": target
      case "C": site.certificate
      default:
        word.replacingOccurrences(of: "U@", with: "http://user:secret@\(plain)")
          .replacingOccurrences(of: "@/", with: "\(site.url)/")
          .replacingOccurrences(of: "S/", with: "\(site.secureURL)/")
          .replacingOccurrences(of: "=C", with: "=\(site.certificate)")
      }
    }
    let run = try Site.casync(words + (words[0] == "get" ? ["--state-dir=none"] : []))
    #expect(run.status == 1)
    #expect(!run.errors.contains("secret"))
    let message = refusal.message.replacingOccurrences(of: "@/", with: "\(site.url)/")
      .replacingOccurrences(of: "S/", with: "\(site.secureURL)/")
    let first = run.errors.split(separator: "\n").first.map(String.init) ?? ""
    #expect(first.replacing(/chunk [0-9a-f]{64}/, with: "chunk ID") == "casync: \(message)")
    #expect(!site.scratch.exists("refused"))
  }

  @Test("a server that is not there is given up after a few tries")
  func noServer() throws {
    let run = try Site.casync("info", "http://user:secret@127.0.0.1:1/x.caibx")
    #expect(run.status == 1)
    #expect(run.errors.hasPrefix("casync: http://127.0.0.1:1/x.caibx: Failed to connect"))
    #expect(run.errors.hasSuffix("after 6 tries\n"))
  }

  @Test("a get that waits for its server stops at once when it is told to")
  func interruption() throws {
    let site = try Site.current
    let proxy = try site.proxy("delay=3000")
    let run = try Running(casync: [
      "get", "--state-dir=none", "\(site.url)/slice.caibx", "--store=\(proxy.url)/default.castr",
      site.scratch("target"),
    ])
    #expect(run.wait { proxy.requests.count > 0 })
    run.send(SIGTERM)
    let start = ContinuousClock.now
    #expect(try run.wait().status == 143)
    #expect(start.duration(to: .now) < .seconds(2))
  }
}
