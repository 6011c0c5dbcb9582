import Testing

@testable import CasyncCLI

@Suite("A locator")
struct LocatorTests {
  @Test(
    "is a path, a URL or an SSH address by casync's rules",
    arguments: [
      ("-", .standardStream), ("a.caibx", .path("a.caibx")), ("/a:b", .path("/a:b")),
      ("./a:b", .path("./a:b")),
      ("..", .path("..")),
      ("file:///a%20b.caibx", .path("/a b.caibx")), ("file://localhost/a", .path("/a")),
      ("file:///a%2", .ssh(host: "file", path: "///a%2")), ("file://host/a", .url("file://host/a")),
      ("http://h/a.caibx?q", .url("http://h/a.caibx?q")), ("http://[::1]:80/", .url("http://[::1]:80/")),
      ("HTTP://h/a", .ssh(host: "HTTP", path: "//h/a")), ("http:///a", .ssh(host: "http", path: "///a")),
      ("h:x.caibx", .ssh(host: "h", path: "x.caibx")), ("u@h:/x", .ssh(host: "u@h", path: "/x")),
      ("h:", .path("h:")), ("a/b:c", .path("a/b:c")), ("u@@h:x", .path("u@@h:x")),
    ] as [(String, Locator)])
  func forms(_ text: String, _ locator: Locator) {
    #expect(Locator(text) == locator)
  }

  @Test(
    "has a suffix when its name is longer than it",
    arguments: [
      ("a.caibx", true), ("/d/a.caibx", true), (".caibx", false), ("d/.caibx", false), ("a.caibx/", false),
      ("http://h/a.caibx?x=.y", true), ("http://h/a.caibx;v", true), ("h:a.caibx", true), ("-", false),
    ])
  func suffixes(_ text: String, _ has: Bool) {
    #expect(Locator(text).hasSuffix(".caibx") == has)
  }

  @Test(
    "knows the store beside it",
    arguments: [
      ("a.caibx", "default.castr"), ("/d/a.caibx", "/d/default.castr"), ("d/a.caibx", "d/default.castr"),
      ("-", "default.castr"), ("h:x.caibx", "h:default.castr"), ("u@h:/d/x.caibx", "u@h:/d/default.castr"),
      ("http://h/a/x.caibx?q", "http://h/a/default.castr"), ("http://h", "http://h/default.castr"),
      ("http://h/x.caibx;v/w", "http://h/default.castr"),
    ])
  func stores(_ text: String, _ store: String) {
    #expect(Locator(text).defaultStore == store)
  }

  @Test("of an NBD export is told from other URLs")
  func exports() {
    #expect(["nbd://h/x", "nbds://h", "nbd+unix:///x?socket=/run/s"].allSatisfy { Locator($0).isNBD })
    #expect(["http://h/nbd://", "nbd:x", "nbd"].allSatisfy { !Locator($0).isNBD })
  }

  @Test("on another machine is refused by name")
  func remote() {
    #expect(throws: UsageError.self) { try Locator("http://h/x").localPath("index") }
    #expect(throws: UsageError.self) { try Locator("h:x").localPath("index") }
  }
}
