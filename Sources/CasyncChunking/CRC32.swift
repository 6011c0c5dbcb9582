/// The CRC-32 of GPT headers (reflected polynomial edb88320), continued over pieces.
///
/// A bit at a time: at most 1 MiB is summed, once a stream.
struct CRC32 {
  private var state: UInt32 = 0xffff_ffff

  mutating func update(_ byte: UInt8) {
    state ^= UInt32(byte)
    for _ in 0..<8 { state = state & 1 == 0 ? state >> 1 : state >> 1 ^ 0xedb8_8320 }
  }

  var value: UInt32 { ~state }
}
