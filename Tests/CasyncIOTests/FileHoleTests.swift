import CasyncIO
import Testing

@Suite("File, holes")
struct FileHoleTests {
  static let size: UInt64 = 1 << 20

  /// 1 MiB with data at 64 to 128 KiB and at 512 to 516 KiB.
  static func sparse(_ scratch: Scratch) throws -> File {
    let file = try File.open(scratch.hole("sparse", size), .readWrite)
    let data = buffer([UInt8](repeating: 7, count: 65536))
    try file.write(data, 0..<65536, at: 65536)
    try file.write(data, 0..<4096, at: 524_288)
    return file
  }

  @Test(
    "the first stretch of data in a range is found, clipped to the range",
    arguments: [
      (0..<size, 65536..<131_072), (0..<65536, nil), (0..<65537, 65536..<65537),
      (70000..<80000, 70000..<80000),
      (70000..<size, 70000..<131_072), (131_072..<size, 524_288..<528_384), (528_384..<size, nil),
      (528_383..<size, 528_383..<528_384), (size..<size + 10, nil), (100..<100, nil), (70000..<70000, nil),
    ] as [(Range<UInt64>, Range<UInt64>?)])
  func nextData(range: Range<UInt64>, expected: Range<UInt64>?) throws {
    let scratch = try Scratch()
    let file = try Self.sparse(scratch)
    #expect(try file.nextData(in: range) == expected)
  }

  @Test("a file without holes is data from end to end")
  func dense() throws {
    let scratch = try Scratch()
    let file = try File.open(scratch.file("file", [UInt8](repeating: 0, count: 10000)))
    #expect(try file.nextData(in: 0..<10000) == 0..<10000)
    #expect(try file.nextData(in: 5..<20000) == 5..<10000)
  }

  @Test("a pipe cannot tell, so all of it is data")
  func pipe() throws {
    let scratch = try Scratch()
    try run("mkfifo", scratch["pipe"])
    let file = try File.open(scratch["pipe"], .nonBlocking)
    #expect(try file.nextData(in: 3..<9) == 3..<9)
  }

  @Test("a punched hole reads as zeros and is a hole; what is beside it stays")
  func punch() throws {
    let scratch = try Scratch()
    let file = try File.open(scratch.file("file", [UInt8](repeating: 1, count: 65536)), .readWrite)
    try file.punchHole(8192..<16384)
    #expect(try file.nextData(in: 8192..<65536) == 16384..<65536)
    try file.punchHole(20000..<20010)
    try file.punchHole(65000..<70000)
    let bytes = try contents(scratch["file"])
    #expect(bytes.count == 65536)
    for (offset, byte) in bytes.enumerated() {
      let isHole = [8192..<16384, 20000..<20010, 65000..<65536].contains { $0.contains(offset) }
      guard (byte == 0) == isHole else {
        Issue.record("byte \(offset) is \(byte)")
        break
      }
    }
  }

  @Test("blocks are shared where the file system can", .tags(.root), .needsRoot, .needs("mkfs.xfs"))
  func clone() throws {
    let scratch = try Scratch()
    let image = try scratch.hole("xfs", 320 << 20)
    try run("mkfs.xfs", "-q", "-m", "reflink=1", image)
    let mount = try Mount(LoopDevice(image), on: "mount", in: scratch)
    let bytes = (0..<65536).map { UInt8(truncatingIfNeeded: $0 >> 8) }
    let from = try File.open("\(mount.path)/from", [.readWrite, .create])
    try from.write(buffer(bytes), 0..<65536, at: 0)
    let to = try File.open("\(mount.path)/to", [.readWrite, .create])
    try to.clone(from, from: 8192, length: 16384, to: 4096)
    #expect(try contents("\(mount.path)/to") == [UInt8](repeating: 0, count: 4096) + bytes[8192..<24576])
    let error = #expect(throws: SystemError.self) { try to.clone(from, from: 1, length: 4096, to: 0) }
    #expect(error?.isUnsupported == true)
  }

  @Test("where blocks cannot be shared the error says that the call is not offered")
  func cannotClone() throws {
    let scratch = try Scratch()
    let from = try File.open("/proc/self/status")
    let to = try File.open(scratch["to"], [.readWrite, .create])
    let error = #expect(throws: SystemError.self) { try to.clone(from, from: 0, length: 4096, to: 0) }
    #expect(
      error.map { $0.isUnsupported || $0.number == 18 } == true,
      "EXDEV or not supported: \(error?.number ?? 0)")
  }
}

/// A mounted device, unmounted with the last reference to it.
final class Mount: Sendable {
  let path: String
  let device: LoopDevice
  /// The mount point goes after it.
  private let scratch: Scratch

  init(_ device: LoopDevice, on name: String, in scratch: Scratch, node: String? = nil) throws {
    path = scratch[name]
    self.device = device
    self.scratch = scratch
    try FileSystem.makeDirectory(path)
    try run("mount", node ?? device.path, path)
  }

  deinit {
    // Lazily: nobody else uses it.
    _ = try? run("umount", "--lazy", path)
  }
}
