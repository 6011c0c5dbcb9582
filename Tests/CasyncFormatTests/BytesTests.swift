import Testing

@testable import CasyncFormat

@Suite("Bytes")
struct BytesTests {
  static let sample: [UInt8] = Array(1...12)

  @Test("words are little-endian, at any alignment")
  func words() {
    let sample = Self.sample
    let span = sample.rawSpan
    let words = [span.word(at: 0), span.word(at: 3)]
    #expect(words == [0x0807_0605_0403_0201, 0x0b0a_0908_0706_0504])
    let shortWords = [span.word32(at: 0), span.word32(at: 7), span.word32(at: 8)]
    #expect(shortWords == [0x0403_0201, 0x0b0a_0908, 0x0c0b_0a09])
    let bytes = [span.byte(at: 0), span.byte(at: 11)]
    #expect(bytes == [1, 12])
  }

  @Test("the last place that fits is read, and none that does not", arguments: [-1, .min, 12, 13, .max])
  func outside(offset: Int) {
    let sample = Self.sample
    let span = sample.rawSpan
    let last = (span.word(at: 4), span.word32(at: 8))
    #expect(last.0 != nil)
    #expect(last.1 != nil)
    let outside = [span.word(at: 5), span.word(at: offset)]
    #expect(outside == [nil, nil])
    let shortOutside = [span.word32(at: 9), span.word32(at: offset)]
    #expect(shortOutside == [nil, nil])
    let byte = span.byte(at: offset)
    #expect(byte == nil)
  }

  @Test("a span of no bytes holds nothing")
  func empty() {
    let bytes: [UInt8] = []
    let word = bytes.rawSpan.word(at: 0)
    #expect(word == nil)
    let byte = bytes.rawSpan.byte(at: 0)
    #expect(byte == nil)
    let copy = bytes.rawSpan.copy()
    #expect(copy == [])
  }

  @Test("what is appended is read back", arguments: [0, 1, 0x0102_0304_0506_0708, .max] as [UInt64])
  func append(word: UInt64) {
    var bytes: [UInt8] = [9]
    bytes.append(word: word)
    #expect(bytes.count == 9)
    let found = bytes.rawSpan.word(at: 1)
    #expect(found == word)
    let copy = bytes.rawSpan.copy()
    #expect(copy == bytes)
  }
}
