import TestSupport
import Testing

extension SystemTests {
  @Suite("called by RAUC,", .root)
  struct RAUCTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    @Test("makes, and extracts onto slot B with slot A as its seed")
    func update() throws {
      let store = scratch("bundle.castr")
      for (image, index) in [(images.old, "old.caibx"), (images.new, "new.caibx")] {
        try ours("make", scratch(index), image, "--store", store, "--chunk-size=64000").succeeds()
      }
      let a = try scratch.loop(size: 360 << 20, "a")
      let b = try scratch.loop(size: 360 << 20, "b")
      try ours("extract", "--store", store, "--seed-output=no", scratch("old.caibx"), a).succeeds()
      let run = try ours(
        "extract", "--seed", a, "--store", store, "--seed-output=no", scratch("new.caibx"), b, "-v"
      ).succeeds()
      #expect(run.errors.contains("Chunk requests fulfilled from local seed: "))
      #expect(try Tool.isSame(images.new, b, count: 360_710_144))
    }

    @Test("extracts to a character device on standard output, for UBI volumes")
    func standardOutput() throws {
      let words =
        "exec '\(Command.binary)' extract --store '\(images.store)' --seed-output=no '\(images.newSliceIndex)' -"
      try Command.run("sh", ["-c", words + " > /dev/null"]).succeeds()
    }

    @Test("says that it is casync 2")
    func version() throws {
      #expect(try ours("--version").output.hasPrefix("casync 2\n"))
    }
  }
}
