import CasyncArchive
import CasyncIO
import Synchronization

/// Bytes that one thread makes and another takes, in parcels, of which at most 4 MiB wait in between.
///
/// What stands in files is not passed on: the file is, and who takes the bytes reads it. So one thread walks
/// a tree while another reads, and content is not copied on its way.
final class ByteChannel: Sendable {
  /// What is handed over at one time.
  private struct Parcel: Sendable {
    let window: Window
    /// The bytes of the window's buffer that belong to it.
    var range: Range<Int>
    var files: [Content] = []
    /// Files whose content was taken.
    var doneFiles = 0
    /// What the others hold.
    var contentLength: UInt64 = 0

    var length: UInt64 { UInt64(range.count) + contentLength }

    /// Takes bytes off the front, at most `limit`.
    mutating func take(_ limit: Int) -> Stretch {
      if doneFiles < files.count, files[doneFiles].place == range.lowerBound {
        let (file, rest) = (files[doneFiles].file, files[doneFiles].rest)
        let part = rest.lowerBound..<rest.lowerBound + min(UInt64(limit), rest.length)
        files[doneFiles].rest = part.upperBound..<rest.upperBound
        if part.upperBound == rest.upperBound { doneFiles += 1 }
        contentLength -= part.length
        return .content(file, part)
      }
      let next = doneFiles < files.count ? files[doneFiles].place : range.upperBound
      let end = min(next, range.lowerBound + limit)
      defer { range = end..<range.upperBound }
      return .bytes(window, range.lowerBound..<end)
    }
  }

  /// Content of a file that comes when so many bytes of the parcel's buffer were taken.
  private struct Content: Sendable {
    let place: Int
    let file: File
    var rest: Range<UInt64>
  }

  private struct State {
    var parcels = Fifo<Parcel>()
    /// Bytes that wait, those in files not counted, and files.
    var waiting = 0
    var isFinished = false
    var failure: (any Error)?
    var isClosed = false
  }

  /// The next bytes on the taker's side.
  private enum Stretch {
    case bytes(Window, Range<Int>)
    case content(File, Range<UInt64>)
  }

  private static let parcelLength = 512 << 10
  private static let capacity = 4 << 20
  /// A parcel is handed over when it has so many files, which stay open, or so much content.
  private static let parcelFiles = 32
  private static let parcelContent: UInt64 = 1 << 20
  private let buffers = BufferPool(bufferLength: parcelLength, capacity: capacity / parcelLength)
  private let state = Monitor(State())
  /// The parcel being filled, which the writing thread has.
  private let open = Mutex<Parcel?>(nil)
  /// The parcel being taken apart, which the taking thread has.
  private let taken = Mutex<Parcel?>(nil)

  // MARK: Writing

  /// Passes a copy of `bytes` on. Blocks while too much waits to be taken.
  /// - Throws: `CancellationError` when nobody takes them any more.
  func write(_ bytes: RawSpan) throws {
    var offset = 0
    while offset < bytes.byteCount {
      var parcel = openParcel()
      let count = min(parcel.window.buffer.count - parcel.range.upperBound, bytes.byteCount - offset)
      parcel.window.buffer.copy(bytes.extracting(offset..<offset + count), to: parcel.range.upperBound)
      parcel.range = parcel.range.lowerBound..<parcel.range.upperBound + count
      offset += count
      try keepOrSend(parcel)
    }
  }

  /// Passes on `size` bytes from the start of `file`, which is read when it is their turn.
  func write(contentOf file: File, size: UInt64) throws {
    guard size > 0 else { return }
    var parcel = openParcel()
    parcel.files.append(Content(place: parcel.range.upperBound, file: file, rest: 0..<size))
    parcel.contentLength += size
    try keepOrSend(parcel)
  }

  /// Passes on `range` of a window's buffer, which nobody changes any more.
  func write(_ window: Window, _ range: Range<Int>) throws {
    try sendOpen()
    if !range.isEmpty { try send(Parcel(window: window, range: range)) }
  }

  private func openParcel() -> Parcel {
    open.withLock { $0.take() } ?? Parcel(window: Window(buffers.waitForOne(), start: 0), range: 0..<0)
  }

  private func keepOrSend(_ parcel: Parcel) throws {
    let isFull =
      parcel.range.upperBound == parcel.window.buffer.count || parcel.files.count == Self.parcelFiles
      || parcel.contentLength >= Self.parcelContent
    if isFull { try send(parcel) } else { open.withLock { $0 = parcel } }
  }

  private func sendOpen() throws {
    if let parcel = open.withLock({ $0.take() }) { try send(parcel) }
  }

  private func send(_ parcel: Parcel) throws {
    let count = parcel.range.count
    let isOpen = state.wait { state -> Bool? in
      if state.isClosed { return false }
      guard state.waiting == 0 || state.waiting + count <= Self.capacity else { return nil }
      state.waiting += count
      state.parcels.append(parcel)
      return true
    }
    guard isOpen else { throw CancellationError() }
  }

  /// No more bytes come.
  /// - Parameter failure: why, if that is not the end.
  private func finish(_ failure: (any Error)?) {
    state.withLock { state in
      state.isFinished = true
      state.failure = failure
    }
  }

  // MARK: Taking

  /// Nobody takes bytes any more.
  private func close() {
    taken.withLock { $0 = nil }
    state.withLock { state in
      state.isClosed = true
      state.parcels = Fifo()
    }
  }

  /// Fills `range` of `buffer`. Blocks until it is full or the bytes are at their end.
  /// - Returns: how many bytes there were.
  /// - Throws: what the other thread failed with; `ArchiveError` when a file became shorter.
  func read(into buffer: Buffer, _ range: Range<Int>) throws -> Int {
    var done = 0
    while done < range.count, let stretch = try take(range.count - done) {
      done += try read(stretch, into: buffer, at: range.lowerBound + done)
    }
    return done
  }

  /// Passes all bytes to `body`, piece by piece.
  func forEach(_ body: (RawSpan) throws -> Void) throws {
    let buffer = Buffer(count: Self.parcelLength)
    var filled = 0
    while let stretch = try take(buffer.count - filled) {
      if filled == 0, case .bytes(let window, let range) = stretch {
        // What need not be joined need not be copied.
        let bytes = window.buffer
        try body(bytes.bytes.extracting(range))
        continue
      }
      filled += try read(stretch, into: buffer, at: filled)
      guard filled == buffer.count else { continue }
      try body(buffer.bytes)
      filled = 0
    }
    if filled > 0 { try body(buffer.bytes.extracting(0..<filled)) }
  }

  private func read(_ stretch: Stretch, into buffer: Buffer, at place: Int) throws -> Int {
    switch stretch {
    case .bytes(let window, let range):
      buffer.copy(range, of: window.buffer, to: place)
      return range.count
    case .content(let file, let range):
      let count = Int(range.length)
      guard try file.read(at: range.lowerBound, into: buffer, place..<place + count) == count else {
        throw ArchiveError.becameShorter(file.path)
      }
      return count
    }
  }

  /// The next bytes, at most `limit` of them; `nil` at the end.
  private func take(_ limit: Int) throws -> Stretch? {
    guard var parcel = try taken.withLock({ $0.take() }) ?? next() else { return nil }
    let stretch = parcel.take(limit)
    if parcel.length > 0 { taken.withLock { $0 = parcel } }
    return stretch
  }

  /// The parcel at the front, taken off; `nil` at the end.
  private func next() throws -> Parcel? {
    let found: Result<Parcel?, any Error> = state.wait { state in
      if let parcel = state.parcels.popFirst() {
        state.waiting -= parcel.range.count
        return .success(parcel)
      }
      if let failure = state.failure { return .failure(failure) }
      return state.isFinished ? .success(nil) : nil
    }
    return try found.get()
  }

  // MARK: Threads

  /// Runs `produce` on a thread of its own; what it writes to the channel `consume` takes from it.
  ///
  /// Returns or throws as `consume` does, when the thread is gone.
  static func run<Result>(
    _ produce: @escaping @Sendable (ByteChannel) throws -> Void,
    consume: (ByteChannel) throws -> Result
  ) throws -> Result {
    let channel = ByteChannel()
    let thread = Threads(count: 1) {
      do {
        try produce(channel)
        try channel.sendOpen()
        channel.finish(nil)
      } catch {
        channel.finish(error)
      }
    }
    defer {
      channel.close()
      thread.join()
    }
    return try consume(channel)
  }
}
