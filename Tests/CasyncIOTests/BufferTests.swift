import CasyncIO
import Testing

@Suite("Buffer")
struct BufferTests {
  @Test("a new buffer is zeroed and aligned to pages", arguments: [1, 7, 4095, 4096, 4097, 1 << 20])
  func new(count: Int) {
    let buffer = Buffer(count: count)
    #expect(buffer.count == count)
    #expect(contents(buffer).allSatisfy { $0 == 0 })
    let bytes = buffer.bytes
    // SAFETY: only the address is looked at.
    let address = unsafe bytes.withUnsafeBytes { Int(bitPattern: $0.baseAddress) }
    #expect(address % Buffer.alignment == 0)
  }

  @Test(
    "one that holds a huge page starts at one, and all of it can be written",
    arguments: [2 << 20, (2 << 20) + 1, (4 << 20) + 8192])
  func huge(count: Int) {
    let buffer = Buffer(count: count)
    let bytes = buffer.bytes
    // SAFETY: only the address is looked at.
    let address = unsafe bytes.withUnsafeBytes { Int(bitPattern: $0.baseAddress) }
    #expect(address % (2 << 20) == 0)
    buffer.write(in: count - 1..<count) { $0.storeBytes(of: 7, toByteOffset: 0, as: UInt8.self) }
    #expect(contents(buffer).prefix(count - 1).allSatisfy { $0 == 0 })
    #expect(contents(buffer).last == 7)
  }

  @Test("a buffer of no bytes is allowed")
  func empty() {
    let buffer = Buffer(count: 0)
    buffer.zero(0..<0)
    buffer.copy(0..<0, of: buffer, to: 0)
    #expect(buffer.count <= 1)
  }

  @Test("writing, zeroing and copying reach their range and nothing else")
  func ranges() {
    let a = buffer(Array(1...16))
    a.zero(4..<8)
    #expect(contents(a) == [1, 2, 3, 4, 0, 0, 0, 0, 9, 10, 11, 12, 13, 14, 15, 16])
    let b = Buffer(count: 8)
    b.copy(8..<12, of: a, to: 3)
    #expect(contents(b) == [0, 0, 0, 9, 10, 11, 12, 0])
    a.write(in: 14..<16) { span in
      #expect(span.byteCount == 2)
      span.storeBytes(of: 0x0102, toByteOffset: 0, as: UInt16.self)
    }
    #expect(Set(contents(a, 14..<16)) == [1, 2])
    #expect(contents(a, 12..<14) == [13, 14])
  }

  @Test("copies within one buffer may overlap, either way")
  func overlap() {
    let up = buffer(Array(0..<10))
    up.copy(0..<8, of: up, to: 2)
    #expect(contents(up) == [0, 1, 0, 1, 2, 3, 4, 5, 6, 7])
    let down = buffer(Array(0..<10))
    down.copy(2..<10, of: down, to: 0)
    #expect(contents(down) == [2, 3, 4, 5, 6, 7, 8, 9, 8, 9])
  }

  @Test("the error that is thrown while writing passes through")
  func errors() {
    struct Odd: Error {}
    let buffer = Buffer(count: 4)
    #expect(throws: Odd.self) {
      try buffer.write(in: 0..<4) { (_: inout MutableRawSpan) throws(Odd) in throw Odd() }
    }
  }

  @Test("a range outside the buffer is a bug of ours, and stops the program")
  func bounds() async {
    await #expect(processExitsWith: .failure) { Buffer(count: 8).zero(0..<9) }
    await #expect(processExitsWith: .failure) { Buffer(count: 8).copy(0..<4, of: Buffer(count: 4), to: 5) }
    await #expect(processExitsWith: .failure) { Buffer(count: 8).copy(1..<5, of: Buffer(count: 4), to: 0) }
    await #expect(processExitsWith: .failure) { Buffer(count: 8).write(in: 8..<9) { _ in } }
  }
}
