/// A command line that was understood: a verb, its operands, and the options in the order given.
struct Arguments: Sendable {
  let verb: Verb
  let operands: [String]
  let options: [(name: Option.Name, value: String)]

  /// Whether the switch `name` is on.
  func has(_ name: Option.Name) -> Bool { options.contains { $0.name == name } }

  /// The value of `name`; of several the last, as with getopt.
  func value(_ name: Option.Name) -> String? { options.last { $0.name == name }?.value }

  /// All values of `name` in the order given.
  func values(_ name: Option.Name) -> [String] { options.filter { $0.name == name }.map(\.value) }

  // Values were checked by the parser; what it accepted converts here.

  func boolean(_ name: Option.Name) -> Bool? { value(name).flatMap(Quantity.boolean) }

  func count(_ name: Option.Name) -> Int? { value(name).flatMap { Int($0) } }

  var logLevel: LogLevel? { value(.logLevel).flatMap(LogLevel.init) }

  /// The operand at `index`; `-` stands for one that is missing.
  func operand(_ index: Int) -> String { operands.indices.contains(index) ? operands[index] : "-" }
}

/// A command line that makes no sense, and why.
struct UsageError: Error, Equatable {
  /// One line for the user.
  let message: String
  /// How to do it right, if that can be said.
  let hint: String?

  init(_ message: String, hint: String? = nil) {
    self.message = message
    self.hint = hint
  }
}
