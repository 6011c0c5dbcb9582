import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// Directory trees as casync makes, extracts and lists them.
  @Suite("with trees, side by side with casync,", .casync, .root)
  struct TreeInteropTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func output(_ program: String, _ words: [String]) throws -> String {
      let run =
        try program == reference ? Command.run(program, words) : Command.casync(words, in: scratch.path)
      #expect(run.status == 0, "\(words): \(run.errors)")
      return run.output
    }

    /// Makes an archive and an index of `tree` with both programs and compares them.
    private func compareMade(
      _ tree: String, _ options: [String], _ suffixes: [String] = ["catar", "caidx"]
    ) throws {
      for suffix in suffixes {
        let digests = try [Command.binary, reference].map { program in
          let name = program == reference ? "theirs" : "ours"
          let words = ["make", "--store=\(scratch("\(name).castr"))", scratch("\(name).\(suffix)"), tree]
          return try output(program, words + options)
        }
        #expect(digests[0] == digests[1], "\(options)")
        let isSame = try Tool.isSame(scratch("ours.\(suffix)"), scratch("theirs.\(suffix)"))
        #expect(isSame, "\(suffix) \(options)")
      }
    }

    /// A tree with every kind of node and metadata.
    private func makeRichTree() throws -> String {
      let script = Repository.path("Tests/Vectors/tree/make-rich-tree.py")
      try Tool.run("python3", script, scratch("rich"))
      try Tool.run("sh", Repository.path("Tests/Vectors/tree/make-tree.sh"), scratch("rich/tree"))
      return scratch("rich")
    }

    static let options = [
      [], ["--with=unix"], ["--with=best"], ["--with=fat"], ["--exclude-nodump=no"],
      ["--exclude-submounts=yes"],
      ["--without=acl"], ["--with=best", "--without=acl"], ["--with=16bit-uids"], ["--without=all"],
      ["--uid-shift=0", "--uid-range=1000"], ["--digest=sha256"], ["--with=user-names"],
      ["--with=chattr", "--with=xattrs"],
    ]

    @Test("make writes the same archive and index of every kind of node, for every kind of features")
    func features() throws {
      let tree = try makeRichTree()
      for options in Self.options { try compareMade(tree, options) }
    }

    @Test("each extracts what the other made, and tells the same of it")
    func bothWays() throws {
      let tree = try makeRichTree()
      try compareMade(tree, ["--exclude-nodump=no"])
      let archive = scratch("theirs.catar")
      for (program, name) in [(Command.binary, "by-ours"), (reference, "by-theirs")] {
        let words = ["extract", "--exclude-nodump=no", "--store=\(scratch("ours.castr"))"]
        _ = try output(program, words + [scratch("ours.caidx"), scratch(name)])
        let again = [
          "make", "--exclude-nodump=no", "--exclude-file=no", scratch("again.catar"), scratch(name),
        ]
        _ = try output(Command.binary, again)
        // Both leave the archive's tree, but for the flag that tells how .caexclude files were treated.
        #expect(
          try output(Command.binary, ["mtree", scratch("again.catar")])
            == output(reference, ["mtree", archive]))
      }
      for verb in ["list", "mtree", "stat", "digest"] {
        for source in [[tree], [archive], [archive, "dir"], [archive, "xattr"], [archive, "tree/alpha"]] {
          #expect(
            try output(Command.binary, [verb] + source) == output(reference, [verb] + source),
            "\(verb) \(source)")
        }
      }
    }

    /// All metadata of a tree as text, node by node.
    private func metadata(_ tree: String) throws -> String {
      let script = """
        cd "$1"; find . -type d -printf '%P %y %m %U %G %T@\\n' -o -printf '%P %y %m %U %G %T@ %s %l\\n' | sort
        find . -print0 | sort -z | xargs -0 getfattr --no-dereference --dump --match=-
        find . -print0 | sort -z | xargs -0 getfacl --numeric --physical
        find . '(' -type f -o -type d ')' -print0 | sort -z | xargs -0 lsattr -d
        """
      return try Tool.run("sh", "-c", script, "sh", tree)
    }

    @Test(
      "archive a real root file system alike, extract each other's archives of it, and tell the same of both",
      .tools("mkfs.btrfs", "getfattr", "getfacl", "lsattr"), arguments: ["ext4", "btrfs"])
    func realTree(fileSystem: String) throws {
      let device = try scratch.loop(size: 2 << 30)
      try Tool.run("mkfs.\(fileSystem)", "-q", device)
      let disk = try scratch.mount(device, at: "mounted")
      let image = try scratch.mount("\(Images.small)/new.ext4", at: "image", options: "ro,loop,noload")
      try Tool.run("cp", "--archive", image, "\(disk)/tree")
      try Tool.run("setfacl", "--modify=user:1000:r", "\(disk)/tree/etc/hostname")
      try Tool.run("setfattr", "--name=user.x", "--value=y", "\(disk)/tree/etc")
      try Tool.run("chattr", "+A", "\(disk)/tree/etc/fstab")
      for options in [[], ["--with=unix"], ["--with=best"]] {
        try compareMade("\(disk)/tree", options)
        for verb in ["digest", "list", "mtree"] {
          let words = [verb] + (verb == "digest" ? options + ["\(disk)/tree"] : [scratch("ours.catar")])
          let isSame = try output(Command.binary, words) == output(reference, words)
          #expect(isSame, "\(words)")
        }
        for (program, maker, name) in [(Command.binary, "theirs", "a"), (reference, "ours", "b")] {
          let words = ["extract", "--store=\(scratch("\(maker).castr"))", scratch("\(maker).caidx")]
          _ = try output(program, words + ["\(disk)/\(name)"])
        }
        #expect(
          try output(Command.binary, ["digest"] + options + ["\(disk)/a"])
            == output(reference, ["digest", scratch("ours.catar")]), "\(options)")
        // Not as a claim about the two texts: they are long.
        let isSame = try metadata("\(disk)/a") == metadata("\(disk)/b")
        #expect(isSame, "\(options)")
        // Devices are in the metadata, and never equal for diff.
        try Tool.run("diff", "-r", "--no-dereference", "--exclude=dev", "\(disk)/a", "\(disk)/b")
        try Tool.run("rm", "-r", "\(disk)/a", "\(disk)/b")
      }
    }

    @Test("extract, short of room, is completed by a second run")
    func resumed() throws {
      let device = try scratch.loop(size: 24 << 20)
      try Tool.run("mkfs.ext4", "-q", device)
      let point = try scratch.mount(device, at: "full")
      try Tool.run("mkdir", scratch("in"))
      try Tool.run("dd", "if=/dev/urandom", "of=\(scratch("in/big"))", "bs=1M", "count=12", "status=none")
      try Tool.run("dd", "if=/dev/urandom", "of=\(scratch("in/two"))", "bs=1M", "count=4", "status=none")
      _ = try output(Command.binary, ["make", scratch("in.catar"), scratch("in")])
      try Tool.run("dd", "if=/dev/zero", "of=\(point)/filler", "bs=1M", "count=12", "status=none")
      let words = ["extract", "--delete=no", scratch("in.catar"), "\(point)/out"]
      let full = try Command.casync(words)
      #expect(full.status == 1 && full.errors.contains("No space left on device"), "\(full.errors)")
      #expect(try Tool.run("ls", "-A", "\(point)/out").contains(".#") == false)
      try Tool.run("rm", "\(point)/filler")
      _ = try output(Command.binary, words)
      #expect(
        try output(Command.binary, ["digest", "\(point)/out"])
          == output(reference, ["digest", scratch("in")]))
    }
  }
}
