internal import CasyncIO
internal import CasyncMount

extension Session {
  /// `casync serve DIR`: its stores and indexes over HTTP.
  func serve() throws -> Int32 {
    guard listensAnywhere else {
      throw UsageError("serve must be told where to listen", hint: "write --listen=ADDRESS:PORT")
    }
    let console = console
    let log: @Sendable (String) -> Void = { console.info($0) }
    let service = try HTTPService(
      arguments.operands[0], token: try writersToken(), log: isVerbose ? log : nil)
    let cancellation = Cancellation()
    let watch = Watch(cancellation, every: .seconds(3600)) {}
    defer { _ = watch.stop() }
    let listeners = try listeners()
    let server = try HTTPServer(service, listeners: listeners, tls: try identity())
    let scheme = arguments.has(.tlsCertificates) ? "https" : "http"
    for listener in listeners {
      switch listener.address {
      case .path(let path): try print("Listening: \(path)\n")
      case .tcp(let host, let port):
        try print("Listening: \(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)/\n")
      }
    }
    try sayReady()
    try server.run(cancellation)
    return 0
  }

  /// The certificates of `--tls-certs`, if there are.
  private func identity() throws -> TLSIdentity? {
    guard let directory = arguments.value(.tlsCertificates) else { return nil }
    return try TLSIdentity(directory: directory, verifiesClients: arguments.has(.tlsVerifyPeer))
  }

  /// What clients that write must show; `nil` when nobody may write. Never an argument, which everybody can
  /// see.
  private func writersToken() throws -> String? {
    guard arguments.has(.writable) else { return nil }
    let hint = "write it into a file for --token-file=FILE, or set CASYNC_TOKEN"
    guard let file = arguments.value(.tokenFile) else {
      guard let token = environment["CASYNC_TOKEN"] else {
        throw UsageError("serve --writable needs a token", hint: hint)
      }
      return token
    }
    let bytes = try File.open(file).readAll(limit: 4096)
    let token = String(decoding: bytes, as: UTF8.self).prefix { !$0.isNewline }
    guard !token.isEmpty else { throw UsageError("\(file): there is no token on the first line") }
    return String(token)
  }
}
