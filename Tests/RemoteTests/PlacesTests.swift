import Foundation
import TestSupport
import Testing

@Suite("Several places", .serialized, .tools("nginx", "openssl", "python3"), Site.Trait())
struct PlacesTests {
  @Test("an update over HTTPS comes whole, plain and with every third request failing")
  func update() throws {
    let site = try Site.current
    let proxy = try site.secureProxy("every=3")
    let target = site.scratch("target")
    for url in [site.secureURL, proxy.url] {
      try Site.succeed(
        "get", "--state-dir=none", "--cacert=\(site.certificate)", "--seed=\(Images.small)/old.ext4",
        "\(url)/\(url == proxy.url ? "slice" : "new").caibx", target)
      #expect(try Tool.isSame(target, url == proxy.url ? site.slice : site.image))
      try site.scratch.remove("target")
    }
    #expect(proxy.requests.contains { $0.hasSuffix("garbage") })
  }

  @Test("the summary counts what came over the wire: little more than the chunks and the index")
  func wire() throws {
    let site = try Site.current
    let target = site.scratch("target")
    let run = try Site.succeed(
      "get", "--json", "--state-dir=none", "--cacert=\(site.certificate)", "--seed=\(Images.small)/old.ext4",
      "\(site.secureURL)/new.caibx", target)
    func number(_ key: String) throws -> Int {
      let text = try #require(run.output.firstRange(of: "\"\(key)\":"))
      return try #require(Int(run.output[text.upperBound...].prefix { $0.isNumber }))
    }
    let least = try number("fetchedBytes") + site.scratch.bytes("www/new.caibx").count
    let received = try number("receivedBytes")
    #expect(received > least)
    #expect(received * 100 <= least * 103, "\(received) bytes received for \(least)")
    try site.scratch.remove("target")
  }

  @Test("memory stays within its bound with 128 requests under way")
  func memory() throws {
    let site = try Site.current
    let faults = try Faults(site.scratch)
    let far = try FaultProxy(site.securePort, ["delay=25"], script: "tcp-delay.py")
    let target = site.scratch("target")
    try Site.succeed(
      "get", "--state-dir=none", "--cacert=\(site.certificate)", "https://localhost:\(far.port)/new.caibx",
      target, environment: faults.environment([.read]))
    #expect(try Tool.isSame(target, site.image))
    let peak = try faults.takeReport().peakBytes
    #expect(peak < 64 << 20, "\(peak) bytes of memory")
    try site.scratch.remove("target")
  }

  @Test("a group goes on with its next member when one is not there, does not answer, or refuses")
  func failover() throws {
    let site = try Site.current
    let target = site.scratch("target")
    let good = "\(site.url)/default.castr"
    for group in [
      "http://127.0.0.1:1/x|\(good)", "\(site.url)/forbidden/s|\(good)", "\(good)|\(site.url)/auth/s",
    ] {
      try Site.succeed("get", "--state-dir=none", "--store=\(group)", "\(site.url)/slice.caibx", target)
      #expect(try Tool.isSame(target, site.slice))
      try site.scratch.remove("target")
    }
    let run = try Site.casync(
      "get", "--state-dir=none", "--store=\(site.url)/forbidden/s|\(site.url)/auth/s",
      "\(site.url)/slice.caibx",
      target)
    #expect(run.status == 1)
    #expect(run.errors.contains("the server refuses access"))
  }

  @Test("403 of a bucket is a chunk that is not there once something came from it, else an error")
  func forbidden() throws {
    let site = try Site.current
    let bucket = "s3+\(site.url)/bucket"
    let target = site.scratch("target")
    func failure(_ index: String) throws -> String {
      try Site.casync("get", "--state-dir=none", "--store=\(bucket)/empty", index, target).errors
    }
    #expect(try failure("\(bucket)/slice.caibx").contains(": \(bucket)/empty: not there\n"))
    #expect(
      try failure("\(site.url)/slice.caibx").contains("/empty: the server refuses access (status 403)\n"))
    try Site.succeed(
      "get", "--state-dir=none", "--store=\(bucket)/empty", "--store=\(bucket)/default.castr",
      "\(bucket)/slice.caibx", target)
    #expect(try Tool.isSame(target, site.slice))
    try site.scratch.remove("target")
  }

  @Test("a cache stays within its size, and keeps what was used last")
  func cache() throws {
    let site = try Site.current
    let target = site.scratch("target")
    func get(_ index: String) throws {
      try Site.succeed(
        "get", "--state-dir=none", "--cache=\(site.scratch("cache"))", "--cache-size=4M",
        "--store=\(site.url)/default.castr", "\(site.url)/\(index).caibx", target)
      try site.scratch.remove("target")
    }
    func size() throws -> Int {
      let files = try Tool.run("find", site.scratch("cache"), "-name", "*.cacnk", "-printf", "%s\n")
      return files.split(separator: "\n").compactMap { Int($0) }.reduce(0, +)
    }
    try get("slice")
    let full = try size()
    #expect((2 << 20)...(4 << 20) ~= full)
    try get("new")
    #expect((2 << 20)...(4 << 20) ~= (try size()))
    try Site.succeed("check", site.scratch("cache"))
    try site.scratch.remove("cache")
  }

  @Test("an index that has not changed is not downloaded again; one that has is")
  func copies() throws {
    let site = try Site.current
    let target = site.scratch("target")
    try Tool.run("cp", site.scratch("www/slice.caibx"), site.scratch("www/changing.caibx"))
    func get() throws -> [String] {
      _ = try site.takeLog()
      try Site.succeed(
        "get", "--state-dir=\(site.scratch("state"))", "--store=\(site.scratch("www/default.castr"))",
        "\(site.url)/changing.caibx", target)
      return try site.takeLog().map { String($0.split(separator: " ")[3]) }
    }
    #expect(try get() == ["200"])
    #expect(try get() == ["304"])
    #expect(try Tool.isSame(target, site.slice))
    try Tool.run("cp", site.scratch("www/new.caibx"), site.scratch("www/changing.caibx"))
    #expect(try get() == ["200"])
    #expect(try Tool.isSame(target, site.image))
    for name in ["target", "state", "www/changing.caibx"] { try site.scratch.remove(name) }
  }

  @Test("a server that wants a certificate gets it from the options or the configuration, or refuses")
  func mutual() throws {
    let site = try Site.current
    let url = "https://localhost:\(site.mutualPort)"
    let key = site.scratch("key.pem")
    try Site.succeed(
      "info", "--cacert=\(site.certificate)", "--cert=\(site.certificate)", "--key=\(key)",
      "\(url)/slice.caibx")
    let configuration = try site.scratch.write(
      Array(
        """
        # For this server alone.
        [store."\(url)/"]
        cacert = "\(site.certificate)"
        cert = "\(site.certificate)"
        key = '\(key)'
        """.utf8), to: "config.toml")
    try Site.succeed("info", "\(url)/slice.caibx", environment: ["CASYNC_CONFIG": configuration])
    let refused = try Site.casync("info", "--cacert=\(site.certificate)", "\(url)/slice.caibx")
    #expect(refused.errors == "casync: \(url)/slice.caibx: the server answers with status 400\n")
    let wrong = try Site.casync(
      "info", "--cacert=\(site.certificate)", "--cert=\(site.certificate)", "--key=\(site.certificate)",
      "\(url)/slice.caibx")
    #expect(wrong.status == 1)
    #expect(wrong.errors.split(separator: "\n").count == 1)
    #expect(wrong.errors.contains("unable to set private key file"))
  }

  @Test("secrets of the configuration reach the server, but no message and no list of processes")
  func secrets() throws {
    let site = try Site.current
    let proxy = try site.proxy("delay=100")
    let configuration = try site.scratch.write(
      Array(
        """
        [store."\(proxy.url)"]
        headers = ["X-Token: hush-token"]
        user = "me"
        password = "hush-password"
        """.utf8), to: "config.toml")
    _ = try site.takeLog()
    let run = try Running(
      casync: [
        "get", "-v", "--log-level=debug", "--progress=plain", "--state-dir=none",
        "\(proxy.url)/slice.caibx", site.scratch("target"),
      ],
      environment: ["CASYNC_CONFIG": configuration, "HOME": "/nonexistent"])
    #expect(run.wait { proxy.requests.count > 20 })
    let arguments = try String(contentsOfFile: "/proc/\(run.identifier)/cmdline", encoding: .utf8)
    let ended = try run.wait()
    #expect(ended.status == 0, "\(ended.errors)")
    for text in [arguments, ended.output, ended.errors] { #expect(!text.contains("hush")) }
    #expect(try site.takeLog().allSatisfy { $0.hasSuffix(" hush-token") })
    try site.scratch.remove("target")
  }

  @Test("a mistake in the configuration is named by its line, and nothing of it is printed")
  func configuration() throws {
    let site = try Site.current
    for (text, reason) in [
      ("[store.\"http://h/\"]\npassword = 5 # hush", ":2: password takes a string"),
      ("cache = \"/c\"\n\nsecret = 'hush'", ":3: secret is no key that is known here"),
      ("[store.\"http://h/\"]\npassword = 'hush", ":2: a string has no end"),
      ("[stores]\nx = 1", ":2: x is in a table that is not [store.\"URL\"]"),
    ] {
      let file = try site.scratch.write(Array(text.utf8), to: "config.toml")
      let run = try Site.casync("info", "http://h/x.caibx", environment: ["CASYNC_CONFIG": file])
      #expect(run.errors == "casync: \(file)\(reason)\n")
    }
  }
}
