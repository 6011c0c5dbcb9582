import Testing

@testable import CasyncStore

@Suite("S3")
struct S3AddressTests {
  @Test(
    "URLs lead to a bucket by path or by host",
    arguments: [
      ("s3://b/p/x.caibx", "https://b.s3.eu-west-1.amazonaws.com", "p/x.caibx"),
      ("s3://b.c/p//x", "https://s3.eu-west-1.amazonaws.com/b.c", "p/x"),
      ("s3://b?lookup=path", "https://s3.eu-west-1.amazonaws.com/b", ""),
      ("s3+http://h:9000/b/p/", "http://h:9000/b", "p"),
      ("s3+https://h/b/p?lookup=dns", "https://b.h", "p"),
      ("s3+https://h/b/a+b c@d%20", "https://h/b", "a%2Bb%20c%40d%20"),
    ])
  func addresses(_ url: String, _ bucket: String, _ key: String) throws {
    let address = try #require(S3Address(url, endpoint: nil, region: "eu-west-1"))
    #expect(address.bucketURL == bucket)
    #expect(address.key == key)
  }

  @Test("an endpoint replaces AWS's, and a URL without a bucket is none")
  func endpoints() throws {
    let address = try #require(S3Address("s3://b/k", endpoint: "http://h:1/", region: "r"))
    #expect(address.bucketURL == "http://h:1/b")
    for url in ["s3+http://h", "s3+https://h/", "s3+http://u:p@h/b"] {
      #expect(S3Address(url, endpoint: nil, region: "r") == nil)
    }
  }

  @Test("of a shared file's sections the one that is asked for counts")
  func profiles() {
    let text = "; c\n[default]\na = 1\n[ work ]\n  a=2 = 3\n# a = 4\n[profile work]\na = 5"
    #expect(AWSProfile.section("default", in: text) == ["a": "1"])
    #expect(AWSProfile.section("work", in: text) == ["a": "2 = 3"])
    #expect(AWSProfile.section("none", in: text) == nil)
  }

  @Test("what a server answers is read event by event; what is no XML ends it")
  func xml() {
    func events(_ text: String) -> [XMLScanner.Event] {
      var scanner = XMLScanner(Array(text.utf8))
      var events = [XMLScanner.Event]()
      while let event = scanner.next() { events.append(event) }
      return events
    }
    #expect(
      events("<?xml version='1.0'?>\n<A x='y'><K>a&amp;b&#x41;&lt;&none;</K><E/> <F></F></A>") == [
        .text(name: "K", "a&bA<&none;"), .text(name: "E", ""), .text(name: "F", ""), .end(name: "A"),
      ])
    #expect(events("<A><B>x</C></A>") == [])
    #expect(events("<A><B>x") == [])
    #expect(events("") == [])
  }

  @Test(
    "times are seconds since 1970",
    arguments: [
      ("1970-01-01T00:00:00.000Z", 0), ("2000-02-29T23:59:59Z", 951_868_799),
      ("2026-11-24T13:37:09.000Z", 1_795_527_429),
    ])
  func times(_ text: String, _ seconds: Int64) {
    #expect(S3Listing.seconds(text) == seconds)
    #expect(S3Listing.seconds(String(text.dropFirst(3))) == nil)
  }
}
