import Foundation
import TestSupport
import Testing

/// An image with its index and store, and ways to reach them: `Tests/Faults/ssh.py`, which runs commands here
/// as ssh runs them elsewhere, and openssh with keys and a port of its own.
final class SSHBench: @unchecked Sendable {
  // Written in `init` only; the scratch directory is used by one test at a time.
  let scratch: Scratch
  /// A part of the small pair's new image, and of the old one.
  let image: String
  let old: String
  let port: Int
  private let server: Running

  static let length = 24 << 20

  @TaskLocal private static var shared: SSHBench?
  static var current: SSHBench { get throws { try #require(shared) } }

  /// Debian's, whatever else PATH has under its name.
  static let reference = "/usr/bin/casync"

  /// Publishes before the first test of a suite; ends the server and takes everything away after the last.
  struct Trait: SuiteTrait, TestScoping {
    func provideScope(
      for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
      try await SSHBench.$shared.withValue(SSHBench(), operation: function)
    }
  }

  private init() throws {
    let scratch = try Scratch(.memory)
    self.scratch = scratch
    image = try scratch.slice(Images.small + "/new.ext4", count: Self.length, to: "image")
    old = try scratch.slice(Images.small + "/old.ext4", count: Self.length, to: "old")
    try Tool.run("mkdir", "-p", scratch("far"), scratch("keys"), scratch("home/.ssh"))
    try Tool.run(
      Self.reference, "make", "--store=\(scratch("far/default.castr"))", scratch("far/image.caibx"), image)
    for name in ["host", "other", "user"] {
      try Tool.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", scratch("keys/\(name)"))
    }
    try Tool.run("mkdir", "-p", "/run/sshd")
    try scratch.write(Array(Self.configuration(scratch).utf8), to: "sshd_config")
    try scratch.write(try scratch.bytes("keys/user.pub"), to: "authorized_keys")
    try Tool.run("chmod", "-R", "go-w", scratch.path)
    server = try Running(
      "python3", [Repository.path("Tests/Faults/sshd.py"), scratch("sshd_config"), scratch("sshd.log")])
    let server = server
    guard server.wait(until: { server.errorsSoFar.contains("\n") }),
      let port = Int(server.errorsSoFar.prefix { $0 != "\n" })
    else { throw Tool.Failure("sshd does not start: \(server.errorsSoFar)") }
    self.port = port
    for (name, key) in [("known", "host"), ("wrong", "other")] {
      let line = "[127.0.0.1]:\(port) " + (try scratch.text("keys/\(key).pub"))
      try scratch.write(Array(line.utf8), to: "home/.ssh/\(name)_hosts")
    }
    for name in ["known", "wrong", "empty"] { try Self.writeWrapper(scratch, port, name) }
  }

  private static func configuration(_ scratch: Scratch) -> String {
    """
    HostKey \(scratch("keys/host"))
    AuthorizedKeysFile \(scratch("authorized_keys"))
    StrictModes no
    PermitRootLogin prohibit-password
    PasswordAuthentication no
    KbdInteractiveAuthentication no
    UsePAM no
    Subsystem sftp internal-sftp
    """
  }

  /// A program that runs ssh with our keys and a file of known hosts.
  private static func writeWrapper(_ scratch: Scratch, _ port: Int, _ name: String) throws {
    let text = """
      #!/bin/sh
      exec /usr/bin/ssh -F none -p \(port) -i \(scratch("keys/user")) -o IdentitiesOnly=yes -o BatchMode=yes \
      -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=none \
      -o UserKnownHostsFile=\(scratch("home/.ssh/\(name)_hosts")) "$@"

      """
    try scratch.write(Array(text.utf8), to: "ssh-\(name)")
    try Tool.run("chmod", "+x", scratch("ssh-\(name)"))
  }

  // MARK: What tests do with it

  /// A casync: ours or Debian's.
  enum Program: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case ours, casync

    var path: String { self == .ours ? Command.binary : SSHBench.reference }
    var testDescription: String { rawValue }
  }

  /// The environment under which `remote` is at the far end of the stand-in for ssh.
  func standIn(_ remote: Program = .ours, cut: Int? = nil, cutUp: Int? = nil) -> [String: String?] {
    [
      "CASYNC_SSH_PATH": Repository.path("Tests/Faults/ssh.py"), "CASYNC_REMOTE_PATH": remote.path,
      "SSH_LOG": scratch("log"), "SSH_CUT": cut.map { "\($0)" },
      "SSH_CUT_UP": cutUp.map { "\($0)" }, "TMPDIR": scratch.path,
    ]
  }

  /// The environment under which openssh leads there.
  func openssh(_ hosts: String = "known", remote: String = Command.binary) -> [String: String?] {
    ["CASYNC_SSH_PATH": scratch("ssh-\(hosts)"), "CASYNC_REMOTE_PATH": remote, "TMPDIR": scratch.path]
  }

  func run(
    _ program: Program = .ours, _ arguments: String..., environment: [String: String?]
  ) throws -> Command {
    var clean: [String: String?] = ["HOME": scratch("home")]
    clean.updateValue(nil, forKey: "SSH_AUTH_SOCK")
    let environment = clean.merging(environment) { $1 }
    return program == .ours
      ? try Command.casync(arguments, environment: environment)
      : try Command.run(program.path, arguments, environment: environment)
  }

  /// The runs of the stand-in so far, each with the bytes that came from the far end; the log starts anew.
  func takeLog() throws -> [(bytes: Int, command: String)] {
    defer { try? scratch.remove("log") }
    return try scratch.text("log").split(separator: "\n").map { line in
      let parts = line.split(separator: " ", maxSplits: 1)
      return (try #require(Int(parts[0])), String(parts[1]))
    }
  }

  /// Bytes of the chunks in a store.
  func storedBytes(_ name: String) throws -> Int {
    let text = try Tool.run("find", scratch(name), "-name", "*.cacnk", "-printf", "%s\\n")
    return text.split(separator: "\n").compactMap { Int($0) }.reduce(0, +)
  }
}

extension Scratch {
  func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }
}
