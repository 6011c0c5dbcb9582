import Foundation

/// A temporary directory with loop devices and mounts, all of which are gone when nobody has it any more.
package final class Scratch {
  /// Where it lies.
  package enum Place {
    case temporaryDirectory
    /// In memory, for root: for tests that make the same thing many times.
    case memory
  }

  package let path: String
  private var isMounted = false
  private var undo: [() throws -> Void] = []

  package init(_ place: Place = .temporaryDirectory) throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("casync-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
    if place == .memory, getuid() == 0 {
      try Tool.run("mount", "-t", "tmpfs", "-o", "size=4g", "casync-tests", path)
      isMounted = true
    }
  }

  deinit {
    for step in undo.reversed() {
      // The next step may succeed all the same, and the test's own verdict is not about this.
      try? step()
    }
    // The kernel lets go of a loop device's file some time after it was detached: the memory goes with that.
    if isMounted { _ = try? Tool.run("umount", "--lazy", path) }
    _ = try? Tool.run("rm", "-rf", "--one-file-system", path)
  }

  /// Path of `name` in the directory.
  package func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

  /// Does `step` at the end, before everything that was asked for earlier.
  package func atEnd(_ step: @escaping () throws -> Void) { undo.append(step) }

  // MARK: Files

  @discardableResult
  package func write(_ bytes: [UInt8], to name: String) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: self(name)))
    return self(name)
  }

  package func bytes(_ name: String) throws -> [UInt8] {
    try Array(Data(contentsOf: URL(fileURLWithPath: self(name))))
  }

  /// A file of `size` bytes that is one hole.
  package func sparse(_ name: String, size: Int) throws -> String {
    try Tool.run("truncate", "--size=\(size)", self(name))
    return self(name)
  }

  /// `count` bytes of another file, from `offset`, in a file of their own.
  @discardableResult
  package func slice(_ source: String, from offset: Int = 0, count: Int, to name: String) throws -> String {
    try Tool.run(
      "dd", "if=\(source)", "of=\(self(name))", "bs=64K", "status=none", "conv=notrunc,sparse",
      "iflag=skip_bytes,count_bytes", "skip=\(offset)", "count=\(count)")
    try Tool.run("truncate", "--size=\(count)", self(name))
    return self(name)
  }

  package func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: self(name)) }

  package func names(in name: String = ".") throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: self(name)).sorted()
  }

  package func remove(_ name: String) throws { try Tool.run("rm", "-rf", self(name)) }

  // MARK: Devices

  /// A loop device on `file`, detached at the end.
  package func loop(_ file: String, _ options: String...) throws -> String {
    let words = options + ["--find", "--show", file]
    // Two programs that look for a free device at once may find the same one: the loser looks again.
    var attempt = try Command.run("losetup", words)
    for _ in 0..<5 where attempt.status != 0 { attempt = try Command.run("losetup", words) }
    guard attempt.status == 0 else {
      throw Tool.Failure("losetup \(words.joined(separator: " ")): \(attempt.errors)")
    }
    let device = String(attempt.output.prefix { $0 != "\n" })
    atEnd { try Tool.run("losetup", "--detach", device) }
    return device
  }

  /// A loop device on a new file of `size` bytes.
  package func loop(size: Int, _ name: String = "disk", sectorSize: Int = 512) throws -> String {
    try loop(sparse(name, size: size), "--sector-size", "\(sectorSize)")
  }

  /// Mounts a device below the directory until the end.
  /// - Returns: the mount point.
  package func mount(_ device: String, at name: String, options: String = "rw") throws -> String {
    try Tool.run("mkdir", "-p", self(name))
    try Tool.run("mount", "-o", options, device, self(name))
    let point = self(name)
    atEnd { if try Command.run("mountpoint", ["-q", point]).status == 0 { try Tool.run("umount", point) } }
    return point
  }
}
