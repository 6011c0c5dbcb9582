import Foundation
import TestSupport
import Testing

extension SystemTests {
  @Suite("watched while it works,")
  struct SystemProgressTests {
    let scratch: Scratch
    let images: Published

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
    }

    @Test("tells systemd that make and extract are ready")
    func ready() throws {
      let socket = try NotifySocket(scratch("notify"))
      for words in [
        ["make", scratch("i.caibx"), images.newSlice], ["extract", scratch("i.caibx"), scratch("copy")],
      ] {
        try Command.casync(words, environment: ["NOTIFY_SOCKET": socket.path]).succeeds()
        #expect(socket.takeMessages().contains("READY=1"))
      }
    }

    @Test("tells systemd how far it is while its input is slow")
    func status() throws {
      let socket = try NotifySocket(scratch("notify"))
      try Tool.run("mkfifo", scratch("pipe"))
      // Half of the image comes at once, the rest when it is let go.
      let script =
        "exec >'\(scratch("pipe"))'; cat '\(images.oldSlice)'; kill -STOP $$; cat '\(images.newSlice)'"
      let writer = try Running("bash", ["-c", script])
      let put = try Running(
        "bash",
        ["-c", "exec '\(Command.binary)' put '\(scratch("i.caibx"))' - <'\(scratch("pipe"))'"],
        environment: ["NOTIFY_SOCKET": socket.path])
      var messages = [String]()
      #expect(
        put.wait {
          messages += socket.takeMessages()
          return messages.contains { $0.hasPrefix("STATUS=working") }
        }, "\(messages)")
      #expect(writer.waitUntilStopped())
      writer.send(SIGCONT)
      try put.wait().succeeds()
    }

    @Test("prints nothing but its result on a pipe, and lines where they are asked for")
    func lines() throws {
      let get = ["get", "--store=\(images.store)", images.newIndex]
      let silent = try Command.casync(get + [scratch("a")]).succeeds()
      #expect(silent.output == "" && !silent.errors.contains("working") && !silent.errors.contains("\r"))
      let lines = try Command.casync(get + ["--progress=json", "--json", scratch("b")]).succeeds()
      let objects = try lines.errors.split(separator: "\n").map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
      #expect(objects.allSatisfy { $0["phase"] is String && $0["sources"] is [Any] })
    }
  }
}
