package import CasyncFormat
package import CasyncIO

/// A store on another host, read by casync there.
package final class SSHStore: ChunkStore {
  package let name: String
  package let isRemote = true
  package let forms = [ChunkForm.compressed]
  private let client: SSHClient

  init(name: String, _ client: SSHClient) {
    self.name = name
    self.client = client
  }

  /// The most bytes that a chunk of `length` bytes takes compressed: what does not compress grows by less
  /// than a 64th.
  private static func cost(_ length: Int) -> Int { length + length / 64 + 4096 }

  package func request(_ id: ChunkID, length: Int, onMiss: (@Sendable () -> Void)?) -> ChunkRequest? {
    ChunkRequest(.ssh(client.start(.chunk(id), cost: Self.cost(length), onMiss: onMiss)), of: name)
  }

  package func load(
    _ id: ChunkID, _ form: ChunkForm, into buffer: Buffer, _ range: Range<Int>, using loader: ChunkLoader,
    _ request: ChunkRequest?
  ) throws -> ChunkLoad {
    guard form == .compressed else { return .missing }
    let request = request ?? self.request(id, length: range.count, onMiss: nil)
    guard case .ssh(let ticket)? = request?.ticket else { return .missing }
    switch ticket.wait() {
    case .chunk(let bytes, isCompressed: true):
      return loader.load(bytes.rawSpan, of: name, into: buffer, range)
    case .chunk(let bytes, isCompressed: false):
      guard bytes.count == range.count else {
        return .bad("\(name): \(bytes.count) bytes came instead of \(range.count)")
      }
      buffer.copy(bytes.rawSpan, to: range.lowerBound)
      return .loaded(storedBytes: bytes.count)
    case .missing, .file: return .missing
    case .failed(let code, let reason, let hint): throw StoreError(code, name, reason, hint: hint)
    case .cancelled: throw CancellationError()
    }
  }

  /// The protocol has no question for what a chunk would cost.
  /// - Throws: `StoreError` (unsupported).
  package func storedSizes(of ids: [ChunkID]) throws -> [UInt64?] {
    throw StoreError(
      .unsupported, name, "sizes of chunks cannot be asked for by SSH",
      hint: "leave --store out: then chunks and bytes are counted uncompressed")
  }
}
