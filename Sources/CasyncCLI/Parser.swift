/// Makes `Arguments` of the words of a command line, by the rules of GNU getopt_long.
///
/// Options stand anywhere, also before the verb; long names may be abbreviated while they stay unique; a
/// value follows as `--name=V` or `--name V`, `-lV` or `-l V`; `--` ends the options; switches of one letter
/// may be joined. An abbreviation that is unique among casync 2's options means that one: ours do not change
/// what its scripts say.
struct Parser {
  /// What a command line asks for.
  enum Request {
    case verb(Arguments)
    case help(Verb?)
    case version
    /// `--what=help`.
    case kinds
    /// `--with=help`.
    case features
    case completion(Completion.Shell)
  }

  private var words: ArraySlice<String>
  private var operands: [String] = []
  private var options: [(name: Option.Name, value: String)] = []

  static func parse(_ words: [String]) throws -> Request {
    var parser = Parser(words: words[...])
    return try parser.parse()
  }

  private init(words: ArraySlice<String>) { self.words = words }

  private mutating func parse() throws -> Request {
    while let word = words.popFirst() {
      if word == "--" {
        operands += words
        break
      } else if word.hasPrefix("--") {
        if let request = try parseLong(word.dropFirst(2)) { return request }
      } else if word.hasPrefix("-"), word != "-" {
        if let request = try parseShort(word.dropFirst()) { return request }
      } else {
        operands.append(word)
      }
    }
    return try request()
  }

  // MARK: Options

  private mutating func parseLong(_ word: Substring) throws -> Request? {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let given = parts[0]
    let option = try Self.option(abbreviated: given)
    let name = option.name.rawValue
    if case .flag = option.value {
      guard parts.count == 1 else { throw UsageError("option '--\(name)' doesn't allow an argument") }
      return try add(option, "")
    }
    if parts.count == 2 { return try add(option, String(parts[1])) }
    guard let value = words.popFirst() else {
      throw UsageError("option '--\(name)' requires an argument", hint: "write \(option.synopsis)")
    }
    return try add(option, value)
  }

  private mutating func parseShort(_ word: Substring) throws -> Request? {
    var letters = word
    while let letter = letters.popFirst() {
      guard let option = Option.table.first(where: { $0.short == letter }) else {
        throw UsageError("invalid option -- '\(letter)'", hint: "'casync help' lists the options")
      }
      var value = ""
      if option.value.placeholder != nil {
        guard let rest = letters.isEmpty ? words.popFirst() : String(letters) else {
          throw UsageError("option requires an argument -- '\(letter)'")
        }
        value = rest
        letters = ""
      }
      if let request = try add(option, value) { return request }
    }
    return nil
  }

  /// The option that `name` names in full or in part.
  private static func option(abbreviated name: Substring) throws -> Option {
    let matches = Option.table.filter { $0.name.rawValue.hasPrefix(name) }
    if let exact = matches.first(where: { $0.name.rawValue == name }) { return exact }
    let reference = matches.filter(\.isReference)
    if let match = reference.count == 1 ? reference[0] : matches.count == 1 ? matches[0] : nil {
      return match
    }
    guard !matches.isEmpty else {
      throw UsageError("unrecognized option '--\(name)'", hint: "'casync help' lists the options")
    }
    let names = matches.map { "'--\($0.name.rawValue)'" }.joined(separator: " ")
    throw UsageError("option '--\(name)' is ambiguous; possibilities: \(names)")
  }

  /// Keeps an option, or gives what it asks for at once.
  private mutating func add(_ option: Option, _ value: String) throws -> Request? {
    switch option.name {
    case .help: return .help(operands.first.flatMap(Verb.init))
    case .version: return .version
    case .what where value == "help": return .kinds
    case .with where value == "help", .without where value == "help": return .features
    default: break
    }
    try option.check(value)
    if option.name == .generateCompletionScript, let shell = Completion.Shell(rawValue: value) {
      return .completion(shell)
    }
    options.append((option.name, value))
    return nil
  }

  // MARK: Verb and operands

  private mutating func request() throws -> Request {
    guard let word = operands.first else {
      throw UsageError("missing verb", hint: "'casync help' lists the verbs")
    }
    guard let verb = Verb(rawValue: word) else {
      throw UsageError("unknown verb '\(word)'", hint: "'casync help' lists the verbs")
    }
    operands.removeFirst()
    let description = verb.description
    guard description.count.contains(operands.count) else {
      throw UsageError(
        "\(verb.rawValue) takes \(description.operands)",
        hint: "'casync help \(verb.rawValue)' says what they are")
    }
    if verb == .help { return try help() }
    for (name, _) in options where !Option.named(name).applies(to: verb) {
      throw UsageError(
        "option '--\(name.rawValue)' does not apply to \(verb.rawValue)",
        hint: "'casync help \(verb.rawValue)' lists those that do")
    }
    return .verb(Arguments(verb: verb, operands: operands, options: options))
  }

  private func help() throws -> Request {
    guard let word = operands.first else { return .help(nil) }
    guard let verb = Verb(rawValue: word) else {
      throw UsageError("unknown verb '\(word)'", hint: "'casync help' lists the verbs")
    }
    return .help(verb)
  }
}

extension Option {
  /// Refuses a value that is none of its kind.
  func check(_ value: String) throws {
    let isGood =
      switch self.value {
      case .flag, .text: true
      case .path: !value.isEmpty
      case .boolean: Quantity.boolean(value) != nil
      case .choice(let words): words.contains(value)
      case .count: (Int(value) ?? 0) >= 1
      case .size: (Quantity.size(value) ?? 0) > 0
      case .time: Quantity.time(value) != nil
      case .logLevel: LogLevel(value) != nil
      case .feature: Features.value(of: value) != nil
      case .kind: Kind(rawValue: value) != nil
      }
    guard !isGood else { return }
    throw UsageError("Failed to parse --\(name.rawValue)= parameter: \(value)", hint: "write \(synopsis)")
  }
}
