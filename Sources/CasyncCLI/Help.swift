/// The texts of `casync help`, made from the tables of verbs and options.
enum Help {
  static var overview: String {
    let verbs = Verb.allCases.map { verb in
      row(verb.rawValue, verb.description.summary)
    }
    let options = [.help, .version, .logLevel, .verbose].map {
      row(Option.named($0).synopsis, Option.named($0).summary)
    }
    return """
      usage: casync [OPTIONS...] VERB [OPERANDS...]

      Chunk disk images into a store, and put them onto devices and into files from there.

      \(verbs.joined())
      \(options.joined())
      Options may stand anywhere and be abbreviated. 'casync help VERB' lists those of a verb.

      """
  }

  static func text(for verb: Verb) -> String {
    let description = verb.description
    let options = Option.table.filter { $0.verbs.contains(verb) }.map { row($0.synopsis, $0.summary) }
    let text = description.text.isEmpty ? "" : description.text + "\n\n"
    let rest =
      verb.isReference && verb != .help
      ? "casync's other options are accepted and change nothing here.\n" : ""
    let usage = "usage: casync \(verb.rawValue) [OPTIONS...] \(description.operands)\n\n"
    return usage + text + options.joined() + rest
  }

  /// A name and what it means: in two columns where they fit, on two lines else.
  private static func row(_ name: String, _ summary: String) -> String {
    let column = 26
    let gap =
      name.count < column
      ? String(repeating: " ", count: column - name.count) : "\n" + String(repeating: " ", count: column + 2)
    return "  \(name)\(gap)\(summary)\n"
  }
}
