import Foundation

/// A socket as systemd gives it to services in `NOTIFY_SOCKET`.
package final class NotifySocket {
  package let path: String
  private let descriptor: Int32

  /// Binds a datagram socket at `path`, which fits a socket address.
  package init(_ path: String) throws {
    self.path = path
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard descriptor >= 0, bytes.count < 108 else { throw Tool.Failure("no socket for \(path)") }
    // SAFETY: the name is shorter than the 108 bytes of the field; the address lives through the call.
    let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe withUnsafeMutableBytes(of: &pointer.pointee.sun_path) { unsafe $0.copyBytes(from: bytes) }
      return unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0 else { throw Tool.Failure("cannot bind \(path): errno \(errno)") }
  }

  deinit { close(descriptor) }

  /// The messages that have come since they were last taken.
  package func takeMessages() -> [String] {
    var messages = [String]()
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      // SAFETY: the call writes at most as many bytes as it is told.
      let count = unsafe recv(descriptor, &bytes, bytes.count, 0)
      guard count >= 0 else { return messages }
      messages.append(String(decoding: bytes[..<count], as: UTF8.self))
    }
  }
}
