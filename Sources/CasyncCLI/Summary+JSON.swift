internal import Casync
internal import CasyncFormat

// What `--json` prints. The keys are a promise: the manual lists them. All sizes are bytes.

extension PutSummary {
  var json: JSON {
    .object([
      "indexDigest": .string(indexDigest.hex),
      "digest": .optional(imageDigest) { .string($0.hex) },
      "size": .integer(size),
      "chunks": .count(chunks),
      "zeroChunks": .count(zeroChunks),
      "zeroBytes": .integer(zeroBytes),
      "holeBytes": .integer(holeBytes),
      "newChunks": .count(newChunks),
      "newBytes": .integer(newBytes),
      "storedBytes": .integer(storedBytes),
      "seconds": .seconds(duration),
    ])
  }
}

extension GetSummary {
  var json: JSON {
    .object([
      "size": .integer(size),
      "chunks": .count(chunks),
      "sources": .array(
        Source.allCases.map { source in
          let share = share(of: source)
          return .object([
            "source": .string(source.key), "bytes": .integer(share.bytes), "chunks": .count(share.chunks),
          ])
        }),
      "writtenBytes": .integer(writtenBytes),
      "zeroedBytes": .integer(zeroedBytes),
      "skippedBytes": .integer(skippedBytes),
      "fetchedBytes": .integer(fetchedBytes),
      "receivedBytes": .integer(receivedBytes),
      "clonedBytes": .integer(clonedBytes),
      "verifiedBytes": .integer(verifiedBytes),
      "warnings": .array(warnings.map(JSON.string)),
      "seconds": .seconds(duration),
    ])
  }

}

extension CopySummary {
  var json: JSON {
    .object([
      "indexes": .count(indexes),
      "chunks": .count(chunks),
      "copiedChunks": .count(copiedChunks),
      "copiedBytes": .integer(copiedBytes),
      "receivedBytes": .integer(receivedBytes),
      "seconds": .seconds(duration),
    ])
  }
}

extension GetSummary.Share {
  fileprivate var json: JSON { .object(["bytes": .integer(bytes), "chunks": .count(chunks)]) }
}

extension VerifySummary {
  var json: JSON {
    .object([
      "identical": .bool(isIdentical),
      "size": .integer(size),
      "differences": .array(
        differences.map { difference in
          .object([
            "offset": .integer(difference.range.lowerBound), "length": .integer(difference.range.length),
          ])
        }),
    ])
  }
}

extension DiffSummary {
  var json: JSON {
    let parts = parts.map { part in
      JSON.object([
        "name": .string(part.name),
        "kept": part.kept.json,
        "added": part.added.json,
        "dropped": part.dropped.json,
        "downloadBytes": .optional(part.download, JSON.integer),
        "missingChunks": .count(part.missing),
      ])
    }
    return .object(["parts": .array(parts)])
  }
}

extension IndexSummary {
  var json: JSON {
    let sizes = index.sizes
    return .object([
      "size": .integer(index.size),
      "chunks": .count(index.count),
      "distinctChunks": .count(distinctChunks),
      "zeroBytes": .integer(zeroBytes),
      "chunker": .string(index.chunker.name),
      "chunkSizeMin": .count(sizes.min),
      "chunkSizeAverage": .count(sizes.average),
      "chunkSizeMax": .count(sizes.max),
      "digest": .string(index.digest.rawValue),
      "featureFlags": .string(index.flags.hex),
    ])
  }
}

extension CollectionSummary {
  func json(dryRun: Bool) -> JSON {
    .object([
      "dryRun": .bool(dryRun),
      "references": .count(references),
      "usedChunks": .count(usedChunks),
      "removed": .array(removed.map(JSON.string)),
      "removedBytes": .integer(removedBytes),
      "removedDirectories": .count(removedDirectories),
      "remaining": .count(remaining),
      "spared": .count(spared),
      "warnings": .array(warnings.map(JSON.string)),
    ])
  }
}

extension CheckSummary {
  var json: JSON {
    .object([
      "chunks": .count(chunks),
      "bytes": .integer(bytes),
      "bad": .array(
        bad.map { bad in
          .object([
            "path": .string(bad.path), "reason": .string(bad.reason),
            "movedTo": .optional(bad.movedTo, JSON.string),
          ])
        }),
    ])
  }
}

// MARK: - Words that text and JSON share

extension Range<UInt64> {
  var length: UInt64 { upperBound - lowerBound }
}

extension Chunker {
  var name: String {
    switch self {
    case .buzhash: "buzhash"
    case .image: "image"
    }
  }
}

extension FeatureFlags {
  var hex: String {
    let digits = String(rawValue, radix: 16)
    return "0x" + String(repeating: "0", count: 16 - digits.count) + digits
  }
}

extension ReadSummary {
  var json: JSON {
    .object([
      "reads": .count(reads),
      "readBytes": .integer(readBytes),
      "writes": .count(writes),
      "writtenBytes": .integer(writtenBytes),
      "failures": .count(failures),
      "fetchedChunks": .count(fetchedChunks),
      "loadedBytes": .integer(loadedBytes),
      "fetchedBytes": .integer(fetchedBytes),
      "stallSeconds": .seconds(stall),
      "seconds": .seconds(duration),
    ])
  }
}
