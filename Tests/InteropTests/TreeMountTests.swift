import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("mounts an archive that", .casync, .root, .tools("getfattr", "getfacl"))
  struct TreeMountTests {
    let scratch: Scratch

    init() throws {
      scratch = try Scratch()
      let script = Repository.path("Tests/Vectors/tree/make-rich-tree.py")
      try Tool.run("python3", script, scratch("rich"))
      try Tool.run("sh", Repository.path("Tests/Vectors/tree/make-tree.sh"), scratch("rich/tree"))
      // A directory that the kernel lists in several pieces, and a file of several chunks.
      try Tool.run("mkdir", scratch("rich/many"))
      try Tool.run(
        "sh", "-c", "cd '\(scratch("rich/many"))'; seq -f 'a file of number %g' 3000 | xargs -d '\\n' touch")
      try Tool.run("dd", "if=/dev/urandom", "of=\(scratch("rich/big"))", "bs=1M", "count=3", "status=none")
      try theirs("make", "--store=\(scratch("castr"))", scratch("t.caidx"), scratch("rich")).succeeds()
    }

    private func mount(_ archive: String, _ more: String...) throws -> Mounted {
      try Mounted(
        ["mount", "--store=\(scratch("castr"))"] + more + [archive, scratch("mnt")], at: [scratch("mnt")],
        scratch)
    }

    /// All that can be seen of a tree: metadata, extended attributes and ACLs, attributes of chattr.
    private func description(_ tree: String) throws -> String {
      let format = "%p %y %m %U %G %T@ %l"
      // The order of names, the sizes of directories and links to them are the file system's own.
      return try Tool.run(
        "sh", "-c",
        """
        cd "$0"
        find . -type d -printf '\(format)\\n' -o -printf '\(format) %s\\n' | LC_ALL=C sort
        find . -print0 | LC_ALL=C sort -z | xargs -0 getfattr --no-dereference --dump --match=- --encoding=hex
        find . ! -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl --numeric --absolute-names
        """, tree)
    }

    @Test("shows casync's index as the tree that casync extracts, in every detail")
    func same() throws {
      try theirs("extract", "--store=\(scratch("castr"))", scratch("t.caidx"), scratch("extracted"))
        .succeeds()
      let mounted = try mount(scratch("t.caidx"))
      let (a, b) = (try description(scratch("extracted")), try description(scratch("mnt")))
      #expect(a == b)
      #expect(a.contains("system.posix_acl_access") && a.contains("security.capability"))
      let diff = try Command.run("diff", ["-r", "--no-dereference", scratch("extracted"), scratch("mnt")])
      // diff(1) compares neither devices nor fifos.
      #expect(
        diff.output.split(separator: "\n").allSatisfy {
          $0.contains(" while file ")
        })
      #expect(try Tool.run("lsattr", "-d", scratch("mnt/plain")).hasPrefix("----"))
      #expect(try Command.run("touch", [scratch("mnt/new")]).errors.contains("Read-only file system"))
      #expect(
        try Tool.run("findmnt", "--noheadings", "--output=FSTYPE,OPTIONS", scratch("mnt"))
          .contains("fuse.casync ro,nosuid,nodev"))
      let end = try mounted.end()
      #expect(end.status == 0 && end.output == "Mounted: \(scratch("mnt"))\n")
      #expect(
        end.errors.hasPrefix("The following feature flags are not exposed in the mounted file system: "))
      #expect(try scratch.names(in: "mnt").isEmpty)
    }

    @Test("is taken from a seed, and from a store where the seed has changed since")
    func seeded() throws {
      try Tool.run("cp", "--archive", scratch("rich"), scratch("seed"))
      let mounted = try mount(scratch("t.caidx"), "--seed=\(scratch("seed"))")
      // Nothing but the seed has it any more.
      try Tool.run("mv", scratch("castr"), scratch("away"))
      try Tool.run("mkdir", scratch("castr"))
      #expect(try Tool.isSame(scratch("rich/big"), scratch("mnt/big")))
      #expect(try mounted.end().status == 0)
      try Tool.run("rmdir", scratch("castr"))
      try Tool.run("mv", scratch("away"), scratch("castr"))
      let again = try mount(scratch("t.caidx"), "--seed=\(scratch("seed"))")
      try Tool.run("dd", "if=/dev/zero", "of=\(scratch("seed/big"))", "bs=1M", "count=3", "conv=notrunc")
      #expect(try Tool.isSame(scratch("rich/big"), scratch("mnt/big")))
      #expect(try again.end().status == 0)
    }

    @Test("is a file, with its owners shifted, and ends when it is unmounted")
    func archive() throws {
      try theirs("make", "--with=unix", scratch("t.catar"), scratch("rich")).succeeds()
      let mounted = try mount(scratch("t.catar"), "--uid-shift=100000")
      #expect(try Tool.isSame(scratch("rich/big"), scratch("mnt/big")))
      #expect(try Tool.run("stat", "-c", "%u %g", scratch("mnt/big")) == "100000 100000")
      try Tool.run("umount", scratch("mnt"))
      #expect(try mounted.program.wait().status == 0)
    }

    @Test("replaces the mount of a killed server, and makes no directory when told so")
    func mountPoint() throws {
      _ = try mount(scratch("t.caidx")).end(SIGKILL)
      let second = try mount(scratch("t.caidx"))
      #expect(try Tool.isSame(scratch("rich/big"), scratch("mnt/big")))
      #expect(try second.end().status == 0)
      try ours("mount", "--store=\(scratch("castr"))", "--mkdir=no", scratch("t.caidx"), scratch("none"))
        .fails("\(scratch("none")) is no directory")
    }

    @Test("has I/O errors where a chunk is missing or the archive is damaged, and nowhere else")
    func damaged() throws {
      try theirs("make", scratch("t.catar"), scratch("rich")).succeeds()
      // The ENTRY of one file becomes something else.
      let archive = try scratch.bytes("t.catar")
      let name = Array("xattr\0".utf8)
      let place = try #require(archive.indices.first { archive[$0...].starts(with: name) })
      var bytes = archive
      bytes[place + name.count + 8] ^= 1
      try scratch.write(bytes, to: "bad.catar")
      let mounted = try mount(scratch("bad.catar"))
      #expect(try Tool.isSame(scratch("rich/big"), scratch("mnt/big")))
      #expect(try Command.run("cat", [scratch("mnt/xattr")]).errors.contains("Input/output error"))
      #expect(try Command.run("ls", [scratch("mnt")]).errors.contains("Input/output error"))
      #expect(try Tool.run("ls", scratch("mnt/many")).split(separator: "\n").count == 3000)
      #expect(try mounted.end().errors.contains("the archive is damaged"))
      try ours("mount", scratch("rich/big"), scratch("mnt"), "--what=archive").fails(
        "\(scratch("rich/big")): not an archive")
    }

    @Test("mount(8) is told of by a line of fstab, and that is wrong in a way that is said")
    func helper() throws {
      // mount(8) looks for helpers in /sbin alone: in a mount namespace of its own that holds ours.
      let script = """
        set -e
        mount -t tmpfs helpers /usr/sbin
        ln -s "$1" /usr/sbin/mount.casync
        printf '%s %s casync noauto,store=%s,noexec 0 0\n' "$2/t.caidx" "$2/mnt" "$2/castr" >"$2/fstab"
        mkdir "$2/mnt"
        mount --fstab "$2/fstab" "$2/mnt"
        cmp "$2/rich/big" "$2/mnt/big"
        grep " $2/mnt fuse.casync ro,nosuid,nodev,noexec," /proc/mounts
        umount "$2/mnt"
        mount -t casync -o "store=$2/none" "$2/t.caidx" "$2/mnt" || echo "status $?"
        mount -t casync -o bogus "$2/t.caidx" "$2/mnt" || echo "status $?"
        """
      let run = try Command.run(
        "unshare", ["--mount", "sh", "-c", script, "sh", Command.binary, scratch.path])
      #expect(run.status == 0, "\(run.errors)")
      #expect(run.output.hasSuffix("status 32\nstatus 1\n"), "\(run.output)")
      #expect(run.errors.contains("casync: \(scratch("none"))"), "\(run.errors)")
      #expect(run.errors.contains("casync: mount.casync: unknown option bogus"), "\(run.errors)")
    }
  }
}
