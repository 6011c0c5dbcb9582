internal import Casync
internal import CasyncFormat

// What people see at the end: tables and lines, without the last newline where `Console.info` adds one.

extension PutSummary {
  var table: String {
    var table = Table(["", "bytes", "share", "chunks"])
    table.addShare("known", size - min(size, newBytes), of: size, chunks: chunks - min(chunks, newChunks))
    table.addShare("new", newBytes, of: size, chunks: newChunks)
    table.add(["image", Quantity.bytes(size), "", "\(chunks)"])
    let amounts = [("stored", storedBytes), ("zeros", zeroBytes), ("holes not read", holeBytes)]
    return """
      \(table.text)
      \(amounts.map { "\($0) \(Quantity.bytes($1))" }.joined(separator: ", "))
      \(Quantity.duration(duration)), \(Quantity.rate(size, in: duration))
      """
  }
}

extension GetSummary {
  var table: String {
    var table = Table(["source", "bytes", "share", "chunks"])
    for source in Source.allCases {
      table.addShare(source.name, share(of: source).bytes, of: size, chunks: share(of: source).chunks)
    }
    table.add(["image", Quantity.bytes(size), "", "\(chunks)"])
    var amounts = [
      ("written", writtenBytes), ("zeroed", zeroedBytes), ("skipped", skippedBytes), ("cloned", clonedBytes),
      ("fetched", fetchedBytes), ("read back", verifiedBytes),
    ]
    if receivedBytes > 0 { amounts.insert(("received", receivedBytes), at: 5) }
    return """
      \(table.text)
      \(amounts.map { "\($0) \(Quantity.bytes($1))" }.joined(separator: ", "))
      \(Quantity.duration(duration)), \(Quantity.rate(size, in: duration))
      """
  }
}

extension CopySummary {
  var text: String {
    let there = chunks - min(chunks, copiedChunks)
    return """
      \(copiedChunks) chunks copied, \(Quantity.bytes(copiedBytes)), \(there) were there, \(indexes) indexes
      \(Quantity.duration(duration)), \(Quantity.rate(copiedBytes, in: duration))
      """
  }
}

extension Table {
  /// A row for what came from one source; none when nothing did.
  fileprivate mutating func addShare(_ name: String, _ bytes: UInt64, of size: UInt64, chunks: Int) {
    guard bytes > 0 || chunks > 0 else { return }
    add([name, Quantity.bytes(bytes), Quantity.percent(bytes, of: size), "\(chunks)"])
  }
}

extension VerifySummary {
  /// A line for each stretch that differs.
  var lines: String {
    differences.map(\.range).map { "\($0.lowerBound)-\($0.upperBound)  \($0.length) bytes differ\n" }.joined()
  }
}

extension VerifySummary {
  var conclusion: String {
    guard !isIdentical else { return "\(Quantity.bytes(size)), nothing differs" }
    let bytes = differences.reduce(0) { $0 + $1.range.length }
    return "\(Quantity.bytes(bytes)) of \(Quantity.bytes(size)) differ, \(differences.count) ranges"
  }
}

extension DiffSummary {
  var table: String {
    var table = Table(["", "kept", "chunks", "added", "chunks", "dropped", "chunks", "download"])
    for part in parts {
      var row = [part.name]
      for share in [part.kept, part.added, part.dropped] {
        row += [Quantity.bytes(share.bytes), "\(share.chunks)"]
      }
      table.add(row + [part.download.map(Quantity.bytes) ?? "-"])
    }
    let missing = parts.first?.missing ?? 0
    return missing == 0 ? table.text : table.text + "\n\(missing) added chunks are not in the store"
  }
}

extension IndexSummary {
  var lines: String {
    let sizes = index.sizes
    return """
      size          \(index.size) bytes (\(Quantity.bytes(index.size)))
      chunks        \(index.count), \(distinctChunks) of them distinct
      zeros         \(zeroBytes) bytes
      chunker       \(index.chunker.name)
      chunk sizes   \(sizes.min) : \(sizes.average) : \(sizes.max)
      digest        \(index.digest.rawValue)
      flags         \(index.flags.hex)

      """
  }
}

extension CheckSummary {
  /// A line for each bad file.
  var lines: String {
    bad.map { bad in
      "\(bad.path): \(bad.reason)" + (bad.movedTo.map { ", moved to \($0)" } ?? "") + "\n"
    }.joined()
  }
}

extension ReadSummary {
  /// What a server did, in one line.
  var line: String {
    let amounts = [
      "\(reads) reads of \(Quantity.bytes(readBytes))",
      writes > 0 ? "\(writes) writes of \(Quantity.bytes(writtenBytes))" : nil,
      failures > 0 ? "\(failures) failed" : nil,
      "fetched \(Quantity.bytes(loadedBytes)) as \(Quantity.bytes(fetchedBytes)) in \(fetchedChunks) chunks",
      "reads waited for \(Quantity.duration(stall)) of \(Quantity.duration(duration))",
    ]
    return amounts.compactMap { $0 }.joined(separator: ", ")
  }
}
