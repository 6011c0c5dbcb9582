/// How remote stores and indexes are reached.
public struct ConnectionSettings: Sendable {
  /// Lines `Name: value` that are sent with every request. They may hold secrets and appear in no message.
  public var headers: [String] = []
  /// Path of a file of certificates to trust instead of the system's (PEM).
  public var certificateAuthorities: String?
  /// Until a connection stands.
  public var connectTimeout = Duration.seconds(15)
  /// Without a byte on a connection, the first one included.
  public var stallTimeout = Duration.seconds(30)
  /// Bytes a second to receive at most, on average; `nil` is no limit.
  public var rateLimit: UInt64?
  /// Tries for one request while its server answers others.
  public var tries = 24
  /// Tries for one request when its server has not answered yet, or has just failed to answer that often.
  public var firstTries = 6
  /// The pause before the second try; it doubles with each try up to `longestPause`.
  public var firstPause = Duration.milliseconds(100)
  public var longestPause = Duration.seconds(2)

  public init() {}
}
