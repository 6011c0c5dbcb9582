internal import CLinux
internal import Glibc

/// Tells the service manager how we are (sd_notify(3)): datagrams to the socket that `NOTIFY_SOCKET` names, a
/// path or an abstract name after `@`. Nobody listens to most runs, and a lost message does no harm, so
/// errors do not matter.
struct Notifier: Sendable {
  private let name: String?

  init(_ environment: Environment) { name = environment["NOTIFY_SOCKET"] }

  /// - Parameter device: the device that is ready, if it is one.
  func ready(device: String? = nil) { send("READY=1" + (device.map { "\nDEVICE=\($0)\n" } ?? "")) }

  func status(_ text: String) { send("STATUS=\(text)") }

  private func send(_ message: String) {
    guard let name, name.hasPrefix("/") || name.hasPrefix("@") else { return }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(name.utf8)
    if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
    guard bytes.count < 108 else { return }
    // SAFETY: the name is shorter than the 108 bytes of the field (checked above), which stays zero behind
    // it.
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)

    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    let text = Array(message.utf8)
    // SAFETY: the address is a whole sockaddr_un, of which the first `length` bytes are meant.
    unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        _ = unsafe sendto(descriptor, text, text.count, Int32(MSG_NOSIGNAL), address, length)
      }
    }
  }
}
