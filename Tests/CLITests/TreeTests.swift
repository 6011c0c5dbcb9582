import Foundation
import TestSupport
import Testing

/// The verbs for directory trees, as the built program runs them.
@Suite("Trees")
struct TreeTests {
  static let vectors = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Vectors/tree").path

  /// Makes the tree of make-tree.sh in a directory of its own, which is handed to `body`.
  static func withTree(_ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("casync-" + UUID().uuidString)
      .path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // What could not be removed lies in the temporary directory.
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect(try Command.run("sh", ["\(vectors)/make-tree.sh", "\(path)/tree"]).status == 0)
    try body(path)
  }

  static func casync(_ line: String, in directory: String) throws -> Command {
    try Command.casync(line.split(separator: " ").map(String.init), in: directory)
  }

  static func text(_ name: String) throws -> String {
    try String(contentsOfFile: "\(vectors)/\(name)", encoding: .utf8)
  }

  static let plain = "--with=sec-time --with=permissions --with=symlinks --with=fifos"
  static let nsec =
    plain.replacingOccurrences(of: "sec-time", with: "nsec-time")
    + " --with=sockets --with=device-nodes"

  @Test("are listed as casync lists them: on disk, from an archive, from an index")
  func listing() throws {
    try Self.withTree { path in
      for (flags, name) in [(Self.plain, "plain"), (Self.nsec, "nsec")] {
        let digests = try [
          Self.casync("make \(flags) x.catar tree", in: path),
          Self.casync("make \(flags) x.caidx tree", in: path),
          Self.casync("digest \(flags) tree", in: path), Self.casync("digest x.catar", in: path),
          Self.casync("digest x.caidx", in: path),
        ]
        #expect(digests.allSatisfy { $0.status == 0 && $0.output == digests[0].output }, "\(digests)")
        for source in ["\(flags) tree", "x.catar", "x.caidx"] {
          let mtree = try Self.casync("mtree \(source)", in: path)
          #expect(try mtree.status == 0 && mtree.output == Self.text("tree.\(name).mtree"), "\(source)")
          let manifest = try Self.casync("manifest \(source)", in: path)
          #expect(manifest.output == mtree.output)
          let list = try Self.casync("list \(source)", in: path)
          #expect(try list.status == 0 && list.output == Self.text("tree.plain.list"), "\(source)")
        }
      }
    }
  }

  @Test("have parts that are found by their path, and one of which all is told")
  func parts() throws {
    try Self.withTree { path in
      #expect(try Self.casync("make --with=unix x.catar tree", in: path).status == 0)
      let list = try Self.casync("list x.catar //excl//sub/", in: path)
      #expect(list.output == "drwxr-xr-x excl/sub\n-rw-r--r-- excl/sub/keep.o\n-rw-r--r-- excl/sub/top\n")
      let top = try Self.casync("list --recursive=no x.catar alpha", in: path)
      #expect(top.output.split(separator: "\n").count == 5)
      let stat = try Self.casync("stat x.catar file", in: path)
      #expect(stat.output.hasPrefix("    File: file\n    Mode: -rws--x--x\nFileAttr: ----------\n"))
      #expect(stat.output.contains("    Size: 6\n"))
      // The digest of "hello\n", and that of a part archived by itself.
      let hello = "7f3f0c0d5219f51459578305ed2bbc198588758da85d08024c79c1195d1cd611\n"
      #expect(try Self.casync("digest x.catar file", in: path).output == hello)
      let missing = try Self.casync("list x.catar nosuch", in: path)
      #expect(missing.status == 1 && missing.errors == "casync: Seek path not available in archive.\n")
      let link = try Self.casync("digest x.catar alpha/link", in: path)
      #expect(link.status == 1 && link.errors.contains("does not refer to a file or directory"))
    }
  }

  @Test("that end early or are none are refused in one line")
  func damaged() throws {
    try Self.withTree { path in
      #expect(try Self.casync("make x.catar tree", in: path).status == 0)
      let bytes = try Data(contentsOf: URL(fileURLWithPath: path + "/x.catar"))
      try bytes.prefix(1000).write(to: URL(fileURLWithPath: path + "/short.catar"))
      try Data("no archive, but text that is long enough".utf8).write(
        to: URL(fileURLWithPath: path + "/no.catar"))
      for verb in ["list", "mtree", "digest"] {
        let short = try Self.casync("\(verb) short.catar", in: path)
        #expect(
          short.status == 1 && short.errors == "casync: short.catar: the archive is cut short at byte 1000\n")
        let none = try Self.casync("\(verb) no.catar", in: path)
        #expect(none.status == 1 && none.errors.contains("not an archive"))
      }
      let refused = try Self.casync("list tree/file", in: path)
      #expect(refused.errors == "casync: Input should be a directory, .catar or .caidx file. Refusing.\n")
    }
  }

  @Test("leave no archive behind when they cannot be archived")
  func failure() throws {
    try Self.withTree { path in
      try Data("a/../b\n".utf8).write(to: URL(fileURLWithPath: path + "/tree/.caexclude"))
      for name in ["x.catar", "x.caidx"] {
        let made = try Self.casync("make \(name) tree", in: path)
        #expect(made.status == 1 && made.errors.contains("a line that cannot be used"))
      }
      let left = try FileManager.default.contentsOfDirectory(atPath: path).filter { $0 != "default.castr" }
      #expect(left == ["tree"])
    }
  }

  @Test("are compared with what they should be, a difference a line")
  func comparing() throws {
    try Self.withTree { path in
      #expect(try Self.casync("make x.caidx tree", in: path).status == 0)
      #expect(try Self.casync("make x.catar tree", in: path).status == 0)
      for (verb, archive) in [("verify", "x.caidx"), ("diff", "x.catar")] {
        let same = try Self.casync("\(verb) \(archive) tree", in: path)
        #expect(same.status == 0 && same.output.isEmpty, "\(same)")
        #expect(same.errors.hasSuffix(" files and directories, no difference\n"))
      }
      let change = """
        cd "$1/tree"; echo HELLO >file; rm -r alpha; mkdir zoo; echo x >zoo/x; ln -sfn elsewhere excl/link
        """
      #expect(try Command.run("sh", ["-c", change, "-", path]).status == 0)
      let found = try Self.casync("verify --without=nsec-time --without=sec-time x.caidx tree", in: path)
      #expect(found.status == 1)
      let lines = found.output.split(separator: "\n").filter { !$0.contains("\ttime\t") }
      #expect(lines.contains("alpha\tnode\tdirectory\tnothing"))
      #expect(lines.contains("zoo\tnode\tnothing\tdirectory"))
      #expect(lines.contains { $0.hasPrefix("file\tcontent\t7f3f0c0d") })
      #expect(lines.contains("excl/link\tnode\tnothing\tlink"))
      #expect(!lines.contains { $0.hasPrefix("alpha/") || $0.hasPrefix("zoo/") })
      let json = try Self.casync("diff --json x.catar tree", in: path)
      let node = #"{"path":"zoo","what":"node","expected":"nothing","found":"directory"}"#
      #expect(json.status == 1 && json.output.split(separator: "\n").contains(Substring(node)))
    }
  }

  @Test("whose archive is there already are put into a store and got back, unless it is damaged")
  func archives() throws {
    try Self.withTree { path in
      #expect(try Self.casync("make made.caidx tree", in: path).status == 0)
      #expect(try Self.casync("make x.catar tree", in: path).status == 0)
      let put = try Self.casync("put --store=new.castr put.caidx x.catar", in: path)
      #expect(put.status == 0, "\(put.errors)")
      func bytes(_ name: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)"))
      }
      #expect(try bytes("put.caidx") == bytes("made.caidx"))
      let got = try Self.casync("get --store=new.castr put.caidx y.catar", in: path)
      #expect(got.status == 0, "\(got.errors)")
      #expect(try bytes("y.catar") == bytes("x.catar"))
      try (bytes("x.catar") + Data("more".utf8)).write(to: URL(fileURLWithPath: "\(path)/long.catar"))
      #expect(try Self.casync("put --store=new.castr long.caidx long.catar", in: path).status == 0)
      #expect(try bytes("long.caidx") == bytes("made.caidx"))
      try bytes("x.catar").dropLast(30).write(to: URL(fileURLWithPath: "\(path)/short.catar"))
      let short = try Self.casync("put --store=new.castr short.caidx short.catar", in: path)
      #expect(short.status == 1 && short.errors.contains("casync: short.catar: the archive is cut short"))
      #expect(!FileManager.default.fileExists(atPath: "\(path)/short.caidx"))
    }
  }

  @Test("are cloned with the links between their files")
  func cloning() throws {
    try Self.withTree { path in
      #expect(try Command.run("ln", ["\(path)/tree/file", "\(path)/tree/alpha/second"]).status == 0)
      for _ in 0..<2 {
        let clone = try Self.casync("clone tree copy", in: path)
        #expect(clone.status == 0, "\(clone.errors)")
        let digests = try ["tree", "copy"].map { try Self.casync("digest --exclude-file=no \($0)", in: path) }
        #expect(digests[0].output == digests[1].output && digests[0].status == 0)
        let inodes = try Command.run("stat", ["-c", "%i", "\(path)/copy/file", "\(path)/copy/alpha/second"])
        #expect(Set(inodes.output.split(separator: "\n")).count == 1)
      }
      let inside = try Self.casync("clone tree tree/copy", in: path)
      #expect(inside.status == 1 && inside.errors.contains("lie in one another"))
    }
  }
}
