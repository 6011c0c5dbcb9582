internal import Casync
internal import Synchronization

/// Shows the progress of one job: on standard error in the style asked for, and to the service manager.
final class Display: Sendable {
  private let progress: Progress
  private let verb: Verb
  private let writer: ProgressStyle.Writer
  private let notifier: Notifier?
  private let start = ContinuousClock.now
  private let state = Mutex((meter: Meter(), notified: Duration.seconds(-1), shown: false))

  init(_ progress: Progress, of arguments: Arguments, environment: Environment) {
    self.progress = progress
    verb = arguments.verb
    let style = arguments.value(.progress).flatMap(ProgressStyle.init) ?? .auto
    writer = style.writer(width: Console.width, environment: environment)
    notifier = environment["NOTIFY_SOCKET"] == nil ? nil : Notifier(environment)
  }

  /// How often `update` has something to do.
  var interval: Duration { writer.interval }

  /// Shows how far the job is now.
  func update() { show(state.withLock { $0.meter.read(progress, at: start.duration(to: .now)) }) }

  /// Shows the end of the job, or takes away what was shown.
  func end(finished: Bool) {
    if finished, writer == .desync {
      Console.write(
        writer.text(Snapshot(phase: .working, done: 1, total: 1, elapsed: start.duration(to: .now)), of: verb)
      )
    } else if state.withLock({ $0.shown }) {
      Console.write(writer.end)
    }
  }

  private func show(_ snapshot: Snapshot) {
    let text = writer.text(snapshot, of: verb)
    if !text.isEmpty {
      Console.write(text)
      state.withLock { $0.shown = true }
    }
    guard let notifier else { return }
    let isDue = state.withLock { state in
      guard snapshot.elapsed - state.notified >= .seconds(1) else { return false }
      state.notified = snapshot.elapsed
      return true
    }
    if isDue { notifier.status(ProgressStyle.Writer.line(snapshot)) }
  }
}
