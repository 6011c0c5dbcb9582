internal import Casync
internal import CasyncIO

/// `casync pull` and `casync push`: the ends that a client starts on another host, by SSH, and talks with
/// over our standard input and output.
extension Session {
  /// `casync pull - ARCHIVE INDEX STORE [EXTRA_STORE...]`.
  func pull() throws -> Int32 {
    let paths = try servicePaths()
    let stores = ([paths[2]] + paths[3...]).compactMap { $0 }
    guard paths[0] != nil || paths[1] != nil || !stores.isEmpty else { throw UsageError("Nothing to do.") }
    let service = PullService(archive: paths[0], index: paths[1], stores: stores)
    return try runService { try service.run($0, warn: console.warning) }
  }

  /// `casync push - ARCHIVE INDEX STORE [EXTRA_STORE...]`.
  func push() throws -> Int32 {
    let paths = try servicePaths()
    guard paths.contains(where: { $0 != nil }) else { throw UsageError("Nothing to do.") }
    let service = PushService(
      archive: paths[0], index: paths[1], store: paths[2], extraStores: paths[3...].compactMap { $0 })
    return try runService(service.run)
  }

  /// The operands after BASE: paths here, whatever they look like; `nil` for those that are not used.
  private func servicePaths() throws -> [String?] {
    guard ["-", ""].contains(arguments.operands[0]) else {
      throw UsageError("Base operation not yet supported.")
    }
    return arguments.operands.dropFirst().map { ["-", ""].contains($0) ? nil : $0 }
  }

  private func runService(_ body: (Cancellation) throws -> Void) throws -> Int32 {
    let cancellation = Cancellation()
    let watch = Watch(cancellation, every: .seconds(3600)) {}
    let result = Result { try body(cancellation) }
    _ = watch.stop()
    do {
      try result.get()
    } catch is CancellationError {
      console.report(UsageError("Got exit signal, quitting."))
      return 1
    }
    return 0
  }
}
