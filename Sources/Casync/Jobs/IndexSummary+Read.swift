import CasyncFormat
public import CasyncStore

extension IndexSummary {
  /// Reads an index and counts what it names. Blocks.
  /// - Parameter path: of the index, or its HTTP(S) URL; `-` is standard input.
  public init(path: String, connection: ConnectionSettings = ConnectionSettings()) throws {
    let index = try IndexFile.read(path, Stores(connection))
    let zeros = ZeroChunks(of: index)
    var repeated = 0
    _ = ChunkTable(index) { _, _ in repeated += 1 }
    var zeroBytes: UInt64 = 0
    for position in 0..<index.count
    where zeros.contains(index.id(of: position), length: index.length(of: position)) {
      zeroBytes += UInt64(index.length(of: position))
    }
    self.init(index: index, distinctChunks: index.count - repeated, zeroBytes: zeroBytes)
  }
}
