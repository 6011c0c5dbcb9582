// One kernel on one tier, run a number of times on 64 KiB: for a tool that counts instructions.
//
//     KernelInstructions KERNEL TIER ROUNDS

import CasyncChunking
import CasyncFormat

guard CommandLine.arguments.count == 4, let tier = CPUTier(rawValue: CommandLine.arguments[2]),
  CPUTier.available.contains(tier), let rounds = Int(CommandLine.arguments[3])
else { fatalError("usage: KernelInstructions KERNEL TIER ROUNDS, with a tier that this processor has") }

var state: UInt64 = 1
let bytes = (0..<64 << 10).map { _ -> UInt8 in
  state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
  return UInt8(truncatingIfNeeded: state >> 56)
}

/// Runs `body` on the bytes as often as was asked.
func run(_ body: (RawSpan) -> Void) {
  // SAFETY: the span is used while the array lives.
  for _ in 0..<rounds { unsafe body(bytes.span.bytes) }
}

switch CommandLine.arguments[1] {
case "stream":
  let cutter = SegmentCutter(kind: .stream, chunker: .buzhash(.standard), tier: tier)
  run { _ = cutter.scan($0, lookbehind: 0, offset: 0) }
case "byte":
  let cutter = SegmentCutter(kind: .byte, chunker: .imageDefault, tier: tier)
  run { _ = cutter.scan($0, lookbehind: 0, offset: 0) }
case "block":
  let cutter = SegmentCutter(kind: .block, chunker: .imageDefault, tier: tier)
  run { _ = cutter.scan($0, lookbehind: 0, offset: 0) }
case "zero":
  let zeros = [UInt8](repeating: 0, count: bytes.count)
  // SAFETY: the span is used while the array lives.
  run { _ in unsafe _ = isZero(zeros.span.bytes, tier: tier) }
case let name:
  guard let algorithm = DigestAlgorithm(rawValue: name) else { fatalError("no such kernel") }
  let digester = Digester(algorithm, tier: tier)
  let ranges = (0..<32).map { $0 * 2048..<($0 + 1) * 2048 }
  run { span in
    var ids = [ChunkID]()
    digester.digests(of: ranges, in: span, into: &ids)
  }
}
