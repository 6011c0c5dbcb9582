/// A directory tree that cannot be archived, or an archive that cannot be extracted.
public struct ArchiveError: Error, Sendable {
  public enum Code: Sendable {
    /// The tree holds what no archive of these features can.
    case unrepresentable
    /// A `.caexclude` file that cannot be understood.
    case badExclude
    /// What is in an archive cannot be had on this system.
    case unsupported
    /// The tree changed while it was read.
    case changed
    /// A tar archive that cannot be read or written.
    case tar
  }

  public let code: Code
  /// One line: what failed, on what, why.
  public let message: String
  public let hint: String?

  package init(_ code: Code, _ message: String, hint: String? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
  }
}

extension ArchiveError {
  /// A file ended before the size that the archive has for it.
  package static func becameShorter(_ path: String) -> ArchiveError {
    ArchiveError(.changed, "\(path) became shorter while it was read", hint: "run it again")
  }
}

extension ArchiveError: CustomStringConvertible {
  public var description: String { message }
}
