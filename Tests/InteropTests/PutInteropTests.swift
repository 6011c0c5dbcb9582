import TestSupport
import Testing

extension SystemTests {
  @Suite("with indexes that cross over to casync and back,", .casync)
  struct PutInteropTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    @Test("puts what casync extracts, in every compression", arguments: ["zstd", "xz", "gzip"])
    func compressions(name: String) throws {
      try ours(
        "put", "--store=\(scratch("castr"))", "--compression=\(name)", scratch("i.caibx"), images.newSlice
      ).succeeds()
      try theirs("extract", "--store=\(scratch("castr"))", scratch("i.caibx"), scratch("copy")).succeeds()
      #expect(try Tool.isSame(images.newSlice, scratch("copy")))
    }

    @Test("puts the real image so that casync extracts and digests it")
    func realImage() throws {
      try theirs("extract", "--store=\(images.store)", images.newIndex, scratch("copy")).succeeds()
      #expect(try Tool.isSame(images.new, scratch("copy")))
      let digest = try theirs("digest", "--store=\(images.store)", images.newIndex).succeeds().output
      #expect(try ours("digest", "--store=\(images.store)", images.newIndex).output == digest)
    }

    @Test(
      "puts with the digest and the chunker of casync what casync makes", arguments: ["sha256", "sha512-256"])
    func sameAsMake(digest: String) throws {
      let our = try ours(
        "put", "--store=\(scratch("ours"))", "--chunker=buzhash", "--digest=\(digest)", "--image-digest",
        scratch("ours.caibx"), images.newSlice
      ).succeeds()
      let their = try theirs(
        "make", "--store=\(scratch("theirs"))", "--digest=\(digest)", scratch("theirs.caibx"), images.newSlice
      ).succeeds()
      #expect(our.output == their.output)
      #expect(try Tool.isSame(scratch("ours.caibx"), scratch("theirs.caibx")))
    }

    @Test("gets what casync made, in every compression and digest", arguments: ["zstd", "xz", "gzip"])
    func theirIndexes(compression: String) throws {
      let image = try scratch.slice(images.new, from: 96 << 20, count: 8 << 20, to: "image")
      for digest in ["sha256", "sha512-256"] {
        try theirs(
          "make", "--store=\(scratch("castr"))", "--compression=\(compression)", "--digest=\(digest)",
          scratch("i.caibx"), image
        ).succeeds()
        try ours("get", "--store=\(scratch("castr"))", scratch("i.caibx"), scratch("copy")).succeeds()
        #expect(try Tool.isSame(image, scratch("copy")))
        try scratch.remove("copy")
      }
    }

    @Test(
      "gc removes the chunks that casync would, and says the same",
      arguments: [["-v"], ["-n"], ["-n", "-v"], []])
    func collection(options: [String]) throws {
      for name in ["ours", "theirs"] {
        let store = "--store=\(scratch(name))/s"
        try Tool.run("mkdir", scratch(name))
        try theirs("make", store, "\(scratch(name))/old.caibx", images.oldSlice).succeeds()
        try theirs("make", store, "\(scratch(name))/new.caibx", images.newSlice).succeeds()
      }
      let words = ["gc", "--store=s", "new.caibx"] + options
      let our = try Command.casync(words, in: scratch("ours")).succeeds()
      let their = try Command.run(reference, words, in: scratch("theirs")).succeeds()
      func lines(_ text: String) -> [Substring] { text.split(separator: "\n").sorted() }
      #expect(lines(our.output) == lines(their.output))
      try Tool.run("diff", "--recursive", scratch("ours/s"), scratch("theirs/s"))
    }
  }
}
