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
}
