internal import Casync

/// How progress is shown (`--progress=`).
enum ProgressStyle: String, CaseIterable, Sendable {
  case auto, plain, json, none

  /// What to write, settled once: on a terminal one line that is rewritten, elsewhere whole lines or nothing.
  enum Writer: Equatable, Sendable {
    case none
    case terminal(width: Int)
    case plain
    /// Lines as desync prints them with `DESYNC_ENABLE_PARSABLE_PROGRESS`.
    case desync
    case json
  }

  /// - Parameter width: columns of the terminal on standard error; `nil` when there is none.
  func writer(width: Int?, environment: Environment) -> Writer {
    let isDesync = environment["DESYNC_ENABLE_PARSABLE_PROGRESS"] != nil
    switch self {
    case .none: return .none
    case .json: return .json
    case .plain: return isDesync ? .desync : .plain
    case .auto: return isDesync ? .desync : width.map { .terminal(width: $0) } ?? .none
    }
  }
}

extension ProgressStyle.Writer {
  /// How often there is something to write.
  var interval: Duration {
    switch self {
    case .terminal: .milliseconds(200)
    case .desync: .milliseconds(500)
    case .none, .plain, .json: .seconds(1)
    }
  }

  /// What to write for `snapshot`, line end or carriage return included.
  func text(_ snapshot: Snapshot, of verb: Verb) -> String {
    switch self {
    case .none: return ""
    case .terminal(let width): return "\r" + Self.line(snapshot).prefix(width - 1) + "\u{1b}[K"
    case .plain: return Self.line(snapshot) + "\n"
    case .desync: return Self.desyncLine(snapshot, of: verb) + "\n"
    case .json: return Self.object(snapshot).text + "\n"
    }
  }

  /// Wipes what `text` left standing.
  var end: String {
    if case .terminal = self { return "\r\u{1b}[K" }
    return ""
  }

  /// `working  1.2 GiB of 2.5 GiB  48.0%  210.3 MiB/s  0:06 left  seed 60.2%, store 12.0%`
  static func line(_ snapshot: Snapshot) -> String {
    var parts = ["\(snapshot.phase)"]
    if snapshot.total > 0 {
      parts.append("\(Quantity.bytes(snapshot.done)) of \(Quantity.bytes(snapshot.total))")
      parts.append(Quantity.decimal(snapshot.percent) + "%")
    } else if snapshot.done > 0 {
      parts.append(Quantity.bytes(snapshot.done))
    }
    if snapshot.rate > 0 { parts.append(Quantity.bytes(snapshot.rate) + "/s") }
    if let left = snapshot.left { parts.append(Quantity.duration(left) + " left") }
    let sum = snapshot.shares.reduce(0) { $0 + $1.bytes }
    let shares = snapshot.shares.map { "\($0.source.name) \(Quantity.percent($0.bytes, of: sum))" }
    if !shares.isEmpty { parts.append(shares.joined(separator: ", ")) }
    return parts.joined(separator: "  ")
  }

  /// `Chunking  48.00% 6s`: what desync's bar leaves when it has no bar (desync cmd/desync/progressbar.go):
  /// the name of the step, the percentage in six columns, the time left, or at the end the time it took.
  static func desyncLine(_ snapshot: Snapshot, of verb: Verb) -> String {
    let step =
      switch (verb, snapshot.phase) {
      case (.put, _), (.make, _): "Chunking "
      case (.get, .working), (.extract, .working), (.get, .flushing), (.extract, .flushing):
        "Attempt 1: Assembling "
      case (.get, _), (.extract, _): "Attempt 1: Validating "
      default: ""
      }
    let hundredths = UInt64((snapshot.percent * 100).rounded())
    let fraction = hundredths % 100
    let number = "\(hundredths / 100)." + (fraction < 10 ? "0" : "") + "\(fraction)"
    let percent = String(repeating: " ", count: max(0, 6 - number.count)) + number
    let time = snapshot.percent >= 100 ? snapshot.elapsed : snapshot.left
    return "\(step) \(percent)%" + (time.map { " " + Quantity.goDuration($0) } ?? "")
  }

  static func object(_ snapshot: Snapshot) -> JSON {
    .object([
      "phase": .string("\(snapshot.phase)"),
      "done": .integer(snapshot.done),
      "total": snapshot.total == 0 ? .null : .integer(snapshot.total),
      "rate": .integer(snapshot.rate),
      "secondsLeft": .optional(snapshot.left, JSON.seconds),
      "seconds": .seconds(snapshot.elapsed),
      "sources": .array(
        snapshot.shares.map { ["source": .string($0.source.key), "bytes": .integer($0.bytes)] }.map(
          JSON.object)),
    ])
  }
}

extension Source {
  /// For tables.
  var name: String {
    switch self {
    case .inPlace: "in place"
    case .zero: "zeros"
    case .target: "old target"
    case .seed: "seed"
    case .duplicate: "this image"
    case .cache: "cache"
    case .store: "store"
    }
  }

  /// For JSON.
  var key: String { "\(self)" }
}
