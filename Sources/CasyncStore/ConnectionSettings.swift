/// How remote stores and indexes are reached. It may hold secrets and is never printed.
public struct ConnectionSettings: Hashable, Sendable {
  /// Lines `Name: value` that are sent with every request.
  public var headers: [String] = []
  /// Path of a file of certificates to trust instead of the system's (PEM).
  public var certificateAuthorities: String?
  /// Paths of a certificate to show to servers and of its key (PEM).
  public var certificate: String?
  public var certificateKey: String?
  /// For servers that ask for a name and a password.
  public var user: String?
  public var password: String?
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

  /// For S3: a profile of AWS's shared files, or credentials, region and endpoint themselves.
  public var profile: String?
  public var accessKey: String?
  public var secretKey: String?
  public var sessionToken: String?
  public var region: String?
  public var endpoint: String?
  /// The variables of the environment that S3 heeds: `AWS_…` and `HOME`.
  public var variables: [String: String] = [:]
  public static let variableNames = [
    "HOME", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_REGION",
    "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
  ]

  /// What is different for some places: settings by the beginning of their locations.
  public var sites: [Site] = []
  /// Connections to one server at one time.
  var connections = HTTPLoop.connectionLimit

  /// For SFTP: a private key, and who logs in where the URL names nobody.
  public var sshKey: String?
  public var loginName: String?
  var sshDirectory: String { "\(variables["HOME"] ?? "/nonexistent")/.ssh" }

  /// The program that reaches other hosts, and the name of casync there.
  public var sshProgram = "ssh"
  public var remoteProgram = "casync"
  /// Where chunks lie until they are pushed by SSH.
  public var temporaryDirectory = "/var/tmp"

  public init() {}

  /// Settings for what lies below one location.
  public struct Site: Hashable, Sendable {
    /// As it is written where it is used, without user and arguments.
    public var location: String
    public var settings: ConnectionSettings

    public init(_ location: String, _ settings: ConnectionSettings) {
      self.location = location
      self.settings = settings
    }

    /// Whether `name`, a location without what is secret, lies there.
    func covers(_ name: String) -> Bool {
      guard name.hasPrefix(location) else { return false }
      return location.hasSuffix("/") || name.count == location.count
        || name.dropFirst(location.count).first == "/"
    }
  }

  /// What holds for a location: its site's settings, the longest one's of several, where these say nothing
  /// themselves.
  func settings(for location: String) -> ConnectionSettings {
    var result = self
    result.sites = []
    let name = Stores.name(location)
    let site = sites.filter { $0.covers(name) }.max { $0.location.count < $1.location.count }?.settings
    guard let site else { return result }
    let standard = ConnectionSettings()
    func fill<Value: Equatable>(_ path: WritableKeyPath<ConnectionSettings, Value>) {
      if result[keyPath: path] == standard[keyPath: path] { result[keyPath: path] = site[keyPath: path] }
    }
    result.headers = site.headers + headers
    fill(\.certificateAuthorities)
    // A certificate and its key belong together.
    if certificate == nil {
      result.certificate = site.certificate
      result.certificateKey = site.certificateKey
    }
    fill(\.user)
    fill(\.password)
    fill(\.connectTimeout)
    fill(\.stallTimeout)
    fill(\.rateLimit)
    fill(\.tries)
    fill(\.profile)
    fill(\.accessKey)
    fill(\.secretKey)
    fill(\.sessionToken)
    fill(\.region)
    fill(\.endpoint)
    return result
  }
}
