import CasyncFormat

/// Sums for the summary of a put.
struct PutTally {
  var size: UInt64 = 0
  var zeroChunks = 0
  var zeroBytes: UInt64 = 0
  var holeBytes: UInt64 = 0
  var newChunks = 0
  var newBytes: UInt64 = 0
  var storedBytes: UInt64 = 0

  mutating func add(_ chunk: StoredChunk) {
    size += UInt64(chunk.length)
    if chunk.isZero {
      zeroChunks += 1
      zeroBytes += UInt64(chunk.length)
    }
    if let stored = chunk.storedBytes {
      newChunks += 1
      newBytes += UInt64(chunk.length)
      storedBytes += UInt64(stored)
    }
  }

  func summary(
    _ indexDigest: ChunkID, _ imageDigest: ChunkID?, chunks: Int, _ duration: Duration
  ) -> PutSummary {
    PutSummary(
      indexDigest: indexDigest, imageDigest: imageDigest, size: size, chunks: chunks, zeroChunks: zeroChunks,
      zeroBytes: zeroBytes, holeBytes: holeBytes, newChunks: newChunks, newBytes: newBytes,
      storedBytes: storedBytes, duration: duration)
  }
}
