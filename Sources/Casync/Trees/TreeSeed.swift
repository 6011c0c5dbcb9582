import CasyncArchive
import CasyncFormat
import CasyncIO
import Synchronization

/// A directory tree as a source of chunks: the archive that it would make, of which only the metadata is kept
/// in memory. What stands in files is read from them again when it is wanted.
final class TreeSeed: Sendable {
  /// Where the bytes of the archive are: pieces in the order of the archive, each up to the next.
  private struct Map {
    enum Place {
      /// In `metadata`, from this byte on.
      case metadata(Int)
      /// In the file of this number, from its start.
      case file(Int)
    }

    var pieces: [(start: UInt64, place: Place)] = []
    var end: UInt64 = 0
    var metadata: [UInt8] = []
    var paths: [[UInt8]] = []

    mutating func add(_ bytes: RawSpan) {
      if case .metadata = pieces.last?.place {
        // It goes on.
      } else {
        pieces.append((end, .metadata(metadata.count)))
      }
      unsafe bytes.withUnsafeBytes { unsafe metadata.append(contentsOf: $0) }
      end += UInt64(bytes.byteCount)
    }

    mutating func add(_ file: ArchivedFile) {
      pieces.append((end, .file(paths.count)))
      paths.append(file.path)
      end = file.content.upperBound
    }

    /// The piece that holds a byte of the archive.
    func piece(at offset: UInt64) -> (place: Place, range: Range<UInt64>)? {
      guard offset < end, var low = pieces.isEmpty ? nil : 0 else { return nil }
      var high = pieces.count
      while high - low > 1 {
        let middle = (low + high) / 2
        if pieces[middle].start <= offset { low = middle } else { high = middle }
      }
      return (pieces[low].place, pieces[low].start..<(high < pieces.count ? pieces[high].start : end))
    }
  }

  /// A stretch of a file's content.
  struct Stretch: Equatable, Sendable {
    let file: Int
    let offset: UInt64
    let length: UInt64
  }

  private static let openFiles = 16

  let path: String
  private let root: File
  private let map = Mutex(Map())
  /// The files used last.
  private let opened = Mutex<[(number: Int, file: File)]>([])

  /// - Throws: `SystemError`, also for what is no directory.
  init(_ path: String) throws {
    self.path = path
    root = try File.open(path, .directory)
  }

  /// Makes the archive, once, and passes it on. Blocks.
  func archive(_ options: TreeOptions, into channel: ByteChannel, _ cancellation: Cancellation) throws {
    try TreeEncoder(options, cancellation) { bytes in
      self.map.withLock { $0.add(bytes) }
      try channel.write(bytes)
    } content: { file in
      self.map.withLock { $0.add(file) }
      try channel.write(contentOf: file.file, size: file.size)
    }.encode(path)
  }

  // MARK: Reading

  /// Fills `range` of `buffer` with what the archive has at `offset`, as files are now.
  /// - Returns: whether all of it could be had.
  func read(at offset: UInt64, into buffer: Buffer, _ range: Range<Int>) throws -> Bool {
    var done = 0
    while done < range.count {
      let place = offset + UInt64(done)
      let target = range.lowerBound + done
      let stretch = map.withLock { map -> Stretch? in
        guard let (kind, piece) = map.piece(at: place) else { return Stretch(file: -1, offset: 0, length: 0) }
        let length = min(piece.upperBound - place, UInt64(range.count - done))
        if case .file(let number) = kind {
          return Stretch(file: number, offset: place - piece.lowerBound, length: length)
        }
        guard case .metadata(let start) = kind else { return nil }
        let from = start + Int(place - piece.lowerBound)
        buffer.copy(map.metadata.rawSpan.extracting(from..<from + Int(length)), to: target)
        done += Int(length)
        return nil
      }
      guard let stretch else { continue }
      guard stretch.length > 0 else { return false }
      let count = Int(stretch.length)
      guard
        try file(stretch.file).read(at: stretch.offset, into: buffer, target..<target + count) == count
      else { return false }
      done += count
    }
    return true
  }

  /// What of `range` of the archive is content of files, and where in the range it starts.
  func stretches(of range: Range<UInt64>) -> [(start: UInt64, stretch: Stretch)] {
    map.withLock { map in
      var found = [(start: UInt64, stretch: Stretch)]()
      var place = range.lowerBound
      while place < range.upperBound, let (kind, piece) = map.piece(at: place) {
        let end = min(piece.upperBound, range.upperBound)
        if case .file(let number) = kind {
          let stretch = Stretch(file: number, offset: place - piece.lowerBound, length: end - place)
          found.append((place - range.lowerBound, stretch))
        }
        place = end
      }
      return found
    }
  }

  /// A file by its number, open for reading.
  func file(_ number: Int) throws -> File {
    if let known = opened.withLock({ $0.first { $0.number == number }?.file }) { return known }
    let path = map.withLock { $0.paths[number] }
    let file = try root.open(node: path, .nonBlocking)
    opened.withLock { opened in
      if opened.count >= Self.openFiles { opened.removeFirst() }
      opened.append((number, file))
    }
    return file
  }
}
