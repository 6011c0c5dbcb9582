/// Programs that tests are made with: they must be there and succeed.
package enum Tool {
  /// Why a test could not be made.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
  }

  /// Runs a program that must succeed.
  /// - Returns: its output without the last newline.
  @discardableResult
  package static func run(_ name: String, _ arguments: String..., input: [UInt8]? = nil) throws -> String {
    let run = try Command.run(name, arguments, input: input)
    guard run.status == 0 else {
      let words = ([name] + arguments).joined(separator: " ")
      throw Failure("\(words): status \(run.status): \(run.errors)\(run.output)")
    }
    return run.output.last == "\n" ? String(run.output.dropLast()) : run.output
  }

  /// Whether the first `count` bytes of two files or devices, or all of them, are the same.
  package static func isSame(_ a: String, _ b: String, count: Int? = nil) throws -> Bool {
    let limit = count.map { ["--bytes=\($0)"] } ?? []
    return try Command.run("cmp", ["--silent"] + limit + [a, b]).status == 0
  }
}
