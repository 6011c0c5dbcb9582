import CasyncFormat
import Testing

@testable import CasyncChunking

@Suite("Digests")
struct DigesterTests {
  /// Examples of FIPS 180-4.
  static let known: [(algorithm: DigestAlgorithm, message: String, hex: String)] = [
    (.sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (.sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      .sha256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    (.sha512_256, "", "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a"),
    (.sha512_256, "abc", "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
    (
      .sha512_256,
      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
        + "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
      "3928e184fb8690f840da3988121d31be65cb9d3ef83ee6146feac861e19b563a"
    ),
  ]

  @Test("known answers, alone and as one of many", arguments: CPUTier.available)
  func knownAnswers(tier: CPUTier) {
    for (algorithm, message, hex) in Self.known {
      let digester = Digester(algorithm, tier: tier)
      let bytes = Array(message.utf8)
      // SAFETY: the spans are used while the array lives.
      #expect(digester.id(bytes[...]).hex == hex)
      var ids: [ChunkID] = []
      unsafe digester.digests(
        of: [Range<Int>](repeating: 0..<bytes.count, count: 21), in: bytes.span.bytes, into: &ids)
      #expect(ids.map(\.hex) == [String](repeating: hex, count: 21))
    }
  }

  @Test("many chunks have the IDs they have alone", arguments: DigestAlgorithm.allCases, CPUTier.available)
  func batches(algorithm: DigestAlgorithm, tier: CPUTier) {
    batches(algorithm, Digester(algorithm, tier: tier))
  }

  @Test(
    "so they have by every kernel of this CPU",
    arguments: DigestKernel.allCases.filter { $0.isPart(of: .detected) })
  func batches(kernel: DigestKernel) {
    batches(kernel.algorithm, Digester(kernel))
  }

  private func batches(_ algorithm: DigestAlgorithm, _ digester: Digester) {
    let bytes = splitmix64(seed: 9, length: 70_000)
    let alone = Digester(algorithm, tier: .portable)
    var random = SplitMix64(state: 17)
    // Every length around the ends of one, two and three blocks, at every alignment; then mixtures.
    var batches: [[Range<Int>]] = [[], (0...400).map { $0 % 64..<$0 % 64 + $0 }, [5..<70_000, 3..<4, 7..<7]]
    for count in 1...40 {
      batches.append(
        (0..<count).map { _ in
          let start = Int.random(in: 0..<30_000, using: &random)
          return start..<start + Int.random(in: 0...(count % 3 == 0 ? 20_000 : 600), using: &random)
        })
    }
    for ranges in batches {
      var ids: [ChunkID] = []
      // SAFETY: the spans are used while the array lives.
      unsafe digester.digests(of: ranges, in: bytes.span.bytes, into: &ids)
      let expected = ranges.map { alone.id(bytes[$0]) }
      #expect(ids == expected, "\(ranges)")
    }
  }

  @Test("a batch is appended to what is there")
  func appends() {
    let bytes: [UInt8] = [1, 2, 3]
    let digester = Digester(.sha256)
    // SAFETY: the spans are used while the array lives.
    var ids = [digester.id(bytes[...])]
    unsafe digester.digests(of: [0..<1, 1..<3], in: bytes.span.bytes, into: &ids)
    #expect(ids.count == 3)
    #expect(ids[0] == digester.id(bytes[...]))
    #expect(ids[2] == digester.id(bytes[1..<3]))
  }

  @Test("a stream's digest does not depend on its pieces", arguments: DigestAlgorithm.allCases)
  func stream(algorithm: DigestAlgorithm) {
    let bytes = splitmix64(seed: 4, length: 10_000) + [UInt8](repeating: 0, count: 200_001)
    var digest = StreamDigest(algorithm)
    // SAFETY: the spans are used while the array lives.
    unsafe digest.update(bytes.span.bytes.extracting(0..<1))
    unsafe digest.update(bytes.span.bytes.extracting(1..<10_000))
    let copy = digest.copy()
    digest.updateZeros(count: 200_001)
    let whole = digest.finish()
    #expect(whole == Digester(algorithm).id(bytes[...]))
    let prefix = copy.finish()
    #expect(prefix == Digester(algorithm).id(bytes[0..<10_000]))
  }

  @Test("IDs of zero chunks are those of their bytes", arguments: DigestAlgorithm.allCases)
  func zeros(algorithm: DigestAlgorithm) {
    let ids = zeroChunkIDs(algorithm, upTo: 20_000)
    #expect(ids.count == 4)
    let zeros = [UInt8](repeating: 0, count: 16_384)
    for (index, id) in ids.enumerated() {
      #expect(id == Digester(algorithm).id(zeros[0..<(index + 1) * 4096]))
    }
  }
}
