import CasyncIO
import Foundation
import Testing

@Suite("FileSystem")
struct FileSystemTests {
  @Test(
    "a path has a parent and a name",
    arguments: [
      ("a", ".", "a"), ("/a", "/", "a"), ("/a/b", "/a", "b"), ("a/b", "a", "b"), ("./a", ".", "a"),
      ("../a", "..", "a"), ("a/b/c", "a/b", "c"), ("/", "/", ""),
      // A combining accent makes one character with the slash before it.
      ("a/\u{301}b", "a", "\u{301}b"),
    ])
  func parts(path: String, parent: String, name: String) {
    #expect(FileSystem.parent(of: path) == parent)
    #expect(FileSystem.name(of: path) == name)
  }

  @Test("the names in a directory are all but the dots, whatever they look like")
  func names() throws {
    let scratch = try Scratch()
    let names = [".hidden", "a b", "ümlaut", "...", String(repeating: "x", count: 255)]
    for name in names { _ = try scratch.file(name) }
    #expect(try FileSystem.names(in: scratch.path).sorted() == names.sorted())
    let error = #expect(throws: SystemError.self) { try FileSystem.names(in: scratch["none"]) }
    #expect(error.map { "\($0)" } == "cannot list \(scratch["none"]): No such file or directory")
  }

  @Test("thousands of names are all listed")
  func manyNames() throws {
    let scratch = try Scratch()
    for number in 0..<3000 { _ = try File.open(scratch["file \(number)"], [.write, .create]) }
    #expect(Set(try FileSystem.names(in: scratch.path)).count == 3000)
  }

  @Test("temporary files of many threads have names of their own, of one form")
  func temporary() throws {
    let scratch = try Scratch()
    let files = Monitor<[File]>([])
    let threads = Threads(count: 4) {
      for _ in 0..<50 {
        let file = try? FileSystem.createTemporary(
          in: scratch.path, prefix: ".#x", suffix: ".tmp", mode: 0o600)
        if let file { files.withLock { $0.append(file) } }
      }
    }
    threads.join()
    let names = try FileSystem.names(in: scratch.path)
    #expect(names.count == 200)
    #expect(Set(files.withLock { $0.map(\.path) }) == Set(names.map { scratch[$0] }))
    let form = /\.#x[0-9a-f]{16}\.tmp/
    #expect(names.allSatisfy { $0.wholeMatch(of: form) != nil })
    #expect(try files.withLock { try $0.allSatisfy { try $0.status().mode == 0o600 } })
  }

  @Test("a temporary file needs its directory")
  func temporaryNowhere() throws {
    let scratch = try Scratch()
    let error = #expect(throws: SystemError.self) {
      try FileSystem.createTemporary(in: scratch["none"], prefix: "")
    }
    #expect(error?.isNotFound == true)
  }

  @Test("a directory is made once")
  func makeDirectory() throws {
    let scratch = try Scratch()
    #expect(try FileSystem.makeDirectory(scratch["d"]))
    #expect(try FileSystem.makeDirectory(scratch["d"]) == false)
    #expect(throws: SystemError.self) { try FileSystem.makeDirectory(scratch["none/d"]) }
  }

  @Test("removing tells whether there was something")
  func remove() throws {
    let scratch = try Scratch()
    let path = try scratch.file("file")
    #expect(try FileSystem.remove(path))
    #expect(try FileSystem.remove(path) == false)
    #expect(throws: SystemError.self) { try FileSystem.remove(scratch.path) }
  }

  @Test("only an empty directory is removed")
  func removeDirectory() throws {
    let scratch = try Scratch()
    try FileSystem.makeDirectory(scratch["d"])
    _ = try scratch.file("d/file")
    #expect(try FileSystem.removeEmptyDirectory(scratch["d"]) == false)
    try FileSystem.remove(scratch["d/file"])
    #expect(try FileSystem.removeEmptyDirectory(scratch["d"]))
    #expect(try FileSystem.removeEmptyDirectory(scratch["d"]))
  }

  @Test("renaming replaces what is there, and its parent can be made durable")
  func rename() throws {
    let scratch = try Scratch()
    _ = try scratch.file("to", [1])
    try FileSystem.rename(scratch.file("from", [2]), to: scratch["to"])
    try FileSystem.syncParent(of: scratch["to"])
    #expect(try contents(scratch["to"]) == [2])
    #expect(try FileSystem.names(in: scratch.path) == ["to"])
    let error = #expect(throws: SystemError.self) {
      try FileSystem.rename(scratch["none"], to: scratch["to"])
    }
    #expect(error?.isNotFound == true)
  }

  @Test("links are resolved, or read")
  func links() throws {
    let scratch = try Scratch()
    let path = try #require(FileSystem.resolved(scratch.file("file")))
    try FileManager.default.createSymbolicLink(atPath: scratch["link"], withDestinationPath: "./file")
    #expect(FileSystem.link(scratch["link"]) == "./file")
    #expect(FileSystem.link(path) == nil)
    #expect(FileSystem.resolved(scratch["link"]) == path)
    #expect(FileSystem.resolved("\(scratch.path)/.//file") == path)
    #expect(FileSystem.resolved(scratch["none"]) == nil)
  }

  @Test("a small text is read whole, and none is nil")
  func text() throws {
    let scratch = try Scratch()
    #expect(FileSystem.text(try scratch.file("file", Array("one\ntwo\n".utf8))) == "one\ntwo\n")
    #expect(FileSystem.text(scratch["none"]) == nil)
    #expect(FileSystem.text(scratch.path) == nil)
    #expect(FileSystem.text("/proc/self/comm")?.isEmpty == false)
  }
}

@Suite("SystemError")
struct SystemErrorTests {
  @Test("the message names what was tried, on what, where, and the system's reason")
  func text() {
    #expect(
      "\(SystemError("read", "/dev/sda", at: 4096, errno: EIO))"
        == "cannot read /dev/sda at byte 4096: Input/output error")
    #expect("\(SystemError("open", "x", errno: ENOENT))" == "cannot open x: No such file or directory")
  }

  @Test(
    "numbers have meanings",
    arguments: [
      (ENOENT, "not found"), (ENOTDIR, "not found"), (ENOSPC, "no space"), (EDQUOT, "no space"),
      (EBUSY, "busy"),
      (EOPNOTSUPP, "unsupported"), (ENOTTY, "unsupported"), (ENOSYS, "unsupported"), (EINVAL, "unsupported"),
      (EIO, ""), (EACCES, ""),
    ])
  func meanings(number: Int32, meaning: String) {
    let error = SystemError("x", "y", errno: number)
    #expect(error.isNotFound == (meaning == "not found"))
    #expect(error.isNoSpace == (meaning == "no space"))
    #expect(error.isBusy == (meaning == "busy"))
    #expect(error.isUnsupported == (meaning == "unsupported"))
  }
}
