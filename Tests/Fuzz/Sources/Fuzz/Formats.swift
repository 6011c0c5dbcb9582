internal import CasyncArchive
internal import CasyncChunking
internal import CasyncFormat

/// A `.caibx` or `.caidx`, and all that is asked of one.
func fuzzIndex(_ bytes: [UInt8]) {
  guard let index = try? Index(decoding: bytes.rawSpan) else { return }
  var end: UInt64 = 0
  for position in 0..<index.count {
    let range = index.range(of: position)
    require(range.lowerBound == end && !range.isEmpty && index.length(of: position) > 0)
    require(index.position(of: range.lowerBound) == position)
    _ = index.id(of: position)
    end = range.upperBound
  }
  require(index.size == end && index.position(of: end) == index.count)
}

/// A `.catar` from front to back, in pieces whose length the first byte says.
func fuzzCatar(_ bytes: [UInt8]) {
  guard let first = bytes.first else { return }
  let rest = bytes.dropFirst()
  let step = first == 0 ? rest.count : Int(first)
  var reader = ArchiveReader()
  var start = rest.startIndex
  var depth = 0
  while start < rest.endIndex {
    let piece = Array(rest[start..<min(start + step, rest.endIndex)])
    start += piece.count
    do {
      try reader.push(piece.rawSpan) { event, _, _ in
        switch event {
        case .node: depth += 1
        case .end: depth -= 1
        default: break
        }
        require(depth >= 0 && depth <= 65)
      }
    } catch {
      return
    }
  }
  if (try? reader.finish()) != nil { require(depth == 0) }
}

/// A compressed chunk, decompressed to a size that is known, the first two bytes, and to one that is not.
func fuzzChunk(_ bytes: [UInt8]) {
  guard bytes.count > 2 else { return }
  let chunk = Array(bytes.dropFirst(2))
  let decompressor = Decompressor()
  let size = Int(bytes[0]) | Int(bytes[1]) << 8
  var known = [UInt8](repeating: 0, count: size)
  var span = known.mutableSpan
  // SAFETY: any bytes are UInt8s.
  var output = unsafe span.mutableBytes
  let isRead = (try? decompressor.decompress(chunk.rawSpan, into: &output)) != nil
  let unknown = try? decompressor.decompress(chunk.rawSpan, limit: 1 << 20)
  // Both ways give the same, where the size is right.
  if isRead { require(unknown.map { $0 == known } ?? true) }
}

func require(_ condition: Bool, line: UInt = #line) {
  guard condition else { fatalError("line \(line): what always holds does not") }
}
