import CasyncFormat

/// How far a file system says it goes, which may be less than its device (as casync's `make` asks it).
enum FileSystemSize {
  /// - Parameter head: the first 2048 bytes of the device or more.
  /// - Returns: bytes; `nil` when no file system is recognised.
  static func find(in head: RawSpan) -> UInt64? {
    squashfs(head) ?? androidBoot(head) ?? ext(head) ?? fat(head)
  }

  /// squashfs: "hsqs" at 0, bytes used at 40, rounded up to 4 KiB as mksquashfs pads it.
  private static func squashfs(_ head: RawSpan) -> UInt64? {
    guard head.word32(at: 0) == 0x7371_7368, let used = head.word(at: 40), used <= .max - 4095 else {
      return nil
    }
    return (used + 4095) / 4096 * 4096
  }

  /// ext2/3/4: magic at 1080, block count (low half) at 1028, block size 1024 << n at 1048.
  private static func ext(_ head: RawSpan) -> UInt64? {
    guard let magic = head.word32(at: 1080), magic & 0xffff == 0xef53, let count = head.word32(at: 1028),
      let shift = head.word32(at: 1048), shift <= 6
    else { return nil }
    return UInt64(count) << UInt64(10 + shift)
  }

  /// FAT: a jump at 0 (an MBR has code there), 55 aa at 510, sector size at 11, number of sectors at 19 (16
  /// bits) or 32 (32 bits).
  private static func fat(_ head: RawSpan) -> UInt64? {
    guard head.byte(at: 0) == 0xeb || head.byte(at: 0) == 0xe9, head.byte(at: 510) == 0x55,
      head.byte(at: 511) == 0xaa,
      let sectorLow = head.byte(at: 11), let sectorHigh = head.byte(at: 12),
      let shortLow = head.byte(at: 19), let shortHigh = head.byte(at: 20), let long = head.word32(at: 32)
    else { return nil }
    let sectorSize = UInt64(sectorLow) | UInt64(sectorHigh) << 8
    guard [512, 1024, 2048, 4096].contains(sectorSize) else { return nil }
    let short = UInt64(shortLow) | UInt64(shortHigh) << 8
    let sectors = short > 0 ? short : UInt64(long)
    return sectors > 0 ? sectors * sectorSize : nil
  }

  /// Android boot image: "ANDROID!" at 0; sizes of kernel, ramdisk and second stage at 8, 16 and 24, page
  /// size at 36, device tree at 40; each part fills whole pages, and so does the header of 608 bytes.
  private static func androidBoot(_ head: RawSpan) -> UInt64? {
    guard head.word(at: 0) == 0x2144_494f_5244_4e41, let kernel = head.word32(at: 8),
      let ramdisk = head.word32(at: 16), let second = head.word32(at: 24), let page = head.word32(at: 36),
      let tree = head.word32(at: 40), page > 0
    else { return nil }
    return [608, kernel, ramdisk, second, tree].reduce(UInt64(0)) { sum, size in
      sum + (UInt64(size) + UInt64(page) - 1) / UInt64(page) * UInt64(page)
    }
  }
}
