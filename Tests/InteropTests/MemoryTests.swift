import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("with an image of more than 2 GiB,")
  struct MemoryTests {
    let scratch: Scratch
    let faults: Faults
    /// Real images one after the other, again and again.
    let image: String

    init() throws {
      scratch = try Scratch(.memory)
      faults = try Faults(scratch)
      let images = try Published.current
      image = try scratch.sparse("image", size: 0)
      var size = 0
      while size < 2 << 30 {
        for part in [images.disk, images.old, images.squashfs] {
          try Tool.run(
            "dd", "if=\(part)", "of=\(image)", "bs=1M", "conv=sparse,notrunc", "oflag=seek_bytes",
            "seek=\(size)",
            "status=none")
          // A length of its own for each copy moves the next one off any alignment.
          size += Int(try Tool.run("stat", "--format=%s", part)).map { $0 + 4096 + 512 } ?? 0
        }
      }
      try Tool.run("truncate", "--size=\(size)", image)
    }

    @Test("takes at most 64 MiB and 48 bytes a chunk, to put it and to get it")
    func peak() throws {
      let put = try ours(
        "put", "--store=\(scratch("castr"))", "--json", scratch("i.caibx"), image,
        environment: faults.environment([])
      ).stored()
      let limit = (64 << 20) + 48 * put.chunks
      #expect(try faults.takeReport().peakBytes <= limit)
      #expect(put.size > 2 << 30)

      let store = "--store=\(scratch("castr"))"
      for options in [[], ["--seed=\(image)"]] {
        try Command.casync(
          ["get", store, scratch("i.caibx"), scratch("copy")] + options, environment: faults.environment([])
        ).succeeds()
        #expect(try faults.takeReport().peakBytes <= limit, "\(options)")
        #expect(try Tool.isSame(image, scratch("copy")))
        try scratch.remove("copy")
      }
    }
  }
}
