import Testing

@testable import Casync
@testable import CasyncCLI

@Suite("Progress")
struct ProgressTests {
  static let snapshot = Snapshot(
    phase: .working, done: 1_288_490_189, total: 2_684_354_560, elapsed: .seconds(6), rate: 220_518_154,
    shares: [.init(source: .seed, bytes: 900), .init(source: .store, bytes: 100)])

  @Test("is measured over the last seconds of a phase")
  func meter() {
    let progress = Progress()
    var meter = Meter()
    #expect(meter.read(progress, at: .zero) == Snapshot())
    progress.begin(.working, total: 1000)
    #expect(meter.read(progress, at: .seconds(1)).rate == 0)
    progress.advance(100)
    progress.count(100, from: .store)
    let early = meter.read(progress, at: .seconds(2))
    #expect(early.rate == 100)
    #expect(early.left == .seconds(9))
    #expect(early.shares == [.init(source: .store, bytes: 100)])
    for second in 3...20 { _ = meter.read(progress, at: .seconds(second)) }
    #expect(meter.read(progress, at: .seconds(21)).rate == 0)
    progress.begin(.verifying, total: 1000)
    #expect(meter.read(progress, at: .seconds(22)).done == 0)
  }

  @Test("is a line for people")
  func line() {
    #expect(
      ProgressStyle.Writer.plain.text(Self.snapshot, of: .get)
        == "working  1.2 GiB of 2.5 GiB  48.0%  210.3 MiB/s  6.3 s left  seed 90.0%, store 10.0%\n")
    #expect(
      ProgressStyle.Writer.plain.text(Snapshot(phase: .working, done: 2048), of: .put) == "working  2.0 KiB\n"
    )
    #expect(ProgressStyle.Writer.terminal(width: 10).text(Self.snapshot, of: .get) == "\rworking  \u{1b}[K")
  }

  @Test(
    "is desync's line where its variable is set",
    arguments: [
      (.put, .working, 0, nil, "Chunking    0.00%"),
      (.get, .planning, 480, 6, "Attempt 1: Validating   48.00% 6s"),
      (.extract, .working, 1000, nil, "Attempt 1: Assembling  100.00% 9s"),
      (.verify, .working, 5, nil, "   0.50%"),
    ] as [(Verb, Progress.Phase, UInt64, Int?, String)])
  func desync(_ verb: Verb, _ phase: Progress.Phase, _ done: UInt64, _ left: Int?, _ line: String) {
    var snapshot = Snapshot(phase: phase, done: done, total: 1000, elapsed: .seconds(9))
    if let left { snapshot.rate = (1000 - done) / UInt64(left) }
    #expect(ProgressStyle.Writer.desync.text(snapshot, of: verb) == line + "\n")
  }

  @Test("is an object a line for programs")
  func json() {
    #expect(
      ProgressStyle.Writer.json.text(Snapshot(phase: .planning, done: 5, elapsed: .seconds(2)), of: .get)
        == "{\"phase\":\"planning\",\"done\":5,\"total\":null,\"rate\":0,\"secondsLeft\":null,"
        + "\"seconds\":2.0,\"sources\":[]}\n")
  }

  @Test("is shown where somebody looks")
  func styles() {
    let none = Environment { _ in nil }
    let desync = Environment { $0 == "DESYNC_ENABLE_PARSABLE_PROGRESS" ? "1" : nil }
    #expect(ProgressStyle.auto.writer(width: nil, environment: none) == .none)
    #expect(ProgressStyle.auto.writer(width: 80, environment: none) == .terminal(width: 80))
    #expect(ProgressStyle.auto.writer(width: nil, environment: desync) == .desync)
    #expect(ProgressStyle.plain.writer(width: 80, environment: none) == .plain)
    #expect(ProgressStyle.plain.writer(width: nil, environment: desync) == .desync)
    #expect(ProgressStyle.none.writer(width: 80, environment: desync) == .none)
  }
}
