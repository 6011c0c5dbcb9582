/// Why a store cannot be used, or one of its chunks.
public struct StoreError: Error, Sendable {
  public enum Code: Sendable {
    /// There is no such directory.
    case noStore
    /// Somebody else uses the store in a way that excludes this one.
    case busy
    /// What was asked for is not at its URL.
    case notFound
    /// The server refuses access.
    case denied
    /// The server cannot be reached, or does not answer as it should, after all tries.
    case unreachable
    /// Nothing here knows how to reach such a place, or to do this there.
    case unsupported
    /// A chunk's file does not hold what its name says.
    case corrupt
  }

  public let code: Code
  /// Path or URL of the store, or of the file in it; without secrets.
  public let subject: String
  public let reason: String
  public let hint: String?

  init(_ code: Code, _ subject: String, _ reason: String, hint: String? = nil) {
    self.code = code
    self.subject = subject
    self.reason = reason
    self.hint = hint
  }
}

extension StoreError: CustomStringConvertible {
  public var description: String { "\(subject): \(reason)" }
}
