internal import Casync
internal import CasyncChunking
internal import CasyncIO

/// The command `casync`, from its arguments to its exit status.
///
///     arguments ── Parser, by the tables of Option and Verb ──> Arguments
///     Arguments, environment ── Session+Put, Session+Get, … ──> a request of the engine
///     request.run(progress) on this thread;  Watch on another: signals, progress lines
///     summary ── Table, Quantity, JSON ──> standard output, or error beside a result
///
/// Everything printed goes through `Console` (standard error) or `Session.print` (standard output), and every
/// error ends here, in one line and one exit status.
struct Program {
  let arguments: [String]
  let environment: Environment

  /// Does what the arguments say. Blocks.
  /// - Returns: the exit status.
  func run() -> Int32 {
    var console = Console()
    do {
      guard case .verb(let arguments) = try act(on: Parser.parse(arguments)) else { return 0 }
      console.level = arguments.logLevel ?? environment.logLevel(console)
      _ = try CPUTier(environment: environment["CASYNC_CPU"])
      let session = Session(arguments: arguments, environment: environment, console: console)
      return try session.run()
    } catch {
      console.report(error)
      return 1
    }
  }

  /// Prints what needs no verb: help, the version, lists of values, completions.
  private func act(on request: Parser.Request) throws -> Parser.Request {
    switch request {
    case .verb: break
    case .help(let verb): try Session.print(verb.map(Help.text(for:)) ?? Help.overview)
    case .version: try Session.print("casync 2\n\(Version.name) \(Version.number)\n")
    case .kinds:
      try Session.print("Allowed --what= selectors:\n" + Kind.allCases.map { $0.rawValue + "\n" }.joined())
    case .features:
      let names = Features.names.map { $0.name + "\n" } + Features.groups.map { $0.name + "\n" }
      try Session.print("Supported --with= and --without= flags:\n" + names.joined())
    case .completion(let shell): try Session.print(Completion.script(for: shell))
    }
    return request
  }
}

/// Who we are beside casync 2.
enum Version {
  static let name = "casync in Swift"
  static let number = "0.1.0"
}
