import Foundation
import TestSupport
import Testing

@Suite("In a bucket", .serialized, .tools("rclone", "python3"), Bucket.Trait())
struct S3Tests {
  @Test("an update is put and got, plain and with every third request failing, and comes whole")
  func update() throws {
    let bucket = try Bucket.current
    let images = try Images.small
    let old = try bucket.scratch.slice(images + "/old.ext4", count: 32 << 20, to: "old")
    let new = try bucket.scratch.slice(images + "/new.ext4", count: 32 << 20, to: "new")
    let target = bucket.scratch("target")
    let proxy = try FaultProxy(bucket.port, ["every=3"])
    let faulty = "s3+http://127.0.0.1:\(proxy.port)/images"
    try Bucket.succeed("put", "\(bucket.url)/a/new.caibx", new)
    try Bucket.succeed("check", "\(bucket.url)/a/default.castr")
    for url in [bucket.url, faulty] {
      let got = try Bucket.succeed(
        "get", "--json", "--state-dir=none", "--seed=\(old)", "\(url)/a/new.caibx", target)
      #expect(!got.output.contains("\"fetchedBytes\":0,"))
      #expect(try Tool.isSame(target, new))
      try bucket.scratch.remove("target")
    }
    let slice = try bucket.scratch.slice(new, count: 4 << 20, to: "slice")
    try Bucket.succeed("put", "\(faulty)/b/slice.caibx", slice)
    try Bucket.succeed("check", bucket.file("b/default.castr"))
    try Bucket.succeed("get", "--state-dir=none", "\(bucket.url)/b/slice.caibx", target)
    #expect(try Tool.isSame(target, slice))
    for fault in ["reset", "truncate", "busy", "garbage"] {
      #expect(proxy.requests.contains { $0.hasSuffix(fault) })
    }
    try bucket.scratch.remove("target")
    try bucket.scratch.remove("data/images")
    try Tool.run("mkdir", bucket.file(""))
  }

  @Test("what is there is not sent again; what no index names is listed, spared while young, and removed")
  func collection() throws {
    let bucket = try Bucket.current
    let image = try bucket.scratch.slice(Images.small + "/new.ext4", count: 24 << 20, to: "slice")
    let half = try bucket.scratch.slice(image, count: 12 << 20, to: "half")
    let proxy = try FaultProxy(bucket.port, [])
    let url = "s3+http://127.0.0.1:\(proxy.port)/images/gc"
    try Bucket.succeed("put", "\(url)/all.caibx", image)
    let puts = proxy.requests.count { $0.hasPrefix("PUT ") }
    try Bucket.succeed("put", "--store=\(url)/default.castr", bucket.scratch("half.caibx"), half)
    // The chunk at the end is another one.
    #expect(proxy.requests.count { $0.hasPrefix("PUT ") } <= puts + 1)
    let named = Set(
      try Bucket.succeed("list-chunks", bucket.scratch("half.caibx")).output.split(separator: "\n"))
    func collect(_ options: String...) throws -> String {
      let run = try Site.casync(
        ["gc", "-v", "--store=\(url)/default.castr"] + options + [bucket.scratch("half.caibx")],
        environment: Bucket.credentials)
      #expect(run.status == 0, "\(run.errors)")
      return run.output.split(separator: "\n").last.map(String.init) ?? ""
    }
    #expect(try collect().hasPrefix("Removed 0 chunks"))
    #expect(try collect("--grace=0", "-n").hasSuffix(", \(named.count) chunks remaining."))
    #expect(try collect("--grace=0").hasSuffix(", \(named.count) chunks remaining."))
    let listing = try Tool.run("find", bucket.file("gc/default.castr"), "-type", "f")
    #expect(listing.split(separator: "\n").count == named.count)
    try Bucket.succeed(
      "get", "--state-dir=none", "--store=\(url)/default.castr", bucket.scratch("half.caibx"),
      bucket.scratch("target"))
    #expect(try Tool.isSame(bucket.scratch("target"), half))
    try bucket.scratch.remove("target")
  }

  @Test("credentials come from profiles and configuration, endpoints from the environment")
  func credentials() throws {
    let bucket = try Bucket.current
    let image = try bucket.scratch.write(Array(repeating: 7, count: 100_000), to: "image")
    try Bucket.succeed("put", "\(bucket.url)/c/x.caibx", image)
    let lines = "aws_access_key_id = \(Bucket.key)\naws_secret_access_key=\(Bucket.secret)\n"
    let keys = try bucket.scratch.write(Array("[other]\nregion = x\n[work]\n\(lines)".utf8), to: "keys")
    let endpoint = "http://127.0.0.1:\(bucket.port)"
    func info(_ location: String, _ environment: [String: String?]) throws {
      try Bucket.succeed("info", location, environment: environment)
    }
    try info(
      "s3://images/c/x.caibx",
      ["AWS_SHARED_CREDENTIALS_FILE": keys, "AWS_PROFILE": "work", "AWS_ENDPOINT_URL": endpoint])
    let options = try bucket.scratch.write(
      Array("[profile work]\n\(lines)endpoint_url = \(endpoint)\nregion = eu-north-1\n".utf8), to: "options")
    try info("s3://images/c/x.caibx", ["AWS_CONFIG_FILE": options, "AWS_PROFILE": "work"])
    let configuration = try bucket.scratch.write(
      Array(
        "[store.\"\(bucket.url)\"]\naccess-key-id = '\(Bucket.key)'\nsecret-access-key = '\(Bucket.secret)'\n"
          .utf8), to: "configuration")
    try info("\(bucket.url)/c/x.caibx", ["CASYNC_CONFIG": configuration])
  }

  @Test(
    "a wrong key, a wrong secret, and no key at all say so in one line, without secrets",
    arguments: [
      (Bucket.key, "wrong", "the secret key does not fit the access key (SignatureDoesNotMatch)"),
      ("wrong", Bucket.secret, "it does not know the access key (InvalidAccessKeyId)"),
    ])
  func refusals(_ key: String, _ secret: String, _ reason: String) throws {
    let bucket = try Bucket.current
    let environment = ["AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret]
    let image = try bucket.scratch.write([1, 2, 3], to: "image")
    for (arguments, name) in [
      (["info", "\(bucket.url)/x.caibx"], "x.caibx"),
      (["put", "\(bucket.url)/x.caibx", image], "default.castr"),
    ] {
      let run = try Site.casync(arguments, environment: environment)
      #expect(run.status == 1)
      #expect(
        run.errors
          == "casync: \(bucket.url)/\(name): the server refuses access (status 403): \(reason)\n")
    }
  }

  @Test("copies bring indexes and chunks from a bucket to a directory and back, once")
  func copy() throws {
    let bucket = try Bucket.current
    let image = try bucket.scratch.slice(Images.small + "/new.ext4", count: 8 << 20, to: "slice")
    try Bucket.succeed("put", "--compression-level=19", "\(bucket.url)/d/slice.caibx", image)
    try Tool.run("mkdir", "-p", bucket.scratch("stick"))
    let stick = bucket.scratch("stick/default.castr")
    let first = try Bucket.succeed("copy", "--json", "\(bucket.url)/d/slice.caibx", "--to=\(stick)")
    #expect(!first.output.contains("\"copiedChunks\":0,"))
    // The chunks as they are there, whatever their compression.
    try Tool.run("diff", "-r", bucket.file("d"), bucket.scratch("stick"))
    let again = try Bucket.succeed("copy", "--json", "\(bucket.url)/d/slice.caibx", "--to=\(stick)")
    #expect(again.output.contains("\"copiedChunks\":0,"))
    try Bucket.succeed(
      "copy", bucket.scratch("stick/slice.caibx"), "--to=\(bucket.url)/e/chunks.castr",
      "--to-index=\(bucket.url)/f")
    try Tool.run("diff", "-r", bucket.file("e/chunks.castr"), stick)
    try Tool.run("cmp", bucket.file("f/slice.caibx"), bucket.scratch("stick/slice.caibx"))
    try Bucket.succeed(
      "copy", bucket.scratch("stick/slice.caibx"), "--to=\(bucket.scratch("stick/cache"))", "--to-index=none")
    #expect(try bucket.scratch.names(in: "stick") == ["cache", "default.castr", "slice.caibx"])
  }
}
