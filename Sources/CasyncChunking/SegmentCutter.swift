// How data flows through this room. The engine reads a stream in pieces of some MiB and has `ImageLayout`
// divide it into segments, from its first MiB, and `SegmentKind` say how each is cut. A `SegmentCutter` then
// searches every piece by itself, on any thread (`scan`: the kernels; what it finds depends on at most 48
// bytes or some blocks around a position, never on where chunks start), and joins the findings in order into
// cuts (`join`, `finish`: cheap). The chunks between cuts go to a `Digester`, many at a time, and those that
// are new to a `Compressor`. On the way back a `Decompressor` gives the bytes and the `Digester` proves them.
// The kernels are chosen by `CPUTier`; each has a twin in Swift.

package import CasyncFormat

/// The end of a chunk.
package struct Cut: Sendable, Equatable {
  /// The chunk's end, counted from the segment's start.
  package let end: UInt64
  /// Every byte of the chunk is known to be zero. Always told of the chunks of a zero run (image chunker).
  package let isZero: Bool

  package init(end: UInt64, isZero: Bool) {
    self.end = end
    self.isZero = isZero
  }
}

/// Cuts one segment: `scan` is pure and runs on any thread, `join` and `finish` run in order.
package struct SegmentCutter: Sendable {
  /// The bytes before a piece that its search wants to see.
  package static let lookbehind = Buzhash.window - 1

  private let kind: SegmentKind
  private let discriminator: Discriminator?
  private let tier: CPUTier
  private var joint: Joint

  private enum Joint: Sendable {
    case stream(StreamJoint)
    case image(ImageJoint)
  }

  /// A cutter at the start of a segment. `.stream` takes casync's chunker, `.byte` and `.block` the image
  /// chunker.
  package init(kind: SegmentKind, chunker: Chunker) {
    self.init(kind: kind, chunker: chunker, tier: .current)
  }

  /// The same with the kernels of `tier`, which this CPU must have.
  package init(kind: SegmentKind, chunker: Chunker, tier: CPUTier) {
    self.kind = kind
    self.tier = tier
    switch (kind, chunker) {
    case (.stream, .buzhash(let sizes)):
      let isFixed = sizes.min == sizes.average && sizes.average == sizes.max
      discriminator = isFixed ? nil : Discriminator(sizes)
      joint = .stream(StreamJoint(sizes: sizes, isFixed: isFixed))
    case (.byte, .image(let average)):
      let sizes = Self.byteSizes(average: average)
      discriminator = Discriminator(sizes)
      joint = .image(ImageJoint(spans: sizes))
    case (.block, .image(let average)):
      discriminator = nil
      joint = .image(ImageJoint(radius: average / 8192 - 1, maximum: 4 * average))
    default:
      preconditionFailure("a stream is cut by buzhash, a segment of an image by the image chunker")
    }
  }

  /// The sizes by which the image chunker cuts the spans of a byte segment.
  private static func byteSizes(average: Int) -> ChunkSizes {
    guard let sizes = ChunkSizes(min: average / 4, average: average, max: average * 4) else {
      preconditionFailure("the image chunker's average is checked where it enters")
    }
    return sizes
  }

  /// The most bytes that can lie uncut before the joined end, once `join` has returned.
  package var uncutBound: Int {
    switch joint {
    case .stream(let joint): joint.uncutBound
    case .image(let joint): joint.uncutBound
    }
  }

  /// Searches the piece of the segment that starts at `offset` for places to cut.
  ///
  /// - Parameters:
  ///   - bytes: `lookbehind` bytes of the segment that precede the piece, then the piece itself.
  ///   - lookbehind: 47, or `offset` where that is less.
  ///   - offset: where the piece starts in the segment. Pieces of `.byte` and `.block` start at multiples of
  ///     4096.
  package func scan(_ bytes: RawSpan, lookbehind: Int, offset: UInt64) -> Scan {
    precondition(lookbehind >= 0 && lookbehind <= bytes.byteCount)
    precondition(kind == .stream || offset % UInt64(Block.size) == 0, "an image is cut in whole blocks")
    let length = bytes.byteCount - lookbehind
    // SAFETY: the buffer is used while the span lives; lookbehind is at most its count.
    let content = unsafe bytes.withUnsafeBytes { buffer in
      let piece = unsafe UnsafeRawBufferPointer(rebasing: buffer[lookbehind...])
      if kind == .block {
        let (hashes, zeros) = unsafe hashBlocks(of: piece, tier: tier)
        return Scan.Content.hashes(hashes, zeros)
      }
      let zeros = unsafe ZeroBlocks(of: piece, tier: tier)
      var candidates = Candidates(pieceLength: length)
      if let discriminator {
        precondition(
          UInt64(lookbehind) >= min(UInt64(Self.lookbehind), offset), "bytes before the piece are missing")
        unsafe search(buffer, lookbehind: lookbehind, zeros, discriminator, into: &candidates)
      }
      return .candidates(candidates, zeros)
    }
    return Scan(offset: offset, length: UInt64(length), content: content)
  }

  /// Searches `buffer`, passing over what is inside zeros: there the hash is one that is known.
  private func search(
    _ buffer: UnsafeRawBufferPointer, lookbehind: Int, _ zeros: ZeroBlocks, _ discriminator: Discriminator,
    into candidates: inout Candidates
  ) {
    let length = buffer.count - lookbehind
    /// Searches the positions from `first` to `last` of the piece.
    func search(from first: Int, to last: Int, into candidates: inout Candidates) {
      let start = max(first + lookbehind - Buzhash.window, 0)
      guard first <= last else { return }
      // SAFETY: 0 <= start, and last is at most the length of the piece.
      let window = unsafe UnsafeRawBufferPointer(rebasing: buffer[start..<last + lookbehind])
      unsafe Buzhash.search(window, discriminator, shift: start - lookbehind, tier: tier, into: &candidates)
    }

    var first = 1
    if !discriminator.matches(Buzhash.ofZeros) {
      var block = 0
      while block < zeros.count {
        let end = zeros.endOfRun(from: block)
        if zeros[block] {
          search(from: first, to: min(block * Block.size + Buzhash.window - 1, length), into: &candidates)
          first = end * Block.size + 1
        }
        block = end
      }
    }
    search(from: first, to: length, into: &candidates)
  }

  /// A hole of `length` zero bytes at `offset`, of a `.byte` or `.block` segment: costs nothing.
  ///
  /// Its start is a multiple of 4096, and its length too unless the segment ends with it. The piece that
  /// follows has zeros for its lookbehind.
  package func scanHole(length: UInt64, offset: UInt64) -> Scan {
    precondition(kind != .stream, "casync's chunker knows no holes")
    precondition(offset % UInt64(Block.size) == 0, "an image is cut in whole blocks")
    return Scan(offset: offset, length: length, content: .hole)
  }

  /// Appends the cuts that are certain once the next piece is known.
  package mutating func join(_ scan: Scan, into cuts: inout [Cut]) {
    switch joint {
    case .stream(var joint):
      joint.join(scan, into: &cuts)
      self.joint = .stream(joint)
    case .image(var joint):
      // Moved out and in again, so that its arrays are not copied.
      self.joint = .image(ImageJoint(radius: 1, maximum: 1))
      joint.join(scan, into: &cuts)
      self.joint = .image(joint)
    }
  }

  /// Appends the cuts that remain: the segment ends where the last piece did.
  package mutating func finish(into cuts: inout [Cut]) {
    switch joint {
    case .stream(var joint):
      joint.finish(into: &cuts)
      self.joint = .stream(joint)
    case .image(var joint):
      joint.finish(into: &cuts)
      self.joint = .image(joint)
    }
  }
}
