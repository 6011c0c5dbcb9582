/// An option: a row of the table that the parser, the help texts and the completions are made from.
struct Option: Sendable {
  /// The long name.
  enum Name: String, CaseIterable, Sendable {
    // casync 2's, in the order of its help.
    case help, version
    case logLevel = "log-level"
    case verbose
    case dryRun = "dry-run"
    case store
    case extraStore = "extra-store"
    case chunkSize = "chunk-size"
    case digest, compression, seed, cache
    case cacheAuto = "cache-auto"
    case rateLimit = "rate-limit-bps"
    case excludeNodump = "exclude-nodump"
    case excludeSubmounts = "exclude-submounts"
    case excludeFile = "exclude-file"
    case reflink, hardlink
    case punchHoles = "punch-holes"
    case delete
    case undoImmutable = "undo-immutable"
    case seedOutput = "seed-output"
    case recursive, mkdir
    case uidShift = "uid-shift"
    case uidRange = "uid-range"
    case with, without, what

    // Ours.
    case chunker
    case compressionLevel = "compression-level"
    case size
    case imageDigest = "image-digest"
    case seedIndex = "seed-index"
    case partition
    case inPlace = "in-place"
    case noVerify = "no-verify"
    case stateDir = "state-dir"
    case force, grace, repair, json, progress, workers, socket, listen, fuse, memory, detach
    case readyFd = "ready-fd"
    case mountOptions = "mount-options"
    case base, overlay, profile, prefetch, retry
    case cacheFile = "cache-file"
    case tls
    case tlsCertificates = "tls-certs"
    case tlsVerifyPeer = "tls-verify-peer"
    case header
    case caCertificates = "cacert"
    case certificate = "cert"
    case certificateKey = "key"
    case cacheSize = "cache-size"
    case to
    case toIndex = "to-index"
    case writable
    case tokenFile = "token-file"
    case fromTar = "from-tar"
    case toTar = "to-tar"
    case generateCompletionScript = "generate-completion-script"
  }

  /// What stands behind the name. Checked where it is parsed, whatever the verb.
  enum Value: Sendable {
    /// Nothing: a switch.
    case flag
    /// Any text; the word names it in the help.
    case text(String)
    /// A path, or where remote things are known, their address.
    case path(String)
    case boolean
    /// One of these words.
    case choice([String])
    /// A number of at least 1.
    case count
    case size
    case time
    case logLevel
    /// A feature or group of features of an archive; `help` lists them.
    case feature
    /// A kind of input or output; `help` lists them.
    case kind
  }

  let name: Name
  var short: Character?
  let value: Value
  /// The verbs that heed it. casync 2's verbs accept and ignore its other options; ours refuse them.
  let verbs: [Verb]
  /// Whether casync 2 has it: its options win over ours when a name is abbreviated.
  let isReference: Bool
  /// For the help: what it does, in a few words.
  let summary: String

  /// The option of this name.
  static func named(_ name: Name) -> Option {
    guard let option = table.first(where: { $0.name == name }) else {
      preconditionFailure("the table has a row for each name")
    }
    return option
  }

  /// Whether `verb` accepts it.
  func applies(to verb: Verb) -> Bool {
    verbs.contains(verb) || (isReference && verb.isReference)
  }

  /// As the help writes it: `--store=DIR`, `-l, --log-level=LEVEL`.
  var synopsis: String {
    let long = "--\(name.rawValue)" + (value.placeholder.map { "=\($0)" } ?? "")
    return short.map { "-\($0), \(long)" } ?? long
  }
}

extension Option.Value {
  /// The word that stands for the value in the help.
  var placeholder: String? {
    switch self {
    case .flag: nil
    case .text(let word), .path(let word): word
    case .boolean: "yes|no"
    case .choice(let words): words.joined(separator: "|")
    case .count: "N"
    case .size: "SIZE"
    case .time: "TIME"
    case .logLevel: "LEVEL"
    case .feature: "FEATURE"
    case .kind: "KIND"
    }
  }

  /// The words that a completion offers.
  var words: [String] {
    switch self {
    case .choice(let words): words
    case .boolean: ["yes", "no"]
    case .logLevel: LogLevel.allCases.map { "\($0)" }
    case .feature: Features.groups.map(\.name) + Features.names.map(\.name)
    case .kind: Kind.allCases.map(\.rawValue)
    default: []
    }
  }
}
