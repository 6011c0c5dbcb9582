import CasyncChunking
public import CasyncFormat
import CasyncIO
import CasyncStore
import Synchronization

extension DigestRequest {
  /// The digest of the input from its first byte to its last. Blocks.
  /// - Throws: `JobError`, `SystemError`, `StoreError`.
  public func run(_ progress: Progress) throws -> ChunkID {
    isIndex ? try digestIndex(progress) : try digestFile(progress)
  }

  private func digestFile(_ progress: Progress) throws -> ChunkID {
    // A device is digested as far as its file system goes, as casync does.
    let isDevice = try input != "-" && File.status(input)?.kind == .blockDevice
    let source = try ImageInput(input, extent: isDevice ? .fileSystem : .whole, progress.cancellation)
    progress.begin(.working, total: source.size ?? 0)
    var digest = StreamDigest(digest)
    let buffer = Buffer(count: 1 << 20)
    var offset: UInt64 = 0
    while true {
      try progress.cancellation.check()
      let count = try source.read(at: offset, into: buffer, 0..<buffer.count)
      digest.update(buffer.bytes.extracting(0..<count))
      offset += UInt64(count)
      progress.advance(count)
      if count < buffer.count { return digest.finish() }
    }
  }

  /// The image of an index, assembled as onto standard output, but digested. SHA-512/256 whatever names the
  /// chunks, as casync prints it.
  private func digestIndex(_ progress: Progress) throws -> ChunkID {
    let opener = Stores(connection, progress.cancellation, stores: stores)
    let index = try IndexFile.read(input, opener)
    let digest = Mutex(StreamDigest(.sha512_256))
    guard index.count > 0 else { return digest.withLock { $0.copy() }.finish() }
    let fetcher = try ChunkFetcher(stores: stores, cache: nil, opener)
    try Assembler.stream(index, fetcher, to: "the digest", progress) { window, range in
      let buffer = window.buffer
      digest.withLock { $0.update(buffer.bytes.extracting(range)) }
    }
    return digest.withLock { $0.copy() }.finish()
  }
}
