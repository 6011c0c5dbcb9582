/// What a file holds, as `--what=` names it.
enum Kind: String, CaseIterable, Sendable {
  case archive
  case archiveIndex = "archive-index"
  case blob
  case blobIndex = "blob-index"
  case directory

  /// The kind that the suffix of a name tells.
  init?(suffixOf locator: Locator) {
    if locator.hasSuffix(".catar") {
      self = .archive
    } else if locator.hasSuffix(".caidx") {
      self = .archiveIndex
    } else if locator.hasSuffix(".caibx") {
      self = .blobIndex
    } else {
      return nil
    }
  }

  /// A verb that cannot do with the kind asked for, in casync's words.
  static func mismatch(_ verb: Verb) -> UsageError {
    let last = verb == .make ? " or " : ", "
    return UsageError(
      "\"\(verb.rawValue)\" operation may only be combined with "
        + "--what=archive, --what=archive-index\(last)--what=blob-index.")
  }

  static let suffixes = "(May be one of: .catar, .caidx, .caibx)"
}
