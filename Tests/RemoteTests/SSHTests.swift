import TestSupport
import Testing

@Suite("By SSH", .serialized, .tools("sshd", "python3", "casync"), SSHBench.Trait())
struct SSHTests {
  typealias Program = SSHBench.Program

  /// Every client with every server.
  static let pairs = Program.allCases.flatMap { client in Program.allCases.map { (client, $0) } }

  // MARK: Reading

  @Test("an image comes whole, whoever is at either end", arguments: pairs)
  func extract(client: Program, server: Program) throws {
    let bench = try SSHBench.current
    let run = try bench.run(
      client, "extract", "host:\(bench.scratch("far/image.caibx"))", bench.scratch("target"),
      environment: bench.standIn(server))
    #expect(run.status == 0, "\(run.errors)")
    #expect(try Tool.isSame(bench.scratch("target"), bench.image))
    // Index and store come over one connection.
    #expect(try bench.takeLog().count == 1)
    try bench.scratch.remove("target")
  }

  @Test("a tree comes whole, whoever is at either end", arguments: pairs)
  func tree(client: Program, server: Program) throws {
    let bench = try SSHBench.current
    let scratch = bench.scratch
    try Tool.run("mkdir", "-p", scratch("tree/a/b"))
    try scratch.write([1, 2, 3], to: "tree/a/b/file")
    try Tool.run(SSHBench.reference, "make", scratch("far/tree.caidx"), scratch("tree"))
    let run = try bench.run(
      client, "extract", "host:\(scratch("far/tree.caidx"))", scratch("copy"),
      environment: bench.standIn(server))
    #expect(run.status == 0, "\(run.errors)")
    #expect(try scratch.bytes("copy/a/b/file") == [1, 2, 3])
    try scratch.remove("copy")
    try scratch.remove("tree")
    _ = try bench.takeLog()
  }

  @Test("the bytes that come are those of the missing chunks and the index, and 3 %")
  func bytes() throws {
    let bench = try SSHBench.current
    let run = try bench.run(
      .ours, "get", "--state-dir=none", "ssh://host\(bench.scratch("far/image.caibx"))",
      bench.scratch("target"),
      environment: bench.standIn())
    #expect(run.status == 0, "\(run.errors)")
    let log = try bench.takeLog()
    let wanted = try bench.storedBytes("far/default.castr") + bench.scratch.bytes("far/image.caibx").count
    #expect(log.count == 1)
    #expect(log.map(\.bytes).reduce(0, +) < wanted * 103 / 100)
    try bench.scratch.remove("target")
  }

  @Test(
    "a connection that is cut again and again costs only what was on its way", arguments: Program.allCases)
  func cuts(server: Program) throws {
    let bench = try SSHBench.current
    let run = try bench.run(
      .ours, "get", "--state-dir=none", "host:\(bench.scratch("far/image.caibx"))", bench.scratch("target"),
      environment: bench.standIn(server, cut: 1_000_000))
    #expect(run.status == 0, "\(run.errors)")
    #expect(try Tool.isSame(bench.scratch("target"), bench.image))
    let log = try bench.takeLog()
    let wanted = try bench.storedBytes("far/default.castr") + bench.scratch.bytes("far/image.caibx").count
    #expect(log.count >= wanted / 1_000_000)
    // A chunk that was cut in its middle is sent again.
    #expect(log.map(\.bytes).reduce(0, +) < wanted * 103 / 100 + log.count * 262_144)
    try bench.scratch.remove("target")
  }

  @Test("verbs that read take indexes and stores there")
  func verbs() throws {
    let bench = try SSHBench.current
    let index = "host:\(bench.scratch("far/image.caibx"))"
    let digest = try bench.run(.ours, "digest", index, environment: bench.standIn())
    let local = try bench.run(.ours, "digest", bench.image, environment: [:])
    #expect(digest.status == 0 && digest.output == local.output, "\(digest.errors)")
    for arguments in [
      ["info", index], ["list-chunks", index], ["verify", index, bench.image], ["diff", index, index],
    ] {
      let run = try Command.casync(arguments, environment: bench.standIn())
      #expect(run.status == 0, "\(arguments): \(run.errors)")
    }
    _ = try bench.takeLog()
  }

  // MARK: Writing

  @Test(
    "an image is stored there, whoever is at either end, and the second time nothing is sent",
    arguments: pairs)
  func make(client: Program, server: Program) throws {
    let bench = try SSHBench.current
    let scratch = bench.scratch
    try Tool.run("mkdir", "-p", scratch("new"))
    for number in 1...2 {
      let run = try bench.run(
        client, "make", "host:\(scratch("new/image.caibx"))", bench.image, environment: bench.standIn(server))
      #expect(run.status == 0, "\(run.errors)")
      #expect(try scratch.bytes("new/image.caibx") == scratch.bytes("far/image.caibx"))
      // What comes from there are HELLO, requests and GOODBYE.
      let log = try bench.takeLog()
      #expect(log.count == 1 && log[0].command.contains(" push - - "))
      if number == 2 { #expect(log[0].bytes == 24 + 16) }
    }
    let check = try bench.run(.ours, "check", scratch("new/default.castr"), environment: [:])
    #expect(check.status == 0, "\(check.output)")
    #expect(try Tool.run("find", scratch("new"), "-name", "*.tmp") == "")
    #expect(try scratch.names().allSatisfy { !$0.hasPrefix("casync-") }, "a spool was left")
    try scratch.remove("new")
  }

  @Test("a push whose connection is cut goes on", arguments: Program.allCases)
  func pushCut(server: Program) throws {
    let bench = try SSHBench.current
    let scratch = bench.scratch
    try Tool.run("mkdir", "-p", scratch("new"))
    let run = try bench.run(
      .ours, "put", "host:\(scratch("new/image.caibx"))", bench.image,
      environment: bench.standIn(server, cutUp: 1_000_000))
    #expect(run.status == 0, "\(run.errors)")
    #expect(try bench.takeLog().count > 1)
    let target = scratch("target")
    let get = try bench.run(
      .ours, "get", "--state-dir=none", scratch("new/image.caibx"), target, environment: [:])
    #expect(get.status == 0, "\(get.errors)")
    #expect(try Tool.isSame(target, bench.image))
    try scratch.remove("new")
    try scratch.remove("target")
  }

  @Test("what the protocol cannot write is refused before anything is done")
  func refusedPairs() throws {
    let bench = try SSHBench.current
    let scratch = bench.scratch
    for (index, store) in [
      ("host:x.caibx", scratch("s.castr")), (scratch("x.caibx"), "host:s.castr"),
      ("host:x.caibx", "other:s.castr"),
    ] {
      let run = try bench.run(
        .ours, "put", "--store=\(store)", index, bench.image, environment: bench.standIn())
      #expect(run.status == 1)
      #expect(run.errors.contains("by SSH"), "\(run.errors)")
      #expect(!scratch.exists("log") && !scratch.exists("s.castr") && !scratch.exists("x.caibx"))
    }
  }

  @Test("casync's push of chunks without an index is refused aloud")
  func chunksAlone() throws {
    let bench = try SSHBench.current
    let scratch = bench.scratch
    let run = try bench.run(
      .casync, "make", "--store=host:\(scratch("alone.castr"))", scratch("alone.caibx"), bench.image,
      environment: bench.standIn())
    // Its status is 0 all the same; what it shows is what our end says.
    #expect(run.errors.contains("only be pushed together with the index"), "\(run.errors)")
    _ = try bench.takeLog()
  }

  // MARK: Openssh

  @Test("openssh carries both directions", arguments: Program.allCases)
  func openssh(remote: Program) throws {
    let bench = try SSHBench.current
    let scratch = bench.scratch
    try Tool.run("mkdir", "-p", scratch("new dir"))
    let environment = bench.openssh(remote: remote.path)
    let get = try bench.run(
      .ours, "get", "--state-dir=none", "127.0.0.1:\(scratch("far/image.caibx"))", scratch("target"),
      environment: environment)
    #expect(get.status == 0, "\(get.errors)")
    #expect(try Tool.isSame(scratch("target"), bench.image))
    // A path that means something to a shell arrives as it is.
    let name = "it's $(touch pwned) `id`; \"x\" & y.caibx"
    let index = "127.0.0.1:\(scratch("new dir/" + name))"
    let put = try bench.run(.ours, "put", index, bench.image, environment: environment)
    #expect(put.status == 0, "\(put.errors)")
    let verify = try bench.run(.ours, "verify", index, bench.image, environment: environment)
    #expect(verify.status == 0, "\(verify.errors)")
    #expect(
      try scratch.names(in: "new dir") == ["default.castr", name])
    try scratch.remove("new dir")
    try scratch.remove("target")
  }

  @Test("indexes and stores are read by SFTP, from a host that is known")
  func sftp() throws {
    let bench = try SSHBench.current
    let scratch = bench.scratch
    let index = "sftp://root@127.0.0.1:\(bench.port)\(scratch("far/image.caibx"))"
    try Tool.run("cp", scratch("keys/user"), scratch("home/.ssh/id_ed25519"))
    let get = try bench.run(.ours, "get", "--state-dir=none", index, scratch("target"), environment: [:])
    #expect(get.status == 0, "\(get.errors)")
    #expect(try Tool.isSame(scratch("target"), bench.image))
    try scratch.remove("target")
    func fails(_ location: String, _ home: String, _ text: String) throws {
      let run = try bench.run(.ours, "info", location, environment: ["HOME": scratch(home)])
      #expect(run.status == 1 && run.errors.contains(text), "\(run.errors)")
    }
    try fails(index + "x", "home", "not there")
    try fails(index.replacing("root@", with: "nosuchuser@"), "home", "does not let us in")
    try Tool.run("mkdir", "-p", scratch("stranger/.ssh"))
    try fails(index, "stranger", "the host key is not known")
    try Tool.run("cp", scratch("home/.ssh/wrong_hosts"), scratch("stranger/.ssh/known_hosts"))
    try fails(index, "stranger", "the host key is not known, or is not the one")
    let put = try bench.run(.ours, "put", index, bench.image, environment: [:])
    #expect(put.status == 1 && put.errors.contains("only read"), "\(put.errors)")
  }

  @Test("each way to fail has its own line")
  func messages() throws {
    let bench = try SSHBench.current
    let index = "127.0.0.1:\(bench.scratch("far/image.caibx"))"
    func fails(_ index: String, _ environment: [String: String?], _ text: String) throws {
      let run = try bench.run(.ours, "info", index, environment: environment)
      #expect(run.status == 1)
      let lines = run.errors.split(separator: "\n")
      #expect(lines.count <= 2 && lines[0].contains(text), "\(run.errors)")
      #expect(lines.dropFirst().allSatisfy { $0.hasPrefix("hint: ") }, "\(run.errors)")
    }
    try fails(index, bench.openssh("wrong"), "the host key of 127.0.0.1 is not the one that is known")
    try fails(index, bench.openssh("empty"), "the host key of 127.0.0.1 is not known")
    try fails(
      index, bench.openssh(remote: "/nonexistent/casync"), "there is no /nonexistent/casync on 127.0.0.1")
    try fails(index, bench.openssh(remote: "echo Welcome to this host;"), "does not speak casync's protocol")
    try fails("nosuchuser@\(index)", bench.openssh(), "does not let us in")
    try fails("127.0.0.1:\(bench.scratch("no.caibx"))", bench.openssh(), "No such file or directory")
    try fails(
      "127.0.0.1:\(bench.scratch("no.caibx"))", bench.openssh(remote: SSHBench.reference),
      "No such file or directory")
    try fails(index, ["CASYNC_SSH_PATH": "/nonexistent/ssh"], "cannot run /nonexistent/ssh")
    try fails(
      "ssh://127.0.0.1:1/x.caibx", [:], "no connection to 127.0.0.1: ssh: connect to host 127.0.0.1 port 1")
  }

  @Test(
    "an address that ssh or a shell could take for something else is refused or quoted",
    arguments: [
      "ssh://-oProxyCommand=touch/x.caibx", "-oProxyCommand=x:y.caibx", "ssh://u@-h/x.caibx",
      "ssh://h:99999/x.caibx", "ssh://h:x/x.caibx", "ssh://h/%0a.caibx", "ssh://h/%zz.caibx",
      "ssh://h", "ssh://a b/x.caibx", "ssh://h;id/x.caibx",
    ])
  func hostileAddresses(location: String) throws {
    let bench = try SSHBench.current
    let run = try bench.run(.ours, "info", "--", location, environment: bench.standIn())
    #expect(run.status == 1)
    #expect(!bench.scratch.exists("log"), "something was run: \(run.errors)")
  }
}
