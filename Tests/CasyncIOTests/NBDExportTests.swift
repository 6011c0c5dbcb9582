import CasyncIO
import Foundation
import Testing

/// A qemu-nbd that serves one image on a Unix socket, ended with the last reference to it.
final class NBDServer: Sendable {
  let uri: String
  private let pid: Int32
  /// Its files go after it.
  private let scratch: Scratch

  init(_ image: String, format: String, in scratch: Scratch, options: [String] = []) throws {
    let name = FileSystem.name(of: image)
    let socket = scratch["\(name).socket"]
    let pidFile = scratch["\(name).pid"]
    uri = "nbd+unix:///?socket=\(socket)"
    let arguments = ["--fork", "--persistent", "--shared=4", "--pid-file=\(pidFile)", "--socket=\(socket)"]
    // A daemon that keeps the descriptors of the process that started it is waited for as long as it lives.
    let closeOthers = #"for f in /proc/self/fd/*; do f=${f##*/}; (( f > 2 )) && eval "exec $f>&-"; done"#
    let command = ["-c", "(\(closeOthers); exec qemu-nbd \"$@\")", "bash"]
    try run("bash", command + arguments + ["--format=\(format)"] + options + [image])
    pid = try #require(FileSystem.text(pidFile).flatMap { Int32($0.filter(\.isNumber)) })
    self.scratch = scratch
  }

  deinit {
    // It inherited a mask of signals from the test's thread that SIGTERM does not pass.
    kill(pid, SIGKILL)
  }
}

@Suite("NBDExport", .needs("qemu-nbd", "qemu-img"))
struct NBDExportTests {
  @Test(
    "an address is told from a path",
    arguments: [
      ("nbd://host/x", true), ("nbds://host", true), ("nbd+unix:///?socket=/s", true),
      ("nbds+unix:///", true),
      ("nbd", false), ("/nbd://", false), ("nbd:/x", false), ("http://x", false), ("", false), ("-", false),
    ])
  func isURI(path: String, expected: Bool) {
    #expect(NBDExport.isURI(path) == expected)
  }

  @Test("what is written is read back, and stands in the image")
  func roundTrip() throws {
    let scratch = try Scratch()
    let image = try scratch.hole("raw", 8 << 20)
    do {
      let server = try NBDServer(image, format: "raw", in: scratch)
      let export = try NBDExport(server.uri)
      #expect(export.size == 8 << 20)
      #expect(!export.isReadOnly)
      #expect(export.blockSize >= 1)
      var generator = Generator(seed: 3)
      let bytes = generator.bytes(70_000)
      try export.write(buffer(bytes), 100..<70_000, at: 1_000_100)
      try export.flush()
      let read = Buffer(count: 70_200)
      try export.read(at: 1_000_000, into: read, 100..<70_200)
      #expect(contents(read, 200..<70_100) == Array(bytes[100...]))
      #expect(contents(read, 100..<200).allSatisfy { $0 == 0 })
      try export.zero(1_004_096..<1_020_480)
      try export.flush()
      withExtendedLifetime(server) {}
    }
    let bytes = try contents(image)
    #expect(bytes[1_004_096..<1_020_480].allSatisfy { $0 == 0 })
    #expect(bytes[1_000_100..<1_004_096].contains { $0 != 0 })
    #expect(bytes[1_020_480..<1_070_000].contains { $0 != 0 })
  }

  @Test("requests longer than a server takes are divided")
  func longRequests() throws {
    let scratch = try Scratch()
    let server = try NBDServer(scratch.hole("raw", 80 << 20), format: "raw", in: scratch)
    let export = try NBDExport(server.uri)
    let memory = Buffer(count: 70 << 20)
    for offset in stride(from: 0, to: memory.count, by: 1 << 20) {
      memory.copy(buffer([7]).bytes, to: offset)
    }
    try export.write(memory, 0..<memory.count, at: 5 << 20)
    let read = Buffer(count: memory.count)
    try export.read(at: 5 << 20, into: read, 0..<read.count)
    for offset in stride(from: 0, to: memory.count, by: 1 << 20) {
      #expect(contents(read, offset..<offset + 2) == [7, 0])
    }
    try export.zero(0..<80 << 20)
    try export.read(at: 5 << 20, into: read, 0..<1)
    #expect(contents(read, 0..<1) == [0])
  }

  @Test("a read-only export says so")
  func readOnly() throws {
    let scratch = try Scratch()
    let server = try NBDServer(
      scratch.hole("raw", 1 << 20), format: "raw", in: scratch, options: ["--read-only"])
    let export = try NBDExport(server.uri)
    #expect(export.isReadOnly)
    let error = #expect(throws: NBDError.self) { try export.write(Buffer(count: 512), 0..<512, at: 0) }
    #expect(error?.description.hasPrefix("NBD export \(server.uri): ") == true)
  }

  @Test("what cannot be reached is an error that names it")
  func unreachable() throws {
    let scratch = try Scratch()
    let uri = "nbd+unix:///?socket=\(scratch["none"])"
    let error = #expect(throws: NBDError.self) { try NBDExport(uri) }
    #expect(error?.description.hasPrefix("NBD export \(uri): ") == true)
    #expect(error?.description.contains("No such file or directory") == true)
  }

  @Test("reading past the end is an error")
  func pastEnd() throws {
    let scratch = try Scratch()
    let server = try NBDServer(scratch.hole("raw", 1 << 20), format: "raw", in: scratch)
    let export = try NBDExport(server.uri)
    #expect(throws: NBDError.self) { try export.read(at: (1 << 20) - 10, into: Buffer(count: 20), 0..<20) }
  }

  /// A qcow2 of 16 MiB with data in clusters of 64 KiB at 1 MiB and 2 MiB, and from 8 MiB to 8.25 MiB.
  static func qcow2(_ scratch: Scratch) throws -> NBDServer {
    try run("qemu-img", "create", "-q", "-f", "qcow2", scratch["qcow2"], "16M")
    let server = try NBDServer(scratch["qcow2"], format: "qcow2", in: scratch)
    let export = try NBDExport(server.uri)
    let ones = buffer([UInt8](repeating: 1, count: 262_144))
    try export.write(ones, 0..<65536, at: 1 << 20)
    try export.write(ones, 0..<65536, at: 2 << 20)
    try export.write(ones, 0..<262_144, at: 8 << 20)
    try export.flush()
    return server
  }

  static let data: [Range<UInt64>] = [
    1_048_576..<1_114_112, 2_097_152..<2_162_688, 8_388_608..<8_650_752,
  ]

  @Test(
    "the data of a qcow2 are found between its holes, clipped to the range", arguments: Generator.seeds(2))
  func nextData(seed: UInt64) throws {
    let scratch = try Scratch()
    let server = try Self.qcow2(scratch)
    let export = try NBDExport(server.uri)
    #expect(export.hasBlockStatus)
    #expect(export.size == 16 << 20)
    var generator = Generator(seed: seed)
    var ranges: [Range<UInt64>] = [
      0..<16 << 20, 0..<0, 5..<5, 0..<1_048_576, 0..<1_048_577, 8_650_752..<16 << 20,
    ]
    for _ in 0..<100 {
      let ends = (0..<2).map { _ in UInt64.random(in: 0...(16 << 20), using: &generator) }.sorted()
      ranges.append(ends[0]..<ends[1])
    }
    for range in ranges {
      let expected = Self.data.map { $0.clamped(to: range) }.first { !$0.isEmpty }
      #expect(try export.nextData(in: range) == expected, "\(range)")
    }
  }

  @Test("two connections see the same export")
  func twoConnections() throws {
    let scratch = try Scratch()
    let server = try NBDServer(scratch.hole("raw", 1 << 20), format: "raw", in: scratch)
    let a = try NBDExport(server.uri)
    let b = try NBDExport(server.uri)
    try a.write(buffer([1, 2, 3]), 0..<3, at: 77)
    try a.flush()
    let read = Buffer(count: 3)
    try b.read(at: 77, into: read, 0..<3)
    #expect(contents(read) == [1, 2, 3])
  }
}
