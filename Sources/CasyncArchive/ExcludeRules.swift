import CasyncIO

/// What `.caexclude` files say of the names in one directory (docs/formats/catar.md, exclusion).
struct ExcludeRules {
  private struct Rule {
    /// Patterns for one component each, from this directory down.
    let components: [[UInt8]]
    let isException: Bool
    /// Whether the last component matches directories only.
    let onlyDirectories: Bool
    /// Whether it holds in this directory alone; else in all below it as well.
    let isAnchored: Bool
  }

  /// Bytes that a `.caexclude` may have.
  static let limit = 1 << 20
  static let fileName = Array(".caexclude".utf8)

  private var rules: [Rule] = []

  /// Adds the lines of the `.caexclude` in this directory.
  /// - Throws: `ArchiveError` (badExclude) for a line that cannot be.
  mutating func add(_ text: [UInt8], path: String) throws {
    for line in text.split(separator: UInt8(ascii: "\n")) {
      var line = Self.trimmed(line)
      guard let first = line.first, first != UInt8(ascii: "#") else { continue }
      let isException = first == UInt8(ascii: "!")
      if isException { line = Self.trimmed(line.dropFirst()) }
      guard !line.isEmpty else { continue }
      let slash = UInt8(ascii: "/")
      let isAnchored = line.contains(slash)
      let onlyDirectories = line.last == slash
      let stripped = line.drop { $0 == slash }
      let body = onlyDirectories ? stripped.dropLast() : stripped
      let components = body.split(separator: slash, omittingEmptySubsequences: false).map(Array.init)
      guard
        !components.contains(where: { $0.isEmpty || $0 == [0x2e] || $0 == [0x2e, 0x2e] || $0.contains(0) })
      else {
        throw ArchiveError(
          .badExclude, "\(path): a line that cannot be used: \(String(decoding: line, as: UTF8.self))",
          hint: "components may not be empty, . or ..")
      }
      rules.append(
        Rule(
          components: components, isException: isException, onlyDirectories: onlyDirectories,
          isAnchored: isAnchored))
    }
  }

  private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let isBlank: (UInt8) -> Bool = { $0 == 0x20 || 0x09...0x0d ~= $0 }
    let start = line.drop(while: isBlank)
    guard let last = start.lastIndex(where: { !isBlank($0) }) else { return [] }
    return start[...last]
  }

  /// Whether a name in this directory is left out.
  func excludes(_ name: [UInt8], isDirectory: Bool) -> Bool {
    var isExcluded = false
    for rule in rules where rule.components.count == 1 && (isDirectory || !rule.onlyDirectories) {
      guard matchesPattern(rule.components[0], name) else { continue }
      if rule.isException { return false }
      isExcluded = true
    }
    return isExcluded
  }

  /// What holds in the directory `name` of this one.
  func below(_ name: [UInt8]) -> ExcludeRules {
    var below = ExcludeRules()
    below.rules = rules.compactMap { rule in
      guard rule.isAnchored else { return rule }
      guard rule.components.count > 1, matchesPattern(rule.components[0], name) else { return nil }
      return Rule(
        components: Array(rule.components.dropFirst()), isException: rule.isException,
        onlyDirectories: rule.onlyDirectories, isAnchored: true)
    }
    return below
  }
}
