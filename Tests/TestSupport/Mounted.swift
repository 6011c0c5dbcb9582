import Foundation

/// The program under test while it has something mounted.
package final class Mounted {
  package let program: Running

  /// Starts the program and waits until it says that it is ready.
  /// - Parameter points: where it mounts: taken away at the end of `scratch` if the test ends too early.
  package init(_ arguments: [String], at points: [String], _ scratch: Scratch) throws {
    // A name of its own, short enough for a socket.
    let socket = try NotifySocket(scratch("s\(UInt16.random(in: .min ... .max))"))
    program = try Running(casync: arguments, environment: ["NOTIFY_SOCKET": socket.path])
    for point in points { scratch.atEnd { _ = try Command.run("umount", ["--lazy", point]) } }
    var messages = [String]()
    let isReady = program.wait {
      messages += socket.takeMessages()
      return messages.contains("READY=1")
    }
    guard isReady else { throw Tool.Failure("\(arguments): \(program.errorsSoFar)") }
  }

  /// Tells it to end, and waits for that.
  package func end(_ signal: Int32 = SIGTERM) throws -> Command {
    program.send(signal)
    return try program.wait()
  }
}
