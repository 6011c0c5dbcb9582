import Testing

@testable import CasyncStore

@Suite("Locations")
struct LocationTests {
  @Test(
    "are named without what may be secret",
    arguments: [
      ("http://h/a/s.castr", "http://h/a/s.castr"),
      ("https://user:pass@h:8/a?token=x", "https://h:8/a"),
      ("http://u:p@ss@h/a;b", "http://h/a"),
      ("http://u@h", "http://h"),
      ("/local/a@b?c", "/local/a@b?c"),
    ])
  func names(_ location: String, _ name: String) {
    #expect(Stores.name(location) == name)
  }

  @Test(
    "of stores lose their arguments and trailing slashes",
    arguments: [
      ("http://host/dir/default.castr///?a=b", "http://host/dir/default.castr"),
      ("http://host/s;x?y", "http://host/s"),
      ("http://u:p@host/", "http://u:p@host"),
      ("http://host", "http://host"),
      ("http://host?x", "http://host"),
    ])
  func bases(_ url: String, _ base: String) {
    #expect(HTTPStore.base(url) == base)
  }

  @Test(
    "are on one server when scheme, host and port are the same",
    arguments: [
      ("http://u:p@h:1/a?b@c", "http://h:1"), ("https://h", "https://h"), ("https://h?x", "https://h"),
      ("http://u@x@h;y", "http://h"),
    ])
  func origins(_ url: String, _ origin: String) {
    #expect(HTTPTask.origin(url) == origin)
  }

  @Test(
    "are told by their form",
    arguments: [
      ("/a:b", .path("/a:b")), ("./s3://x", .path("./s3://x")), ("a|b", .path("a|b")),
      ("https://h/x", .http("https://h/x")), ("s3+http://h/b", .s3("s3+http://h/b")),
      ("ssh://h/p", .ssh("ssh://h/p")), ("u@h:p", .ssh("u@h:p")), ("sftp://h/p", .sftp("sftp://h/p")),
      ("ftp://h/p", .unknown("ftp://h/p")),
    ] as [(String, Location)])
  func forms(_ text: String, _ location: Location) {
    #expect(Location(text) == location)
  }

  @Test("a group of stores has a URL in it; a path may hold a bar")
  func groups() {
    #expect(Stores.members("/a|https://h/s") == ["/a", "https://h/s"])
    #expect(Stores.members("/a|b") == ["/a|b"])
    #expect(Stores.name("http://u:p@h/s|s3://b?x") == "http://h/s|s3://b")
  }

  @Test("what a place's settings leave open comes from the settings for all, and the longest place counts")
  func sites() {
    var settings = ConnectionSettings()
    settings.headers = ["A: 1"]
    settings.rateLimit = 5
    var site = ConnectionSettings()
    site.headers = ["B: 2"]
    site.rateLimit = 7
    site.user = "u"
    var deeper = site
    deeper.user = "v"
    settings.sites = [.init("https://h/d", deeper), .init("https://h", site)]
    let found = settings.settings(for: "https://x:y@h/d/s?t")
    #expect(found.headers == ["B: 2", "A: 1"])
    #expect(found.rateLimit == 5)
    #expect(found.user == "v")
    #expect(found.sites == [])
    #expect(settings.settings(for: "https://h/de").user == "u")
    #expect(settings.settings(for: "https://h.evil/d").user == nil)
  }
}
