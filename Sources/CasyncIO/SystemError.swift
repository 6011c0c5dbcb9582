internal import CLinux
internal import Glibc

/// A system call that failed, on what, and why.
public struct SystemError: Error, Sendable {
  /// What was tried, as in "cannot read": the verb alone.
  public let operation: String
  /// The file, device or address it was tried on.
  public let subject: String
  /// Where in it, in bytes.
  public let offset: UInt64?
  /// The `errno` of the call.
  public let number: Int32

  /// - Parameter number: the `errno` of the call, read on the line after it.
  package init(_ operation: String, _ subject: String, at offset: UInt64? = nil, errno number: Int32) {
    self.operation = operation
    self.subject = subject
    self.offset = offset
    self.number = number
  }

  /// The number of what is not there.
  package static let notFound = ENOENT

  /// No such file, or a component of its path that is none.
  public var isNotFound: Bool { number == ENOENT || number == ENOTDIR }
  /// The file system or device is full.
  public var isNoSpace: Bool { number == ENOSPC || number == EDQUOT }
  /// Nobody reads any more.
  package var isBrokenPipe: Bool { number == EPIPE }
  /// Somebody else uses the device.
  package var isBusy: Bool { number == EBUSY }
  /// The call makes no sense to it, such as of a device that is set up already.
  package var isInvalid: Bool { number == EINVAL }
  /// The kernel or file system does not offer the call.
  package var isUnsupported: Bool {
    number == EOPNOTSUPP || number == ENOTTY || number == ENOSYS || number == EINVAL
  }
}

extension SystemError: CustomStringConvertible {
  public var description: String {
    let place = offset.map { " at byte \($0)" } ?? ""
    return "cannot \(operation) \(subject)\(place): \(reason)"
  }

  /// The system's words for `number`.
  package var reason: String {
    // SAFETY: strerror returns a string of the C library that lives at least until the next call on this
    // thread.
    unsafe String(cString: strerror(number))
  }
}

/// Runs a system call until it is not interrupted by a signal.
/// - Returns: what the call returned; when that is negative, with its `errno`.
@inline(__always)
func retrying<Result: SignedInteger>(_ call: () -> Result) -> (result: Result, number: Int32) {
  while true {
    let result = call()
    let number = errno
    if result >= 0 { return (result, 0) }
    if number != EINTR { return (result, number) }
  }
}
