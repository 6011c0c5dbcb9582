internal import Casync
internal import CasyncFormat
internal import CasyncIO
internal import CasyncStore

/// One run of a verb: what it was given, and where its output goes.
struct Session: Sendable {
  let arguments: Arguments
  let environment: Environment
  let console: Console

  /// Does what the verb says. Blocks.
  /// - Returns: the exit status.
  func run() throws -> Int32 {
    switch arguments.verb {
    case .put: try put()
    case .get: try get()
    case .make: try make()
    case .extract: try extract()
    case .digest: try digest()
    case .list: try listTree(.list)
    case .mtree, .manifest: try listTree(.mtree)
    case .stat: try listTree(.stat)
    case .verify: try verify()
    case .diff: try diff()
    case .info: try info()
    case .listChunks: try listChunks()
    case .gc: try collect()
    case .check: try check()
    case .copy: try copy()
    case .clone: try cloneTree()
    case .mkdev: try makeDevice()
    case .udev: try nameDevice()
    case .mount: try mountTree()
    case .pull: try pull()
    case .push: try push()
    case .serve: try serve()
    case .help: 0
    }
  }

  /// Whether casync's lines of information are wanted.
  var isVerbose: Bool { arguments.has(.verbose) || environment.isVerbose }

  // MARK: Jobs

  /// Runs a job of the engine, with its progress shown and signals heeded, and passes what it returns to
  /// `report`.
  /// - Parameter resume: what to say of a job that was interrupted.
  /// - Returns: the exit status.
  func job<Summary>(
    resume: String? = nil, _ body: (Progress) throws -> Summary, report: (Summary) throws -> Int32
  ) throws -> Int32 {
    let progress = Progress()
    let display = Display(progress, of: arguments, environment: environment)
    let watch = Watch(progress.cancellation, every: display.interval) { display.update() }
    let result = Result { try body(progress) }
    let signal = watch.stop()
    display.end(finished: (try? result.get()) != nil)
    switch result {
    case .success(let summary): return try report(summary)
    case .failure(is CancellationError): return interrupted(by: signal, hint: resume)
    case .failure(let error as JobError) where error.code == .interrupted:
      return interrupted(by: signal, hint: error.hint)
    case .failure(let error): throw error
    }
  }

  /// casync's verbs end with its message and status 1; ours like a program that the signal ended.
  private func interrupted(by signal: Int32?, hint: String?) -> Int32 {
    let isReference = arguments.verb.isReference
    console.report(UsageError(isReference ? "Got exit signal, quitting." : "interrupted", hint: hint))
    return isReference ? 1 : 128 + (signal ?? 0)
  }

  /// Asks systemd, if it started us, to count us as started.
  /// - Parameter device: the device that is ready, if it is one.
  func notifyReady(device: String? = nil) { Notifier(environment).ready(device: device) }

  // MARK: Results

  /// Writes to standard output. Blocks.
  static func print(_ text: String) throws {
    try File.standardOutput.writeNext(Array(text.utf8).rawSpan)
  }

  func print(_ text: String) throws { try Self.print(text) }

  /// Whether results are to be JSON.
  var isJSON: Bool { arguments.has(.json) }

  func print(_ value: JSON) throws { try print(value.text + "\n") }

  // MARK: What several verbs take

  /// The index at an operand, where the engine can read or write it.
  func indexLocation(_ index: Int = 0) throws -> String {
    try Locator(arguments.operand(index)).location("index")
  }

  /// The one store of a verb that has one: `--store`, `CASYNC_STORE`, else beside the index.
  func store(beside index: String) throws -> String {
    try Self.storeLocation(
      arguments.value(.store) ?? environment["CASYNC_STORE"] ?? Locator(index).defaultStore)
  }

  /// All stores to read from: every `--store`, or what stands for it, then every `--extra-store`.
  func stores(beside index: String) throws -> [String] {
    let named = try arguments.values(.store).map(Self.storeLocation)
    let first = try named.isEmpty ? [store(beside: index)] : named
    return try first + arguments.values(.extraStore).map(Self.storeLocation)
  }

  /// A store, or a group `A|B` of them, where the engine can reach it.
  static func storeLocation(_ argument: String) throws -> String {
    try Stores.members(argument).map { member in
      let locator = Locator(member)
      // A directory may well be called "-".
      return locator == .standardStream ? "./-" : try locator.location("store")
    }.joined(separator: "|")
  }

  /// A store that must be a directory here.
  static func directoryPath(_ argument: String) throws -> String {
    let locator = Locator(argument)
    return locator == .standardStream ? "./-" : try locator.localPath("cache")
  }

  /// An input or target that is a local path, `-`, or an NBD export.
  func dataPath(_ index: Int, _ what: String) throws -> String {
    let locator = Locator(arguments.operand(index))
    return locator.isNBD ? arguments.operand(index) : try locator.localPath(what)
  }

  /// A digest as casync names it; `nil` when none is asked for.
  var digestAlgorithm: DigestAlgorithm? {
    arguments.value(.digest).map { DigestAlgorithm(rawValue: $0) ?? .sha512_256 }
  }
}
