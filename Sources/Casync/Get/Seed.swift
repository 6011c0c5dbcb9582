import CasyncFormat
import CasyncIO
import Synchronization

/// A device or file whose content may serve as a source. Opened read-only; what is read from it is hashed
/// before use.
final class Seed: Sendable {
  /// Its place in the request, 0 first.
  let number: Int
  let path: String
  /// What it holds, where somebody knows; the target's digest names its chunks.
  let index: Index?
  let file: File
  let size: UInt64
  let isDevice: Bool
  private let failure = Mutex<String?>(nil)

  init(_ path: String, number: Int, index: Index?) throws {
    self.number = number
    self.path = path
    self.index = index
    file = try File.open(path, .nonBlocking)
    let status = try file.status()
    guard status.kind == .regular || status.kind == .blockDevice else {
      throw JobError(.badRequest, "the seed \(path) is no file or block device")
    }
    isDevice = status.kind == .blockDevice
    size = isDevice ? try file.deviceSize() : status.size
  }

  /// Fills `range` of `buffer` from `offset`.
  /// - Returns: whether it could; a seed that cannot be read costs a fetch, not the job.
  func read(at offset: UInt64, into buffer: Buffer, _ range: Range<Int>) -> Bool {
    do {
      return try file.read(at: offset, into: buffer, range) == range.count
    } catch {
      failure.withLock { $0 = $0 ?? "\(error)" }
      return false
    }
  }

  /// The first error of a read, if there was one.
  var firstFailure: String? { failure.withLock { $0 } }
}
