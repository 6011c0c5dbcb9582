internal import CasyncChunking
internal import Synchronization

/// A bucket, and who asks it: shared by all places in it.
final class S3Bucket: Sendable {
  /// `nil` asks without a name.
  private let signature: S3Signature?
  /// `https://host/bucket`, or `https://bucket.host`: where keys are appended.
  let url: String
  /// Whether something came from there. Then a 403 is how a server without permission to list says that a
  /// key is not there.
  let hasServed = Atomic(false)

  init(url: String, _ signature: S3Signature?) {
    self.url = url
    self.signature = signature
  }

  /// Adds to a request what its signature needs; libcurl makes the signature itself.
  func sign(_ request: inout HTTPRequest) {
    guard let signature else { return }
    request.signature = signature
    var digest = StreamDigest(.sha256)
    for piece in request.body { digest.update(piece.rawSpan) }
    request.headers.append("x-amz-content-sha256: \(digest.finish().hex)")
    if let token = signature.credentials.token { request.headers.append("x-amz-security-token: \(token)") }
  }

  /// What an error's page says, in words; `nil` when it says nothing that is known.
  static func reason(_ page: [UInt8]) -> String? {
    var scanner = XMLScanner(page)
    while let event = scanner.next() {
      guard case .text(name: "Code", let code) = event else { continue }
      switch code {
      case "InvalidAccessKeyId": return "it does not know the access key (\(code))"
      case "SignatureDoesNotMatch": return "the secret key does not fit the access key (\(code))"
      case "ExpiredToken", "InvalidToken": return "the session token is not valid (\(code))"
      case "RequestTimeTooSkewed": return "this machine's clock is wrong (\(code))"
      case "NoSuchBucket": return "there is no such bucket (\(code))"
      case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
        return "the bucket is in another region (\(code))"
      default:
        return code.count <= 64 && code.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) } ? code : nil
      }
    }
    return nil
  }
}

/// Where an `s3://` URL leads.
struct S3Address: Equatable {
  /// Scheme, host and port.
  let endpoint: String
  let bucket: String
  /// Encoded as in the URL, without slashes at its ends.
  let key: String
  /// Whether the bucket is part of the path, not of the host's name.
  let isPathStyle: Bool

  /// - Parameters:
  ///   - url: `s3://bucket/key`, `s3+http://host[:port]/bucket/key` or `s3+https://…`; the argument
  ///     `lookup=path` or `lookup=dns` says how the bucket is named, as desync has it.
  ///   - endpoint: where `s3://` leads; `nil` is AWS in `region`.
  /// - Returns: `nil` when there is no bucket in it.
  init?(_ url: String, endpoint: String?, region: String) {
    guard let slashes = url.firstRange(of: "://") else { return nil }
    let scheme = url[..<slashes.lowerBound]
    let rest = url[slashes.upperBound...]
    let end = rest.firstIndex { "?;".contains($0) } ?? rest.endIndex
    var parts = rest[..<end].split(separator: "/").map(String.init)
    let arguments = rest[end...].dropFirst().split(separator: "&")
    let isAWS = scheme == "s3" && endpoint == nil
    if scheme == "s3" {
      self.endpoint = Self.trimmed(endpoint ?? "https://s3.\(region).amazonaws.com")
    } else {
      guard !parts.isEmpty else { return nil }
      let host = parts.removeFirst()
      // A user's name has no meaning here, and would hide where the host begins.
      guard !host.contains("@") else { return nil }
      self.endpoint = "\(scheme.dropFirst(3))://\(host)"
    }
    guard !parts.isEmpty else { return nil }
    bucket = parts.removeFirst()
    key = parts.map(Self.encoded).joined(separator: "/")
    // A name with dots does not fit AWS's certificate.
    isPathStyle =
      arguments.contains("lookup=path")
      || !arguments.contains("lookup=dns") && (!isAWS || bucket.contains("."))
  }

  /// Where keys are appended.
  var bucketURL: String {
    guard !isPathStyle, let slashes = endpoint.firstRange(of: "://") else { return "\(endpoint)/\(bucket)" }
    return "\(endpoint[..<slashes.upperBound])\(bucket).\(endpoint[slashes.upperBound...])"
  }

  private static func trimmed(_ text: String) -> String {
    String(text.reversed().drop { $0 == "/" }.reversed())
  }

  /// What signatures want in a path or argument: everything encoded but letters, digits and `-._~`; what is
  /// encoded already stays.
  static func encoded(_ text: String) -> String {
    var result = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"), UInt8(ascii: "%"):
        result.unicodeScalars.append(UnicodeScalar(byte))
      default:
        result += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      }
    }
    return result
  }
}
