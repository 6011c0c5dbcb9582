import CasyncIO
import Foundation
import Testing

@Suite("File")
struct FileTests {
  @Test("what is written is read back, at any offset", arguments: [0, 1, 4095, 1 << 20, 1 << 33] as [UInt64])
  func roundTrip(offset: UInt64) throws {
    let scratch = try Scratch()
    let file = try File.open(scratch["file"], [.readWrite, .create])
    try file.write(buffer([9, 1, 2, 3, 9]), 1..<4, at: offset)
    #expect(try file.status().size == offset + 3)
    let read = Buffer(count: 5)
    #expect(try file.read(at: offset, into: read, 1..<4) == 3)
    #expect(contents(read) == [0, 1, 2, 3, 0])
    try file.sync()
    try file.syncData()
    try file.syncFileSystem()
  }

  @Test(
    "a read that reaches past the end gives what there is",
    arguments: [(0, 10), (4, 6), (9, 1), (10, 0), (11, 0), (1 << 40, 0)] as [(UInt64, Int)])
  func shortRead(offset: UInt64, count: Int) throws {
    let scratch = try Scratch()
    let file = try File.open(scratch.file("file", Array(1...10)))
    let buffer = Buffer(count: 20)
    #expect(try file.read(at: offset, into: buffer, 0..<20) == count)
    #expect(contents(buffer, 0..<count) == Array(Array(1...10).suffix(count)))
  }

  @Test("a pipe is read to the end of its stream, however it comes in pieces")
  func pipe() throws {
    let pipe = Pipe()
    let file = try File.open("/proc/self/fd/\(pipe.fileHandleForReading.fileDescriptor)")
    #expect(try file.status().kind == .pipe)
    let writer = pipe.fileHandleForWriting
    let threads = Threads(count: 1) {
      for part in [[1], [2, 3], [4, 5, 6]] as [[UInt8]] { writer.write(Data(part)) }
      try? writer.close()
    }
    defer { threads.join() }
    let buffer = Buffer(count: 5)
    #expect(try file.readNext(into: buffer, 0..<5) == 5)
    #expect(contents(buffer) == [1, 2, 3, 4, 5])
    #expect(try file.readNext(into: buffer, 1..<5) == 1)
    #expect(contents(buffer) == [1, 6, 3, 4, 5])
    #expect(try file.readNext(into: buffer, 0..<5) == 0)
  }

  @Test("reading everything stops at the limit", arguments: [(300_000, true), (299_999, false), (0, false)])
  func readAll(limit: Int, fits: Bool) throws {
    let scratch = try Scratch()
    var generator = Generator(seed: 1)
    let bytes = generator.bytes(300_000)
    let file = try File.open(scratch.file("file", bytes))
    if fits {
      #expect(try file.readAll(limit: limit) == bytes)
    } else {
      let error = #expect(throws: SystemError.self) { try file.readAll(limit: limit) }
      #expect(error?.number == EFBIG)
    }
  }

  @Test("what is written behind one another stands behind one another")
  func writeNext() throws {
    let scratch = try Scratch()
    let file = try File.open(scratch["file"], [.write, .create])
    for part in [[1, 2], [], [3]] as [[UInt8]] {
      // SAFETY: the span is used while the array lives.
      unsafe try file.writeNext(part.span.bytes)
    }
    #expect(try contents(scratch["file"]) == [1, 2, 3])
  }

  @Test("a file that is not there says so by name")
  func missing() throws {
    let scratch = try Scratch()
    let error = #expect(throws: SystemError.self) { try File.open(scratch["none"]) }
    #expect(error?.isNotFound == true)
    #expect(error.map { "\($0)" } == "cannot open \(scratch["none"]): No such file or directory")
    let below = #expect(throws: SystemError.self) { try File.open(scratch.file("file") + "/x") }
    #expect(below?.isNotFound == true)
    #expect(try File.status(scratch["none"]) == nil)
    #expect(try File.status(scratch.file("file") + "/x") == nil)
  }

  @Test("a failed write names the file and the byte")
  func writeError() throws {
    let scratch = try Scratch()
    let file = try File.open(scratch.file("file", [1, 2, 3]))
    let error = #expect(throws: SystemError.self) { try file.write(buffer([1]), 0..<1, at: 7) }
    #expect(error.map { "\($0)" } == "cannot write \(scratch["file"]) at byte 7: Bad file descriptor")
  }

  @Test("status tells what a thing is, links followed by path and not below a directory")
  func status() throws {
    let scratch = try Scratch()
    _ = try scratch.file("file", [1, 2, 3])
    try FileManager.default.createSymbolicLink(atPath: scratch["link"], withDestinationPath: "file")
    try FileManager.default.createSymbolicLink(atPath: scratch["dangling"], withDestinationPath: "none")
    let directory = try File.open(scratch.path, .directory)
    let file = try #require(try File.status(scratch["file"]))
    #expect(file.kind == .regular)
    #expect(file.size == 3)
    #expect(try File.status(scratch["link"])?.inode == file.inode)
    #expect(try directory.status(below: "file")?.inode == file.inode)
    #expect(try directory.status(below: "link")?.kind == .other)
    #expect(try directory.status(below: "none") == nil)
    #expect(try File.status(scratch["dangling"]) == nil)
    #expect(try directory.status().kind == .directory)
    #expect(try File.status("/dev/null")?.kind == .characterDevice)
    #expect(try directory.open(below: "file").status().inode == file.inode)
    #expect(throws: SystemError.self) { try directory.open(below: "link", .noFollow) }
  }

  @Test("exclusive creation refuses what is there, and takes the mode it is given less the umask")
  func create() throws {
    let scratch = try Scratch()
    let file = try File.open(scratch["file"], [.readWrite, .create, .exclusive], mode: 0o444)
    #expect(try file.status().mode == 0o444 & ~umask())
    let error = #expect(throws: SystemError.self) {
      try File.open(scratch["file"], [.readWrite, .create, .exclusive])
    }
    #expect(error?.number == EEXIST)
  }

  @Test("the size can be set up and down")
  func setSize() throws {
    let scratch = try Scratch()
    let file = try File.open(scratch.file("file", Array(1...10)), .readWrite)
    try file.setSize(4)
    try file.setSize(6)
    #expect(try contents(scratch["file"]) == [1, 2, 3, 4, 0, 0])
  }

  @Test("touching sets the time to now")
  func touch() throws {
    let scratch = try Scratch()
    let path = try scratch.file("file")
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: 1000)], ofItemAtPath: path)
    let directory = try File.open(scratch.path, .directory)
    #expect(try directory.status(below: "file")?.modified == 1_000_000_000_000)
    directory.touch(below: "file")
    directory.touch(below: "none")
    let age =
      Date().timeIntervalSince1970 - Double(try #require(try directory.status(below: "file")).modified) / 1e9
    #expect(abs(age) < 60)
  }
}

/// The umask of this process, not changed by asking.
func umask() -> UInt32 {
  let lines = (FileSystem.text("/proc/self/status") ?? "").split(separator: "\n")
  let line = lines.first { $0.hasPrefix("Umask:") } ?? ""
  return UInt32(line.split(separator: "\t").last ?? "", radix: 8) ?? 0o022
}
