internal import CasyncFormat

/// Why a connection by SSH ended, in words for the user, and whether another may do better.
struct SSHVerdict {
  let code: StoreError.Code
  let reason: String
  let hint: String?
  let isTransient: Bool

  init(_ code: StoreError.Code, _ reason: String, hint: String? = nil, isTransient: Bool = false) {
    self.code = code
    self.reason = reason
    self.hint = hint
    self.isTransient = isTransient
  }

  /// Of something that may not come.
  init(_ error: ProtocolError) {
    switch error.code {
    // ENOENT, and ENOMEDIUM, which casync's own programs say instead.
    case .aborted(number: RemoteMessage.notFoundNumber, let text), .aborted(number: 123, let text):
      self.init(.notFound, text.isEmpty ? "not there" : text)
    case .aborted: self.init(.unreachable, "\(error)")
    case .otherLanguage:
      self.init(
        .unreachable, "\(error)",
        hint: "a start-up file of the shell there that prints something does this, too")
    default: self.init(.unreachable, "\(error)")
    }
  }

  /// Of a program that ended.
  /// - Parameters:
  ///   - said: what it said on standard error.
  ///   - hasAnswered: whether casync there had said HELLO.
  init(status: Int32, said: String, hasAnswered: Bool, _ target: SSHTarget) {
    let host = target.address.destination
    let last = Self.lastLine(of: said)
    if status == 255 || status == 0 {
      // ssh itself failed, or was ended.
      if hasAnswered {
        self.init(.unreachable, "the connection was cut\(last.map { " (\($0))" } ?? "")", isTransient: true)
      } else if said.contains("Host key verification failed")
        || said.contains("HOST IDENTIFICATION HAS CHANGED")
      {
        let isKnown = said.contains("HOST IDENTIFICATION HAS CHANGED")
        self.init(
          .denied,
          isKnown
            ? "the host key of \(host) is not the one that is known" : "the host key of \(host) is not known",
          hint: isKnown
            ? "somebody else may answer in its place; if its key was changed on purpose: ssh-keygen -R HOST"
            : "ssh to it once by hand, and compare the key")
      } else if said.contains("Permission denied (") {
        self.init(.denied, "\(host) does not let us in", hint: last)
      } else {
        self.init(
          .unreachable, "no connection to \(host): \(last ?? "it ended without an answer")", isTransient: true
        )
      }
    } else if status > 127 {
      let end = "casync on \(host) was ended (signal \(status - 128))"
      self.init(.unreachable, last.map { "\(end): \($0)" } ?? end, isTransient: true)
    } else if status == 127 || status == 126 {
      self.init(
        .unreachable, "there is no \(target.programs.remote) on \(host)\(last.map { " (\($0))" } ?? "")",
        hint: "CASYNC_REMOTE_PATH says where it is there")
    } else {
      let isMissing = said.contains("No such file or directory")
      self.init(
        isMissing ? .notFound : .unreachable, "casync on \(host) failed: \(last ?? "status \(status)")")
    }
  }

  /// The last line that says something, without control characters.
  private static func lastLine(of text: String) -> String? {
    let lines = text.split(whereSeparator: \.isNewline).map { line in
      String(String.UnicodeScalarView(line.unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }))
    }
    return lines.last { $0.contains { !$0.isWhitespace } }.map { String($0.prefix(200)) }
  }
}
