import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// A chunk whose content does not match its name is never written anywhere.
  @Suite("meeting damaged chunks,")
  struct DamagedChunkTests {
    let scratch: Scratch
    /// Path of a chunk's file below its store, and its name.
    let victim: String
    let id: String

    init() throws {
      scratch = try Scratch(.memory)
      try scratch.slice(Published.current.squashfs, count: 3 << 20, to: "image")
      try ours("put", "--store=\(scratch("one"))", scratch("i.caibx"), scratch("image")).succeeds()
      try Tool.run("cp", "-r", scratch("one"), scratch("two"))
      let ids = try ours("list-chunks", scratch("i.caibx")).succeeds().output.split(separator: "\n")
      id = String(ids[ids.count / 2])
      victim = "\(id.prefix(4))/\(id).cacnk"
    }

    /// A way to damage a chunk: a shell command that gets the file as `$1`, and what is then said of the
    /// file.
    struct Damage: CustomTestStringConvertible {
      let name: String
      let command: String
      let reason: String
      var testDescription: String { name }
    }

    static let damages = [
      Damage(
        name: "other content", command: "echo other content, as long as any | zstd -q >\"$1\"",
        reason: "the chunk is shorter than its index says"),
      Damage(
        name: "a flipped bit",
        command: """
          zstd -qdc "$1" >"$1.new" && printf '\\252' | dd of="$1.new" bs=1 conv=notrunc status=none
          zstd -qc "$1.new" >"$1"
          """,
        reason: "its content does not match its name"),
      Damage(
        name: "cut short", command: "truncate -s -100 \"$1\"", reason: "the compressed chunk ends too early"),
      Damage(
        name: "trailing bytes", command: "echo >>\"$1\"", reason: "bytes follow the end of the zstd data"),
      Damage(
        name: "no compression", command: "echo 'no magic at all' >\"$1\"",
        reason: "the chunk is neither zstd nor xz nor gzip"),
      Damage(
        name: "a bomb", command: "head -c 2G /dev/zero | zstd -q >\"$1\"",
        reason: "the chunk is longer than its index says"),
      Damage(
        name: "an xz bomb", command: "head -c 64M /dev/zero | xz -0 >\"$1\"",
        reason: "the chunk is longer than its index says"),
      Damage(name: "an empty file", command: ": >\"$1\"", reason: "not there"),
      Damage(name: "a link that says missing", command: "ln -sf /dev/null \"$1\"", reason: "not there"),
      Damage(name: "no file", command: "rm \"$1\"", reason: "not there"),
      Damage(
        name: "a plain form of another length", command: "rm \"$1\"; echo >\"${1%.cacnk}\"",
        reason: "1 bytes long instead of "),
      Damage(
        name: "a directory", command: "rm \"$1\"; mkdir \"$1\"",
        reason: "Is a directory"),
    ]

    private func damage(_ damage: Damage, in store: String) throws {
      let file = scratch("\(store)/\(victim)")
      try Tool.run("sh", "-c", "chmod +w \"$1\"; \(damage.command)", "-", file)
    }

    @Test("takes the chunk from the next store", arguments: damages)
    func nextStore(_ damage: Damage) throws {
      try self.damage(damage, in: "one")
      let report = try ours(
        "get", "--store=\(scratch("one"))", "--store=\(scratch("two"))", "--json", scratch("i.caibx"),
        scratch("copy")
      ).got()
      #expect(report.bytes(from: "store") == 3 << 20)
      #expect(try Tool.isSame(scratch("image"), scratch("copy")))
    }

    @Test("names the chunk and every store when none is left, and finishes nothing", arguments: damages)
    func noStore(_ damage: Damage) throws {
      try self.damage(damage, in: "one")
      try self.damage(damage, in: "two")
      let run = try ours(
        "get", "--store=\(scratch("one"))", "--store=\(scratch("two"))", scratch("i.caibx"), scratch("copy"))
      run.fails("cannot get chunk \(id): ")
      for part in [scratch("one"), scratch("two"), damage.reason] { #expect(run.errors.contains(part)) }
      #expect(!scratch.exists("copy"))

      // The part that is kept serves when the chunk is there again.
      try ours("put", "--store=\(scratch("three"))", scratch("i.caibx"), scratch("image")).succeeds()
      try ours("get", "--store=\(scratch("three"))", scratch("i.caibx"), scratch("copy")).succeeds()
      #expect(try Tool.isSame(scratch("image"), scratch("copy")))
    }

    @Test("leaves a device without a header when a chunk of its body is nowhere", .root)
    func device() throws {
      let images = try Published.current
      let device = try scratch.loop(size: Published.sliceLength)
      let get = ["get", "--store=\(images.store)", "--state-dir=none"]
      try Command.casync(get + [images.oldSliceIndex, device]).succeeds()
      try Tool.run("cp", "-r", images.store, scratch("store"))
      let old = try ours("list-chunks", images.oldSliceIndex).output
      let new = try ours("list-chunks", images.newSliceIndex).output.split(separator: "\n")
      let added = try #require(new.last { !old.contains($0) })
      try scratch.remove("store/\(added.prefix(4))/\(added).cacnk")
      try ours("get", "--store=\(scratch("store"))", "--state-dir=none", images.newSliceIndex, device).fails(
        "cannot get chunk \(added): \(scratch("store")): not there")
      #expect(try Command.run("blkid", ["--probe", device]).status == 2)
      try Command.casync(get + [images.newSliceIndex, device]).succeeds()
      #expect(try Tool.isSame(images.newSlice, device))
    }

    @Test("takes a good plain chunk beside a bad compressed one")
    func plainForm() throws {
      let file = scratch("one/\(victim)")
      try Tool.run(
        "sh", "-c", "chmod +w \"$1\"; zstd -qdc \"$1\" >\"${1%.cacnk}\" && echo damaged >\"$1\"", "-", file)
      try ours("get", "--store=\(scratch("one"))", scratch("i.caibx"), scratch("copy")).succeeds()
      #expect(try Tool.isSame(scratch("image"), scratch("copy")))
    }

    @Test("puts a chunk of no bytes again")
    func emptyChunk() throws {
      try Tool.run("sh", "-c", "chmod +w \"$1\"; : >\"$1\"", "-", scratch("one/\(victim)"))
      let report = try ours(
        "put", "--store=\(scratch("one"))", "--json", scratch("i.caibx"), scratch("image")
      ).stored()
      #expect(report.newChunks == 1)
      try ours("check", scratch("one")).succeeds()
    }

    @Test("finds damaged chunks with check, and moves them aside with --repair")
    func check() throws {
      try Tool.run("sh", "-c", "chmod +w \"$1\"; echo damaged >\"$1\"", "-", scratch("one/\(victim)"))
      let found = try ours("check", scratch("one"))
      #expect(found.status == 1)
      #expect(found.output.contains(id))
      #expect(try ours("check", "--repair", scratch("one")).status == 1)
      try ours("check", scratch("one")).succeeds()
      #expect(!scratch.exists("one/\(victim)"))
    }
  }
}
