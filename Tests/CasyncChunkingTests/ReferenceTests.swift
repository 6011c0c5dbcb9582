import CasyncFormat
import Foundation
import Testing

@testable import CasyncChunking

/// A disk image made of what the image chunker tells apart, in random order.
struct RandomImage {
  var random: SplitMix64
  private(set) var bytes: [UInt8] = []

  init(seed: UInt64) {
    random = SplitMix64(state: seed)
    let tableLength = Bool.random(using: &random) ? 65536 : 0
    bytes = [UInt8](repeating: 0, count: tableLength)
    for _ in 0..<Int.random(in: 1...7, using: &random) { append() }
    if Bool.random(using: &random) {
      bytes.removeLast(Int.random(in: 0...5000, using: &random) % bytes.count)
    }
    if tableLength > 0 { partition(from: tableLength) } else { addMagic(at: 0) }
  }

  /// Appends one stretch of a kind.
  private mutating func append() {
    let length = Int.random(in: 1...60_000, using: &random)
    let blocks = Int.random(in: 1...12, using: &random) * 4096
    switch Int.random(in: 0...6, using: &random) {
    case 0: bytes += [UInt8](repeating: 0, count: length)
    case 1:
      // A few whole blocks of zeros, at a block.
      bytes += splitmix64(seed: random.next(), length: 4096 - bytes.count % 4096)
      bytes += [UInt8](repeating: 0, count: Int.random(in: 1...4, using: &random) * 4096)
    case 2: bytes += [UInt8](repeating: 0, count: blocks * 4)
    case 3: bytes += [UInt8](repeating: .random(in: 0...255, using: &random), count: length)
    case 4:
      let block = splitmix64(seed: random.next(), length: 4096)
      for _ in 0..<blocks / 4096 { bytes += block }
    default: bytes += splitmix64(seed: random.next(), length: length)
    }
  }

  /// Writes an MBR whose partitions may lie anywhere, overlap, and end past the end.
  private mutating func partition(from start: Int) {
    var sector = start / 512
    for entry in 0..<Int.random(in: 1...4, using: &random) {
      let unit = Bool.random(using: &random) ? 8 : 1
      let count = Int.random(in: 1...30, using: &random) * unit
      write([0, 0, 0, 0, 0x83], at: 446 + 16 * entry)
      write(UInt32(sector), at: 446 + 16 * entry + 8)
      write(UInt32(count), at: 446 + 16 * entry + 12)
      addMagic(at: sector * 512)
      sector += count + Int.random(in: 0...3, using: &random) * unit
      if Int.random(in: 0...20, using: &random) == 0 { sector -= 1 }
    }
    write([0x55, 0xaa], at: 510)
  }

  /// Perhaps an ext4 of 4 KiB blocks at `start`.
  private mutating func addMagic(at start: Int) {
    guard Bool.random(using: &random) else { return }
    write(2 as UInt32, at: start + 1048)
    write([0x53, 0xef], at: start + 1080)
  }

  private mutating func write(_ values: [UInt8], at offset: Int) {
    guard offset + values.count <= bytes.count else { return }
    bytes.replaceSubrange(offset..<offset + values.count, with: values)
  }

  private mutating func write(_ value: UInt32, at offset: Int) {
    write((0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }, at: offset)
  }
}

@Suite("The image chunker against its reference in Python")
struct ReferenceTests {
  static let python: URL? = ["/usr/bin/python3", "/usr/local/bin/python3"]
    .map { URL(fileURLWithPath: $0) }.first { FileManager.default.isExecutableFile(atPath: $0.path) }

  /// How often the test runs on twelve images; the environment asks for more.
  static let rounds = ProcessInfo.processInfo.environment["CASYNC_TEST_ROUNDS"].flatMap(Int.init) ?? 1

  /// What the reference answers for each file: ends, and which chunks are of zero runs.
  static func reference(_ requests: [(average: Int, path: String)]) throws -> [[(end: UInt64, isRun: Bool)]] {
    let process = Process()
    process.executableURL = python
    process.arguments = ["-B", vectorsDirectory.appendingPathComponent("image_chunker.py").path, "--batch"]
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    for request in requests {
      try input.fileHandleForWriting.write(contentsOf: Data("\(request.average) \(request.path)\n".utf8))
    }
    try input.fileHandleForWriting.close()
    let answer = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0)
    var answers: [[(end: UInt64, isRun: Bool)]] = [[]]
    for line in String(decoding: answer, as: UTF8.self).split(
      separator: "\n", omittingEmptySubsequences: false)
    {
      if line.isEmpty {
        answers.append([])
      } else {
        let fields = line.split(separator: " ")
        answers[answers.count - 1].append((UInt64(fields[0]) ?? 0, fields.count > 1))
      }
    }
    return Array(answers.prefix(requests.count))
  }

  @Test(
    "random images are cut alike, in any pieces, by every tier", .enabled(if: python != nil, "needs python3"))
  func randomImages() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("casync-cuts-\(seed)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    // Nothing depends on whether the directory could be removed.
    defer { try? FileManager.default.removeItem(at: directory) }
    var images: [(average: Int, bytes: [UInt8])] = []
    var requests: [(average: Int, path: String)] = []
    for number in 0..<12 * Self.rounds {
      let bytes = RandomImage(seed: seed &+ UInt64(number)).bytes
      let average = [16384, 16384, 24576, 32768, 65536][number % 5]
      let file = directory.appendingPathComponent("\(number)")
      try Data(bytes).write(to: file)
      images.append((average, bytes))
      requests.append((average, file.path))
    }
    let answers = try Self.reference(requests)
    for (number, (image, answer)) in zip(images, answers).enumerated() {
      let runs = answer.indices.filter { answer[$0].isRun }
      for tier in CPUTier.available {
        for holes in [nil, 8192, 65536] {
          let pieces = Pieces.random(unit: 4096, seed: seed)
          let cuts = cutImage(image.bytes, average: image.average, pieces: pieces, holes: holes, tier: tier)
          #expect(cuts.map(\.end) == answer.map(\.end), "seed \(seed), image \(number), \(tier)")
          expectZeros(cuts, image.bytes, runs: runs)
        }
      }
    }
  }
}
