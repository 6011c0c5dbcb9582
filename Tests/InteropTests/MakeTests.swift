import TestSupport
import Testing

extension SystemTests {
  /// make and extract are casync's, byte for byte.
  @Suite("side by side with casync,", .casync)
  struct MakeTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    static let sizes = ["auto", "64000", "8K", "1M", "16K:64K:256K", "4K:16K:64K", "4096:4096:4096"]

    @Test(
      "make writes the same index and the same chunks, and prints the same digest",
      arguments: sizes, ["sha512-256", "sha256"])
    func sameIndex(size: String, digest: String) throws {
      try scratch.slice(images.new, from: 96 << 20, count: (12 << 20) + 777, to: "image")
      try compare(scratch("image"), "--chunk-size=\(size)", "--digest=\(digest)")
    }

    @Test(
      "make agrees on images of every length about a window and about a smallest chunk",
      arguments: [0, 1, 47, 48, 49, 4095, 16383, 16384, 16385, 65536, 262_144, 262_145])
    func shortImages(length: Int) throws {
      try scratch.slice(images.squashfs, from: 1 << 20, count: length, to: "image")
      try compare(scratch("image"))
    }

    @Test("make agrees on the real ext4 image")
    func ext4() throws { try compare(images.old) }

    @Test("make agrees on the real squashfs image with the options that RAUC gives")
    func squashfs() throws { try compare(images.squashfs, "--chunk-size=64000", "--digest=sha256") }

    /// Makes both indexes, compares everything about them, and extracts each with the other program.
    private func compare(_ image: String, _ options: String...) throws {
      func make(_ program: String, _ name: String) throws -> Command {
        let words = ["make", "--store=\(scratch(name)).castr", "\(scratch(name)).caibx", image] + options
        return try program == reference ? Command.run(program, words) : Command.casync(words)
      }
      let our = try make(Command.binary, "ours").succeeds()
      let their = try make(reference, "theirs").succeeds()
      #expect(our.output == their.output)
      #expect(our.errors == "")
      #expect(try Tool.isSame(scratch("ours.caibx"), scratch("theirs.caibx")))
      #expect(try chunkNames("ours.castr") == chunkNames("theirs.castr"))
      #expect(try ours("digest", image).output == theirs("digest", image).output)

      try ours(
        "extract", "--store=\(scratch("theirs.castr"))", scratch("theirs.caibx"), scratch("by-ours")
      ).succeeds()
      #expect(try Tool.isSame(image, scratch("by-ours")))
      try theirs("extract", "--store=\(scratch("ours.castr"))", scratch("ours.caibx"), scratch("by-theirs"))
        .succeeds()
      #expect(try Tool.isSame(image, scratch("by-theirs")))
    }

    private func chunkNames(_ store: String) throws -> String {
      guard scratch.exists(store) else { return "" }
      return try Tool.run(
        "sh", "-c", "cd \"$1\" && find . -type f -printf '%P %m\\n' | sort", "-", scratch(store))
    }

    @Test(
      "make and extract end with the same status, and print as much on standard output",
      arguments: [
        "make x", "make x.caibx /nosuch", "make x.caibx image extra", "make x.catar image",
        "make x.caibx image --chunk-size=0", "make x.caibx image --chunk-size=3:2:1",
        "make x.caibx image --digest=md5", "make x.caibx image --compression=lzma",
        "make --what=blob x image",
        "make --what=blob-index x image", "make --chunk-si=8K x.caibx image", "extract", "extract x",
        "extract x.caibx y", "extract image.caibx y", "extract y --store=default.castr image.caibx",
        "extract --seed=/nosuch image.caibx y", "extract --seed-output=no image.caibx y",
        "extract --what=blob-index image.caibx y", "extract image.caibx y z",
        "extract --store=/nosuch image.caibx y",
        "digest image.caibx", "digest nosuch", "digest --what=blob image.caibx", "gc", "gc nosuch.caibx",
        "gc image.caibx", "--version", "nosuch", "--nosuch",
      ])
    func statuses(line: String) throws {
      func run(_ program: String) throws -> Command {
        try scratch.remove("work")
        try Tool.run("mkdir", scratch("work"))
        try scratch.slice(images.squashfs, count: 300_000, to: "work/image")
        try theirs("make", "image.caibx", "image", in: scratch("work")).succeeds()
        return try Command.run(program, line.split(separator: " ").map(String.init), in: scratch("work"))
      }
      let our = try run(Command.binary)
      let their = try run(reference)
      #expect(our.status == their.status, "\(our.errors)\(their.errors)")
      #expect(our.output.hasPrefix(their.output))
    }
  }
}
