/// Why a job could not be done, for its user.
public struct JobError: Error, Sendable {
  public enum Code: Sendable {
    /// The request makes no sense.
    case badRequest
    /// An index, store or image is damaged or disagrees with itself.
    case damaged
    /// A chunk is in none of the sources.
    case missingChunk
    /// A chunk could not be had now, because a store does not answer; later it may.
    case unreachable
    /// The target must not be written.
    case refused
    /// What was written does not read back the same.
    case notVerified
    /// Somebody asked the job to stop.
    case interrupted
    /// A file, device or store failed.
    case io
  }

  public let code: Code
  /// One line: what failed, on what, why.
  public let message: String
  /// How to go on, if there is a way.
  public let hint: String?

  package init(_ code: Code, _ message: String, hint: String? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
  }
}

extension JobError: CustomStringConvertible {
  public var description: String { message }
}
