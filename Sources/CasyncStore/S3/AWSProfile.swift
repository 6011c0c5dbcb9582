internal import CasyncIO

/// What the environment and AWS's shared files say: credentials, region and endpoint.
///
/// The environment goes before the files, and credentials that the configuration names before both.
struct AWSProfile {
  private(set) var credentials: S3Credentials?
  private(set) var region: String
  private(set) var endpoint: String?

  /// Reads the files. Blocks.
  /// - Throws: `StoreError` when a profile is asked for that is in no file.
  init(_ settings: ConnectionSettings) throws {
    func variable(_ name: String) -> String? { settings.variables[name].flatMap { $0.isEmpty ? nil : $0 } }
    let home = variable("HOME") ?? "/nonexistent"
    let asked = settings.profile ?? variable("AWS_PROFILE")
    let profile = asked ?? "default"
    let keys = Self.section(
      profile, of: variable("AWS_SHARED_CREDENTIALS_FILE") ?? "\(home)/.aws/credentials")
    let options = Self.section(
      profile == "default" ? profile : "profile \(profile)",
      of: variable("AWS_CONFIG_FILE") ?? "\(home)/.aws/config")
    if let asked, keys == nil, options == nil {
      throw StoreError(
        .denied, "S3", "no profile \(asked) in ~/.aws/credentials or ~/.aws/config",
        hint: "AWS_PROFILE or the configuration names it")
    }
    func option(_ name: String) -> String? { keys?[name] ?? options?[name] }
    region =
      settings.region ?? variable("AWS_REGION") ?? variable("AWS_DEFAULT_REGION") ?? option("region")
      ?? "us-east-1"
    endpoint =
      settings.endpoint ?? variable("AWS_ENDPOINT_URL_S3") ?? variable("AWS_ENDPOINT_URL")
      ?? option("endpoint_url")
    if let key = settings.accessKey, let secret = settings.secretKey {
      credentials = S3Credentials(key: key, secret: secret, token: settings.sessionToken)
    } else if asked == nil || settings.profile == nil, let key = variable("AWS_ACCESS_KEY_ID"),
      let secret = variable("AWS_SECRET_ACCESS_KEY")
    {
      credentials = S3Credentials(key: key, secret: secret, token: variable("AWS_SESSION_TOKEN"))
    } else if let key = option("aws_access_key_id"), let secret = option("aws_secret_access_key") {
      credentials = S3Credentials(key: key, secret: secret, token: option("aws_session_token"))
    }
  }

  /// The lines `name = value` of a section of a file; `nil` when it is not there.
  private static func section(_ name: String, of path: String) -> [String: String]? {
    guard let text = FileSystem.text(path) else { return nil }
    return section(name, in: text)
  }

  static func section(_ name: String, in text: String) -> [String: String]? {
    var values: [String: String]?
    var isInside = false
    for line in text.split(whereSeparator: \.isNewline) {
      let line = trimmed(line)
      if line.hasPrefix("#") || line.hasPrefix(";") { continue }
      if line.hasPrefix("["), let end = line.firstIndex(of: "]") {
        isInside = trimmed(line[..<end].dropFirst()) == name
        if isInside, values == nil { values = [:] }
      } else if isInside, let equals = line.firstIndex(of: "=") {
        values?[trimmed(line[..<equals])] = trimmed(line[line.index(after: equals)...])
      }
    }
    return values
  }

  private static func trimmed(_ text: Substring) -> String {
    String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }

  private static func trimmed(_ text: String) -> String { trimmed(text[...]) }
}
