internal import CLinux
internal import Glibc

/// What only block devices can do.
extension File {
  /// Size of the device in bytes (BLKGETSIZE64).
  package func deviceSize() throws -> UInt64 {
    var size: UInt64 = 0
    // SAFETY: the kernel writes one 64-bit word.
    guard unsafe casync_blkgetsize64(descriptor, &size) == 0 else {
      throw SystemError("find the size of", path, errno: errno)
    }
    return size
  }

  /// The smallest unit that the device writes, in bytes (BLKSSZGET).
  package func logicalBlockSize() throws -> Int {
    var size: Int32 = 0
    // SAFETY: the kernel writes one int.
    guard unsafe casync_blksszget(descriptor, &size) == 0 else {
      throw SystemError("find the block size of", path, errno: errno)
    }
    return Int(size)
  }

  /// Makes `range`, aligned to the logical block, read as zeros: by punching a hole where the device can,
  /// which may unmap it, else by writing zeros in the kernel (BLKZEROOUT). Both guarantee zeros; a discard
  /// would not.
  package func zeroOut(_ range: Range<UInt64>) throws {
    do {
      try punchHole(range)
    } catch let error as SystemError where error.isUnsupported {
      var words: (UInt64, UInt64) = (range.lowerBound, UInt64(range.count))
      let failed = unsafe withUnsafeMutableBytes(of: &words) { bytes in
        // SAFETY: the two words are the offset and the length the call expects.
        unsafe casync_blkzeroout(descriptor, bytes.baseAddress?.assumingMemoryBound(to: UInt64.self)) != 0
      }
      if failed { throw SystemError("zero", path, at: range.lowerBound, errno: errno) }
    }
  }

  /// Drops the kernel's cached pages of the device.
  package func dropDeviceCache() throws {
    guard casync_blkflsbuf(descriptor) == 0 else {
      throw SystemError("drop the cached pages of", path, errno: errno)
    }
  }

  /// Lets the kernel read the partition table again.
  package func rereadPartitionTable() throws {
    guard casync_blkrrpart(descriptor) == 0 else {
      throw SystemError("read the partition table again on", path, errno: errno)
    }
  }
}

/// What sysfs says of a block device.
package struct BlockDevice: Sendable {
  /// The kernel's name, such as `sda1` or `loop3`.
  package let name: String
  /// The directory in sysfs.
  package let directory: String
  /// "major:minor".
  package let number: String

  /// - Parameter target: the device number that a node stands for (`File.Status.target`).
  package init(_ target: UInt64) {
    self.init(number: "\(casync_major(dev_t(target))):\(casync_minor(dev_t(target)))")
  }

  /// - Parameter number: "major:minor".
  init(number: String) {
    self.number = number
    directory = "/sys/dev/block/\(number)"
    name = FileSystem.resolved(directory).map(FileSystem.name(of:)) ?? number
  }

  /// An attribute's value without its newline.
  package func attribute(_ name: String) -> String? {
    FileSystem.text("\(directory)/\(name)").map { text in
      String(text.last == "\n" ? text.dropLast() : text[...])
    }
  }

  /// Whether the node is a partition of a disk.
  package var isPartition: Bool { attribute("partition") != nil }

  /// Most bytes that the device zeroes in one request; 0 when it cannot.
  package var writeZeroesLimit: UInt64 {
    let disk = isPartition ? "\(directory)/.." : directory
    let text = FileSystem.text("\(disk)/queue/write_zeroes_max_bytes") ?? ""
    return UInt64(text.filter(\.isNumber)) ?? 0
  }

  /// The partitions of a disk.
  package var partitions: [String] {
    // A device that is gone has none.
    ((try? FileSystem.names(in: directory)) ?? []).filter {
      FileSystem.text("\(directory)/\($0)/partition") != nil
    }
  }

  /// The devices that are built on this one (device mapper, md).
  package var holders: [String] {
    // As above.
    (try? FileSystem.names(in: "\(directory)/holders")) ?? []
  }

  /// What a device is called whatever the order of discovery: its PARTUUID, else its path on the bus,
  /// else, for a loop device, the file behind it.
  package var stableName: String? {
    for kind in ["by-partuuid", "by-path"] {
      let directory = "/dev/disk/\(kind)"
      // The directories are udev's; where there is no udev there are no stable names.
      for link in (try? FileSystem.names(in: directory)) ?? [] {
        if let node = FileSystem.resolved("\(directory)/\(link)"), FileSystem.name(of: node) == name {
          return "\(kind)-\(link)"
        }
      }
    }
    return attribute("loop/backing_file").map { file in
      "loop-" + String(file.map { $0 == "/" ? "-" : $0 }) + "-" + (attribute("loop/offset") ?? "0")
    }
  }
}
