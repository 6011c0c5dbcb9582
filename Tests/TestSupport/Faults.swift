import Foundation

/// What `Tests/Faults/faults.c` is to do to a program: one of its system calls goes wrong.
package struct Faults {
  package enum Action: Sendable, CustomStringConvertible {
    case kill, stop, short, lost
    case fail(errno: Int32)

    package var description: String {
      switch self {
      case .kill: "kill"
      case .stop: "stop"
      case .short: "short"
      case .lost: "lost"
      case .fail(let errno): "\(errno)"
      }
    }
  }

  package enum Call: String, Sendable { case read, write, sync, rename, zero }

  private let library: String
  private let report: String

  /// Compiles the library into `scratch`.
  package init(_ scratch: Scratch) throws {
    library = scratch("faults.so")
    report = scratch("faults.report")
    let source = Repository.path("Tests/Faults/faults.c")
    let compiler = try ["cc", "clang", "gcc"].first { try Command.run("which", [$0]).status == 0 }
    try Tool.run(compiler ?? "cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl")
  }

  /// The variables under which a program meets `action` at the `number`th of `calls`; none is 0.
  /// - Parameter path: only calls on files with this in their path count.
  package func environment(
    _ calls: [Call], at number: Int = 0, _ action: Action = .kill, path: String = ""
  ) -> [String: String?] {
    [
      "LD_PRELOAD": library,
      "FAULTS_CALLS": calls.map(\.rawValue).joined(separator: ","),
      "FAULTS_PATH": path,
      "FAULTS_AT": "\(number)",
      "FAULTS_ACTION": "\(action)",
      "FAULTS_REPORT": report,
    ]
  }

  /// What the last program that ended by itself had done.
  package struct Report {
    /// Calls of the kinds asked for.
    package let calls: Int
    /// The most memory it had, in bytes.
    package let peakBytes: Int
  }

  /// Takes the report of the last run.
  package func takeReport() throws -> Report {
    let text = try String(contentsOfFile: report, encoding: .utf8)
    try FileManager.default.removeItem(atPath: report)
    let numbers = text.split { $0 == " " || $0 == "\n" }.compactMap { Int($0) }
    guard numbers.count == 2 else { throw Tool.Failure("faults.report: \(text)") }
    return Report(calls: numbers[0], peakBytes: numbers[1] << 10)
  }

  /// `count` numbers from 1 to `total`, evenly spread, the first and the last included.
  package static func spread(_ count: Int, over total: Int) -> [Int] {
    guard total > count, count > 1 else { return Array(1...max(1, total)) }
    return (0..<count).map { 1 + $0 * (total - 1) / (count - 1) }
  }
}
