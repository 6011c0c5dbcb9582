/// Who asks an S3 server; libcurl signs with it (AWS signature version 4).
struct S3Signature: Sendable {
  let credentials: S3Credentials
  let region: String
}

/// An access key. It appears in no message.
struct S3Credentials: Hashable, Sendable {
  let key: String
  let secret: String
  /// Of temporary credentials.
  var token: String?
}
