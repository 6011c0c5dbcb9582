internal import CLinux
internal import Glibc

/// A block of memory aligned to pages, for whole-block I/O; freed with its last reference.
///
/// `@unchecked Sendable`: whoever holds a buffer agrees with the others who writes and who reads; in the data
/// path a buffer has one writer at a time and is read only after it was written.
@safe package final class Buffer: @unchecked Sendable {
  /// Alignment of the memory in bytes.
  package static let alignment = 4096

  /// Buffers of so many bytes are pages of their own, which the kernel zeroes as they are touched.
  private static let shortestMapping = 1 << 20
  /// Where a buffer holds whole huge pages, the kernel is asked for them: one fault instead of 512, and direct
  /// I/O that hands the device one stretch of memory and not 512. The length is x86's, and arm64's with pages
  /// of 4 KiB; where huge pages are longer nothing comes of it.
  private static let hugePage = 2 << 20

  private let memory: UnsafeMutableRawBufferPointer
  private let isMapped: Bool

  /// Zeroed memory of `count` bytes.
  package init(count: Int) {
    if count >= Self.shortestMapping, let pages = unsafe Self.map(count) {
      unsafe memory = pages
      isMapped = true
      return
    }
    // SAFETY: the memory is initialised to zero right away, and owned by this object alone.
    unsafe memory = .allocate(byteCount: max(count, 1), alignment: Self.alignment)
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
    isMapped = false
  }

  /// Zeroed pages, from the start of a huge page where that is worth it; `nil` when there are none.
  private static func map(_ count: Int) -> UnsafeMutableRawBufferPointer? {
    let slack = count >= hugePage ? hugePage : 0
    guard
      let start = unsafe mmap(nil, count + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      unsafe start != UnsafeMutableRawPointer(bitPattern: -1)
    else { return nil }
    guard slack > 0 else { return unsafe UnsafeMutableRawBufferPointer(start: start, count: count) }
    let pages = unsafe start.alignedUp(toMultipleOf: hugePage)
    let end = unsafe (pages + count).alignedUp(toMultipleOf: alignment)
    // SAFETY: all of it lies inside what was just mapped, and nobody has it yet.
    unsafe unmap(start..<pages)
    unsafe unmap(end..<start + count + slack)
    unsafe madvise(pages, count / hugePage * hugePage, MADV_HUGEPAGE)
    return unsafe UnsafeMutableRawBufferPointer(start: pages, count: count)
  }

  private static func unmap(_ range: Range<UnsafeMutableRawPointer>) {
    if unsafe !range.isEmpty { unsafe munmap(range.lowerBound, range.upperBound - range.lowerBound) }
  }

  deinit {
    // SAFETY: nobody else has the memory, which came from where it goes.
    if isMapped { unsafe munmap(memory.baseAddress, memory.count) } else { unsafe memory.deallocate() }
  }

  /// Number of bytes.
  package var count: Int { unsafe memory.count }

  /// All bytes, borrowed.
  package var bytes: RawSpan {
    @_lifetime(borrow self) get {
      // SAFETY: the memory is initialised and lives as long as the borrowed object.
      let span = unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(memory))
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// Calls `body` with the bytes in `range`, to be written.
  /// - Precondition: `range` lies inside the buffer.
  package func write<Result, Failure: Error>(
    in range: Range<Int>, _ body: (inout MutableRawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside the buffer")
    // SAFETY: the range lies inside the memory, which outlives the call.
    var span = unsafe MutableRawSpan(_unsafeBytes: pointer(range))
    return try body(&span)
  }

  /// Fills `range` with zeros.
  package func zero(_ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside the buffer")
    unsafe pointer(range).initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// Copies `range` of `source` to `offset`; the two may be the same buffer and overlap.
  package func copy(_ range: Range<Int>, of source: Buffer, to offset: Int) {
    precondition(range.lowerBound >= 0 && range.upperBound <= source.count, "range outside the buffer")
    precondition(offset >= 0 && offset + range.count <= count, "range outside the buffer")
    // SAFETY: both ranges were checked; memmove allows overlap.
    unsafe pointer(offset..<offset + range.count).copyMemory(
      from: UnsafeRawBufferPointer(source.pointer(range)))
  }

  /// The bytes of `source` at `offset`.
  package func copy(_ source: RawSpan, to offset: Int) {
    precondition(offset >= 0 && offset + source.byteCount <= count, "range outside the buffer")
    unsafe source.withUnsafeBytes { bytes in
      unsafe pointer(offset..<offset + bytes.count).copyMemory(from: bytes)
    }
  }

  /// Whether the first `count` bytes of both are the same.
  func starts(with other: Buffer, _ count: Int) -> Bool {
    precondition(count <= self.count && count <= other.count, "range outside the buffer")
    guard let mine = unsafe memory.baseAddress, let its = unsafe other.memory.baseAddress else { return true }
    // SAFETY: both hold so many bytes.
    return unsafe memcmp(mine, its, count) == 0
  }

  /// For the system calls of this module; `range` was checked by the caller.
  func pointer(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(rebasing: memory[range])
  }
}
