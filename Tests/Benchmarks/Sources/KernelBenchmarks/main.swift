// How fast the kernels are on this machine, in GB/s (10^9 bytes) of one thread's CPU time. "hot" works on 4
// MiB again and again, "cold" once on each 4 MiB of 512 MiB. memcpy is measured in the same run: compare with
// it, not with another day's figures. An argument runs only what has it in its name.

import CasyncChunking
import CasyncFormat
import Glibc

let piece = 4 << 20
let pool = 512 << 20
let wanted = CommandLine.arguments.dropFirst().first

/// Seconds of CPU time that this thread has used.
func cpuSeconds() -> Double {
  var time = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Runs `body` on pieces of `data`, hot and cold, and prints the best of five rates each.
func measure(_ name: String, on data: [UInt8], count: Int = 64, _ body: (RawSpan) -> Void) {
  if let wanted, !name.contains(wanted) { return }
  var round = 0
  func best(_ step: Int) -> Double {
    var best = 0.0
    for _ in 0..<5 {
      let start = cpuSeconds()
      for _ in 0..<count {
        round += step
        let offset = round * piece % data.count
        // SAFETY: the span is used while the array lives.
        unsafe body(data.span.bytes.extracting(offset..<offset + piece))
      }
      best = max(best, Double(count * piece) / (cpuSeconds() - start) / 1e9)
    }
    return best
  }
  func column(_ rate: Double) -> String {
    let hundredths = Int((rate * 100).rounded())
    let text = "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10)"
    return String(repeating: " ", count: max(0, 9 - text.count)) + text
  }
  let padded = name + String(repeating: " ", count: max(0, 44 - name.count))
  print(padded + column(best(0)) + column(best(1)))
}

/// Pseudo-random bytes.
let random: [UInt8] = {
  var bytes = [UInt8](repeating: 0, count: pool)
  var state: UInt64 = 1
  for index in 0..<pool / 8 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    z ^= z >> 31
    for byte in 0..<8 { bytes[index * 8 + byte] = UInt8(truncatingIfNeeded: z >> UInt64(8 * byte)) }
  }
  return bytes
}()
let zeros = [UInt8](repeating: 0, count: pool)

print(String(repeating: " ", count: 44) + "      hot     cold")
var copy = [UInt8](repeating: 0, count: piece)
measure("memcpy", on: random) { bytes in
  // SAFETY: both buffers have the piece's count.
  unsafe bytes.withUnsafeBytes { source in
    unsafe copy.withUnsafeMutableBytes { unsafe $0.copyMemory(from: source) }
  }
}

let buzhash = Chunker.buzhash(.standard)
for tier in CPUTier.available {
  let stream = SegmentCutter(kind: .stream, chunker: buzhash, tier: tier)
  let byte = SegmentCutter(kind: .byte, chunker: .imageDefault, tier: tier)
  let block = SegmentCutter(kind: .block, chunker: .imageDefault, tier: tier)
  let count = tier == .portable ? 8 : 64
  measure("scan stream (64K), \(tier)", on: random, count: count) {
    _ = stream.scan($0, lookbehind: 47, offset: 47)
  }
  measure("scan byte (32K), \(tier)", on: random, count: count) {
    _ = byte.scan($0, lookbehind: 0, offset: 0)
  }
  measure("scan block, \(tier)", on: random, count: count) {
    _ = block.scan($0, lookbehind: 0, offset: 0)
  }
  // The serial half comes on top, on one thread for a whole segment.
  for (name, whole) in [("byte", byte), ("block", block)] {
    var cutter = whole
    var offset: UInt64 = 0
    var cuts: [Cut] = []
    measure("cut \(name): scan and join, \(tier)", on: random, count: count) {
      cutter.join(cutter.scan($0, lookbehind: 4096, offset: offset), into: &cuts)
      offset += UInt64(piece - 4096)
      cuts.removeAll(keepingCapacity: true)
    }
  }
  measure("scan stream of zeros, \(tier)", on: zeros, count: count) {
    _ = stream.scan($0, lookbehind: 47, offset: 47)
  }
  measure("zero test, \(tier)", on: zeros, count: count) { _ = isZero($0, tier: tier) }
}

/// Chunks of 4 KiB to 60 KiB, 32 KiB on average, in one piece.
let chunks: [Range<Int>] = {
  var chunks: [Range<Int>] = []
  var start = 0
  var length = 4096
  while start < piece {
    chunks.append(start..<min(start + length, piece))
    start += length
    length = 4096 + (length + 17 * 1024) % (56 * 1024)
  }
  return chunks
}()

func measureDigests(_ digester: Digester, _ algorithm: DigestAlgorithm, _ name: String) {
  var ids: [ChunkID] = []
  measure("\(algorithm.rawValue) of \(chunks.count) chunks, \(name)", on: random, count: 16) {
    ids.removeAll(keepingCapacity: true)
    digester.digests(of: chunks, in: $0, into: &ids)
  }
}

for algorithm in DigestAlgorithm.allCases {
  for tier in CPUTier.available {
    let name = tier == .portable ? "\(tier) (libcrypto)" : "\(tier)"
    measureDigests(Digester(algorithm, tier: tier), algorithm, name)
  }
  // What each tier has the choice of.
  for kernel in DigestKernel.allCases where kernel.algorithm == algorithm && kernel.isPart(of: .detected) {
    measureDigests(Digester(kernel), algorithm, "\(kernel)")
  }
}

/// Text of a sort: words of a small vocabulary, for the compressions.
let text: [UInt8] = {
  var bytes: [UInt8] = []
  var index = 0
  while bytes.count < piece {
    let word = random[index] & 0x7f
    let length = Int(word % 7) + 2
    for letter in 0..<length { bytes.append(97 + (word &* 31 &+ UInt8(letter) &* 7) % 26) }
    bytes.append(32)
    index += 1
  }
  return Array(bytes[..<piece])
}()

for (compression, level) in [(Compression.zstd, 1), (.zstd, 3), (.gzip, 6), (.xz, 6)] {
  guard let compressor = try? Compressor(compression, level: level) else { continue }
  let decompressor = Decompressor()
  let slice = 64 << 10
  let count = compression == .xz ? 1 : 4
  var packed: [[UInt8]] = []
  var output = [UInt8](repeating: 0, count: slice)
  for start in stride(from: 0, to: piece, by: slice) {
    var one: [UInt8] = []
    unsafe try compressor.compress(text.span.bytes.extracting(start..<start + slice), into: &one)
    packed.append(one)
  }
  let size = packed.reduce(0) { $0 + $1.count } * 100 / piece
  measure("\(compression) \(level) (to \(size) %), compress", on: text, count: count) { bytes in
    var one: [UInt8] = []
    for start in stride(from: 0, to: piece, by: slice) {
      // A failure would show above.
      try? compressor.compress(bytes.extracting(start..<start + slice), into: &one)
    }
  }
  measure("\(compression) \(level), decompress", on: text, count: count) { _ in
    for one in packed {
      var elements = output.mutableSpan
      var bytes = unsafe elements.mutableBytes
      // A failure would show above.
      unsafe try? decompressor.decompress(one.span.bytes, into: &bytes)
    }
  }
}
