import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// tar archives of GNU tar and of bsdtar, in and out.
  @Suite("with tar archives,", .root, .tools("tar", "bsdtar", "setfacl", "setfattr", "setcap"))
  struct TarTests {
    let scratch: Scratch
    /// What tar holds: no attributes of chattr, no sockets.
    static let features = "--without=chattr --without=fat-attrs --without=sockets --without=quota-projid"
      .split(separator: " ").map(String.init)

    init() throws {
      scratch = try Scratch()
      let script = """
        set -e; mkdir -p "$1/sub/empty" && cd "$1"
        echo content >file; ln file sub/second; ln -s file link; mkfifo fifo; mknod null c 1 3; mknod disk b 7 200
        printf 'h\\303\\251llo' >"$(printf 'na\\303\\257ve name')"
        truncate -s 1M sparse; printf x | dd of=sparse seek=500000 bs=1 conv=notrunc status=none
        head -c 300000 /dev/urandom >big; mkdir "$(printf 'd%.0s' $(seq 120))"
        echo deep >"$(printf 'd%.0s' $(seq 120))/$(printf 'f%.0s' $(seq 200))"
        chown 1234:4321 sub/second; chmod 4750 big; setfattr -n user.one -v 1 file
        setfacl -m u:7:rwx,g:8:r,m:rw file; setfacl -d -m u:9:rx,m:rwx sub; cp /bin/true true; setcap cap_net_raw+ep true
        touch -d '2001-02-03 04:05:06.789012345' file sub/empty
        """
      try Tool.run("sh", "-c", script, "-", scratch("in"))
      try Tool.run("chown", "1234:4321", scratch("in/file"))
    }

    private func mtree(_ path: String) throws -> String {
      try Command.casync(["mtree"] + Self.features + [path]).succeeds().output
    }

    static let makers = [
      "tar --format=pax --acls --xattrs '--xattrs-include=*'",
      "tar --format=pax --acls --xattrs '--xattrs-include=*' --sparse --zstd",
      "bsdtar --format=pax --acls --xattrs",
    ]

    @Test("the archive of a tar archive is that of the tree it was made of", arguments: makers)
    func reading(maker: String) throws {
      try Tool.run("sh", "-c", "cd \"$1\" && \(maker) -cf ../a.tar .", "-", scratch("in"))
      let words = ["make"] + Self.features
      try Command.casync(words + ["--from-tar=\(scratch("a.tar"))", scratch("tar.catar")]).succeeds()
      try Command.casync(words + [scratch("in.catar"), scratch("in")]).succeeds()
      #expect(try mtree(scratch("tar.catar")) == mtree(scratch("in.catar")))
      #expect(
        try Command.casync(["diff"] + Self.features + [scratch("tar.catar"), scratch("in")]).output == "")
      // The same from a pipe, into an index.
      let run = try Command.casync(
        words + ["--from-tar", "-", "--store=\(scratch("castr"))", scratch("tar.caidx")],
        input: scratch.bytes("a.tar")
      ).succeeds()
      #expect(try run.output == ours("digest", scratch("tar.catar")).output)
    }

    @Test("a tar archive of an archive unpacks to the same tree", arguments: ["tar", "bsdtar"])
    func writing(reader: String) throws {
      try ours("make", scratch("in.catar"), scratch("in")).succeeds()
      try ours("extract", "--to-tar=\(scratch("a.tar"))", scratch("in.catar")).succeeds()
      try Tool.run("mkdir", scratch("out"))
      let options = reader == "tar" ? ["--acls", "--xattrs", "--xattrs-include=*"] : ["--acls", "--xattrs"]
      let unpack = ["--numeric-owner", "-xpf", scratch("a.tar"), "-C", scratch("out")]
      let run = try Command.run(reader, options + unpack)
      #expect(run.status == 0, "\(run.errors)")
      let difference = try Command.casync(["diff"] + Self.features + [scratch("in.catar"), scratch("out")])
      // bsdtar does not set the time of the directory that it unpacks into.
      let lines = difference.output.split(separator: "\n").filter { !$0.hasPrefix(".\ttime\t") }
      #expect(lines.isEmpty, "\(lines)")
      let piped = try ours("extract", "--to-tar", "-", scratch("in.catar"), "sub").succeeds()
      #expect(
        try Command.run(reader, ["-tf", "-"], input: Array(piped.output.utf8)).output.contains("sub/second"))
    }

    @Test("names that lead out, and what is no tar archive, are refused in one line")
    func refused() throws {
      try Tool.run("tar", "-cPf", scratch("evil.tar"), "--transform=s,^,../,", "-C", scratch("in"), "file")
      try ours("make", "--from-tar=\(scratch("evil.tar"))", scratch("x.catar")).fails(
        "\(scratch("evil.tar")): ")
      try scratch.write(Array("no tar at all, whatever it is called".utf8), to: "no.tar")
      try ours("make", "--from-tar=\(scratch("no.tar"))", scratch("x.catar")).fails("cannot read")
      #expect(!scratch.exists("x.catar"))
    }
  }
}
