import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// Where extracted files get their bytes from, when it is not the store.
  @Suite("extract of a tree, with seeds,", .root)
  struct TreeSeedTests {
    let scratch: Scratch
    let tree: String

    init() throws {
      scratch = try Scratch()
      tree = scratch("tree")
      try Tool.run("mkdir", tree, scratch("empty.castr"))
      let image = try scratch.mount("\(Images.small)/new.ext4", at: "root", options: "ro,loop,noload")
      try Tool.run(
        "sh", "-c", "cd \(image) && cp --archive --parents etc usr/bin usr/lib/systemd \(tree)")
      try ours("make", "--store=\(scratch("castr"))", scratch("i.caidx"), tree).succeeds()
    }

    private func extract(_ target: String, _ store: String, _ options: String...) throws -> Command {
      try Command.casync(
        ["extract", "-v", "--store=\(scratch(store))"] + options + [scratch("i.caidx"), target])
    }

    private func digest(_ path: String) throws -> String { try ours("digest", path).succeeds().output }

    @Test("takes everything from a directory that has it, and nothing from the store")
    func directory() throws {
      let run = try extract(scratch("out"), "empty.castr", "--seed=\(tree)").succeeds()
      #expect(run.errors.contains("Chunk requests fulfilled from local store: 0 (0%)"), "\(run.errors)")
      #expect(try digest(scratch("out")) == digest(tree))
    }

    @Test("fetches what a seed does not have, and says which seed is not there")
    func partial() throws {
      try Tool.run("cp", "--archive", tree, scratch("seed"))
      try Tool.run("rm", "-r", scratch("seed/usr/bin"))
      let run = try extract(
        scratch("out"), "castr", "--seed=\(scratch("nosuch"))", "--seed=\(scratch("seed"))"
      ).succeeds()
      #expect(run.errors.contains("warning: cannot open \(scratch("nosuch"))"), "\(run.errors)")
      #expect(!run.errors.contains("fulfilled from local seed: 0 "), "\(run.errors)")
      #expect(try digest(scratch("out")) == digest(tree))
    }

    @Test("takes what the directory holds already, unless told not to")
    func output() throws {
      _ = try extract(scratch("out"), "castr").succeeds()
      let refused = try extract(scratch("out"), "empty.castr", "--seed-output=no")
      refused.fails("cannot get chunk")
      _ = try extract(scratch("out"), "empty.castr").succeeds()
      #expect(try digest(scratch("out")) == digest(tree))
    }

    @Test("makes links to the same files of a seed, and copies of others")
    func hardLinks() throws {
      try Tool.run("cp", "--archive", tree, scratch("seed"))
      try Tool.run("touch", scratch("seed/etc/passwd"))
      for _ in 0..<2 {
        _ = try extract(scratch("out"), "castr", "--hardlink=yes", "--seed=\(scratch("seed"))").succeeds()
        #expect(try digest(scratch("out")) == digest(tree))
        #expect(try Tool.run("find", scratch("out"), "-name", ".#*") == "")
      }
      func inode(_ name: String) throws -> String { try Tool.run("stat", "-c", "%i", scratch(name)) }
      #expect(try inode("out/usr/bin/ls") == inode("seed/usr/bin/ls"))
      #expect(try inode("out/etc/passwd") != inode("seed/etc/passwd"))
    }

    @Test("shares blocks with a seed where the file system can", .tools("mkfs.xfs"))
    func sharedBlocks() throws {
      let device = try scratch.loop(size: 400 << 20)
      try Tool.run("mkfs.xfs", "-q", "-m", "reflink=1", device)
      let disk = try scratch.mount(device, at: "mnt")
      try Tool.run("cp", "--archive", tree, "\(disk)/seed")
      func isShared(_ name: String) throws -> Bool {
        try Tool.run("filefrag", "-v", "\(disk)/\(name)/usr/bin/bash").contains("shared")
      }
      for (name, options) in [("copied", ["--reflink=no"]), ("shared", [])] {
        let words = ["extract", "--store=\(scratch("castr"))", "--seed=\(disk)/seed"] + options
        try Command.casync(words + [scratch("i.caidx"), "\(disk)/\(name)"]).succeeds()
        #expect(try isShared(name) == options.isEmpty)
        #expect(try digest("\(disk)/\(name)") == digest(tree))
      }
    }

    @Test("makes subvolumes of what were some, and directories elsewhere", .tools("mkfs.btrfs"))
    func subvolumes() throws {
      let device = try scratch.loop(size: 256 << 20)
      try Tool.run("mkfs.btrfs", "-q", device)
      let disk = try scratch.mount(device, at: "mnt")
      for name in ["in", "in/plain", "in/locked"] {
        try Tool.run("btrfs", "subvolume", "create", "\(disk)/\(name)")
      }
      try Tool.run("sh", "-c", "echo content >\(disk)/in/locked/file; mkdir \(disk)/in/directory")
      try Tool.run("btrfs", "property", "set", "\(disk)/in/locked", "ro", "true")
      try ours("make", scratch("i.catar"), "\(disk)/in").succeeds()
      try ours("extract", scratch("i.catar"), "\(disk)/out").succeeds()
      #expect(try Tool.run("stat", "-c", "%i", "\(disk)/out/plain") == "256")
      #expect(try Tool.run("stat", "-c", "%i", "\(disk)/out/directory") != "256")
      #expect(try Tool.run("btrfs", "property", "get", "\(disk)/out/locked", "ro") == "ro=true")
      // The target itself was no subvolume.
      #expect(
        try ours("diff", scratch("i.catar"), "\(disk)/out").output == ".\tattributes\tsubvolume\tnone\n")
      // What is read-only can be replaced by who says so.
      try ours("extract", "--undo-immutable=yes", scratch("i.catar"), "\(disk)/out").succeeds()
      try ours("extract", scratch("i.catar"), scratch("elsewhere")).succeeds()
      #expect(try Tool.run("cat", scratch("elsewhere/locked/file")) == "content")
      try Tool.run("btrfs", "property", "set", "\(disk)/out/locked", "ro", "false")
    }
  }
}
