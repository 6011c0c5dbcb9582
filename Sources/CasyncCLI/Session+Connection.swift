internal import Casync
internal import CasyncIO
internal import CasyncStore

// How remote stores and indexes are reached, and what is kept of them.

extension Session {
  /// What the options say, what the configuration says for each place, and the environment.
  func connection() throws -> ConnectionSettings {
    var settings = ConnectionSettings()
    settings.headers = arguments.values(.header)
    guard settings.headers.allSatisfy(Self.isHeader) else {
      throw UsageError(
        "--header takes a line NAME: VALUE", hint: "as in --header='Authorization: Bearer TOKEN'")
    }
    settings.certificateAuthorities = try file(.caCertificates)
    settings.certificate = try file(.certificate)
    settings.certificateKey = try file(.certificateKey)
    settings.rateLimit = arguments.value(.rateLimit).flatMap(Quantity.size)
    for name in ConnectionSettings.variableNames { settings.variables[name] = environment[name] }
    settings.loginName = environment["USER"] ?? environment["LOGNAME"]
    settings.sshProgram = environment["CASYNC_SSH_PATH"] ?? settings.sshProgram
    settings.remoteProgram = environment["CASYNC_REMOTE_PATH"] ?? settings.remoteProgram
    let temporary = ["TMPDIR", "TEMP", "TMP"].compactMap { environment[$0] }
    settings.temporaryDirectory = temporary.first { $0.hasPrefix("/") } ?? settings.temporaryDirectory
    settings.sites = try Configuration(environment).sites
    return settings
  }

  /// A file that an option names; libcurl's own message would not say what is wrong with it.
  private func file(_ option: Option.Name) throws -> String? {
    guard let path = arguments.value(option) else { return nil }
    _ = try File.open(path)
    return path
  }

  static func isHeader(_ line: String) -> Bool {
    guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else { return false }
    return line.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 }
      && line[..<colon].allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0)) }
  }

  /// The cache and its bound: of the options, else of the configuration.
  func cache() throws -> (path: String, limit: UInt64?)? {
    let configuration = try Configuration(environment)
    guard let name = arguments.value(.cache) ?? configuration.cache else { return nil }
    let limit = arguments.value(.cacheSize).flatMap(Quantity.size) ?? configuration.cacheSize
    return (try Self.directoryPath(name), limit)
  }

  /// `casync copy INDEX... --to=STORE`.
  func copy() throws -> Int32 {
    guard let destination = arguments.value(.to) else {
      throw UsageError("copy takes a store to copy to", hint: "write casync copy INDEX --to=STORE")
    }
    let items = try arguments.operands.map { operand in
      CopyRequest.Item(
        index: try Locator(operand).location("index"), stores: try stores(beside: operand),
        target: try copyTarget(of: operand, beside: destination))
    }
    var request = CopyRequest(items, to: try Self.storeLocation(destination))
    request.connection = try connection()
    request.workers = arguments.count(.workers)
    return try job(resume: "what was copied is kept; the same command goes on from there", request.run) {
      summary in
      if isJSON { try print(summary.json) } else { console.info(summary.text) }
      return 0
    }
  }

  /// Where the copy of an index goes; `nil` for nowhere.
  private func copyTarget(of index: String, beside store: String) throws -> String? {
    let name = Locator(index).name
    switch arguments.value(.toIndex) {
    case "none": return nil
    case let directory?:
      return try Locator(directory.hasSuffix("/") ? directory : directory + "/").beside(name, "index")
    case nil: return try Locator(store).beside(name, "index")
    }
  }
}
