internal import CLinux
internal import Glibc

/// An open file, device or pipe: the descriptor and every call made on it. Blocks; may be shared between
/// threads.
///
/// The descriptor is closed with the last reference. A writer that must know whether its bytes arrived calls
/// `sync` before it lets go: `close` itself reports nothing that `fsync` has not.
package final class File: Sendable {
  let descriptor: Int32
  /// The descriptor, for libraries that are handed one.
  package var number: Int32 { descriptor }
  /// The directory it was opened below, and its name there; else the whole path.
  private let directory: String?
  private let name: String
  private let owned: Bool

  private init(descriptor: Int32, below directory: String? = nil, path: String, owned: Bool) {
    self.descriptor = descriptor
    self.directory = directory
    self.name = path
    self.owned = owned
  }

  /// The path it was opened by, for messages.
  package var path: String { directory.map { "\($0)/\(name)" } ?? name }

  /// Takes over an open descriptor.
  convenience init(adopting descriptor: Int32, path: String) {
    self.init(descriptor: descriptor, path: path, owned: true)
  }

  /// For a descriptor that a C library owns, as long as that keeps it open.
  package convenience init(borrowing descriptor: Int32, path: String) {
    self.init(descriptor: descriptor, path: path, owned: false)
  }

  deinit {
    if owned { close(descriptor) }
  }

  package static let standardInput = File(descriptor: 0, path: "standard input", owned: false)
  package static let standardOutput = File(descriptor: 1, path: "standard output", owned: false)

  /// How a file is opened (open(2)).
  package struct Flags: OptionSet, Sendable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }
    package static let write = Flags(rawValue: O_WRONLY)
    package static let readWrite = Flags(rawValue: O_RDWR)
    package static let create = Flags(rawValue: O_CREAT)
    package static let exclusive = Flags(rawValue: O_EXCL)
    package static let truncate = Flags(rawValue: O_TRUNC)
    package static let direct = Flags(rawValue: O_DIRECT)
    package static let directory = Flags(rawValue: O_DIRECTORY)
    package static let nonBlocking = Flags(rawValue: O_NONBLOCK)
    package static let noFollow = Flags(rawValue: O_NOFOLLOW)
  }

  /// open(2), with O_CLOEXEC; for reading unless `flags` say otherwise.
  /// - Throws: `SystemError`.
  package static func open(_ path: String, _ flags: Flags = [], mode: UInt32 = 0o666) throws -> File {
    let (descriptor, number) = retrying {
      unsafe casync_open(path, flags.rawValue | O_CLOEXEC | O_NOCTTY, mode)
    }
    guard descriptor >= 0 else { throw SystemError("open", path, errno: number) }
    return File(descriptor: descriptor, path: path, owned: true)
  }

  /// openat(2) below this directory.
  package func open(below name: String, _ flags: Flags = [], mode: UInt32 = 0o666) throws -> File {
    let (descriptor, number) = retrying {
      unsafe casync_openat(self.descriptor, name, flags.rawValue | O_CLOEXEC, mode)
    }
    guard descriptor >= 0 else { throw SystemError("open", "\(path)/\(name)", errno: number) }
    return File(descriptor: descriptor, below: path, path: name, owned: true)
  }
}

// MARK: - Reading and writing

extension File {
  /// pread(2) until `range` of `buffer` is full or the file ends.
  /// - Returns: how many bytes were read; fewer than asked only at the end of the file.
  package func read(at offset: UInt64, into buffer: Buffer, _ range: Range<Int>) throws -> Int {
    precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count, "range outside the buffer")
    var done = 0
    while done < range.count {
      // SAFETY: the range lies inside the buffer, which this call borrows.
      let memory = unsafe buffer.pointer(range.lowerBound + done..<range.upperBound)
      let place = offset + UInt64(done)
      let (count, number) = retrying {
        unsafe pread(descriptor, memory.baseAddress, memory.count, off_t(clamping: place))
      }
      guard count >= 0 else { throw SystemError("read", path, at: place, errno: number) }
      if count == 0 { break }
      done += count
    }
    return done
  }

  /// read(2) from the current position until `range` of `buffer` is full or the stream ends.
  package func readNext(
    into buffer: Buffer, _ range: Range<Int>, _ cancellation: Cancellation = Cancellation()
  ) throws -> Int {
    precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count, "range outside the buffer")
    var done = 0
    while done < range.count {
      try wait(for: .readable, cancellation)
      // SAFETY: the range lies inside the buffer, which this call borrows.
      let memory = unsafe buffer.pointer(range.lowerBound + done..<range.upperBound)
      let (count, number) = retrying { unsafe casync_read(descriptor, memory.baseAddress, memory.count) }
      guard count >= 0 else { throw SystemError("read", path, errno: number) }
      if count == 0 { break }
      done += count
    }
    return done
  }

  /// pwrite(2) of all bytes in `range` of `buffer`.
  package func write(_ buffer: Buffer, _ range: Range<Int>, at offset: UInt64) throws {
    precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count, "range outside the buffer")
    var done = 0
    while done < range.count {
      // SAFETY: the range lies inside the buffer, which this call borrows.
      let memory = unsafe buffer.pointer(range.lowerBound + done..<range.upperBound)
      let place = offset + UInt64(done)
      let (count, number) = retrying {
        unsafe pwrite(descriptor, memory.baseAddress, memory.count, off_t(clamping: place))
      }
      guard count >= 0 else { throw SystemError("write", path, at: place, errno: number) }
      guard count > 0 else { throw SystemError("write", path, at: place, errno: ENOSPC) }
      done += count
    }
  }

  /// Fills `range` of `buffer` by one preadv2(2) that waits for no medium.
  /// - Returns: false when it would have to wait, the file is shorter, or the call failed: who then reads in
  ///   the usual way learns which. Where the file system cannot tell, it is read as usual.
  package func readWithoutWaiting(at offset: UInt64, into buffer: Buffer, _ range: Range<Int>) -> Bool {
    precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count, "range outside the buffer")
    // SAFETY: the range lies inside the buffer, which this call borrows.
    let memory = unsafe buffer.pointer(range)
    let (count, number) = retrying {
      unsafe casync_read_nowait(descriptor, memory.baseAddress, memory.count, off_t(clamping: offset))
    }
    if count < 0, number == EOPNOTSUPP { return (try? read(at: offset, into: buffer, range)) == range.count }
    return count == range.count
  }

  /// Whether all bytes in `range` are in the page cache, as far as the kernel tells (cachestat(2), of
  /// Linux 6.5).
  package func isCached(_ range: Range<UInt64>) -> Bool {
    !range.isEmpty && casync_is_cached(descriptor, range.lowerBound, range.upperBound - range.lowerBound) == 1
  }

  /// read(2) from the current position, as much as is there; waits until something is. The descriptor may be
  /// one that does not block.
  /// - Returns: how many bytes were read; 0 at the end of the stream.
  package func readSome(
    into buffer: Buffer, _ range: Range<Int>, _ cancellations: [Cancellation]
  ) throws -> Int {
    precondition(range.lowerBound >= 0 && range.upperBound <= buffer.count, "range outside the buffer")
    while true {
      try wait(for: .readable, cancellations)
      // SAFETY: the range lies inside the buffer, which this call borrows.
      let memory = unsafe buffer.pointer(range)
      let (count, number) = retrying { unsafe casync_read(descriptor, memory.baseAddress, memory.count) }
      if count >= 0 { return count }
      guard number == EAGAIN else { throw SystemError("read", path, errno: number) }
    }
  }

  /// write(2) of all of `bytes` at the current position. The descriptor may be one that does not block.
  package func writeNext(_ bytes: RawSpan) throws {
    var done = 0
    while done < bytes.byteCount {
      let rest = bytes.extracting(done..<bytes.byteCount)
      // SAFETY: the call reads exactly the bytes of the span.
      let (count, number) = unsafe rest.withUnsafeBytes { memory in
        retrying { unsafe casync_write(descriptor, memory.baseAddress, memory.count) }
      }
      if count < 0, number == EAGAIN {
        try wait(for: .writable, Cancellation())
        continue
      }
      guard count >= 0 else { throw SystemError("write", path, errno: number) }
      guard count > 0 else { throw SystemError("write", path, errno: ENOSPC) }
      done += count
    }
  }

  /// What a pipe can be waited for.
  package enum Readiness: Sendable {
    case readable, writable
  }

  /// Waits until a pipe or socket has bytes, or room for some, or its other end is gone; at once for a file.
  /// - Throws: `CancellationError` within a fraction of a second after somebody asked.
  package func wait(for readiness: Readiness, _ cancellation: Cancellation) throws {
    try wait(for: readiness, [cancellation])
  }

  private func wait(for readiness: Readiness, _ cancellations: [Cancellation]) throws {
    var request = pollfd(fd: descriptor, events: Int16(readiness == .readable ? POLLIN : POLLOUT), revents: 0)
    while true {
      for cancellation in cancellations { try cancellation.check() }
      // SAFETY: the kernel fills the one structure.
      let (count, number) = retrying { unsafe poll(&request, 1, 200) }
      guard count >= 0 else { throw SystemError("wait for", path, errno: number) }
      if count > 0 { return }
    }
  }

  /// write(2) of all of `bytes` to a pipe in pieces that a waiting reader's room suffices for.
  package func writeNext(_ bytes: RawSpan, _ cancellation: Cancellation) throws {
    var done = 0
    while done < bytes.byteCount {
      try wait(for: .writable, cancellation)
      let end = min(bytes.byteCount, done + Int(PIPE_BUF))
      try writeNext(bytes.extracting(done..<end))
      done = end
    }
  }

  /// Everything from the current position to the end of the stream.
  /// - Parameter limit: more bytes than this are an error (EFBIG).
  package func readAll(limit: Int) throws -> [UInt8] {
    var bytes = [UInt8]()
    if let size = try? status().size, size <= UInt64(limit) {
      // A stream whose size cannot be asked simply grows while it is read.
      bytes.reserveCapacity(Int(size))
    }
    let buffer = Buffer(count: 256 << 10)
    while true {
      let count = try readNext(into: buffer, 0..<buffer.count)
      guard bytes.count + count <= limit else { throw SystemError("read", path, errno: EFBIG) }
      unsafe buffer.bytes.extracting(0..<count).withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
      if count < buffer.count { return bytes }
    }
  }
}

// MARK: - State

extension File {
  /// What kind of thing a file is.
  package enum Kind: Sendable {
    case regular, directory, blockDevice, characterDevice, pipe, other
  }

  /// The parts of fstat(2) that the program uses.
  package struct Status: Sendable {
    package let kind: Kind
    /// Length of a regular file in bytes.
    package let size: UInt64
    /// Permission bits.
    package let mode: UInt32
    /// The file system's device number and the file's inode number: who it is.
    package let device: UInt64
    package let inode: UInt64
    /// The device that a device node stands for.
    package let target: UInt64
    /// Modification time in nanoseconds since 1970.
    package let modified: Int64

    init(_ raw: stat) {
      switch raw.st_mode & S_IFMT {
      case S_IFREG: kind = .regular
      case S_IFDIR: kind = .directory
      case S_IFBLK: kind = .blockDevice
      case S_IFCHR: kind = .characterDevice
      case S_IFIFO, S_IFSOCK: kind = .pipe
      default: kind = .other
      }
      size = UInt64(clamping: raw.st_size)
      mode = raw.st_mode & 0o7777
      device = UInt64(raw.st_dev)
      inode = UInt64(raw.st_ino)
      target = UInt64(raw.st_rdev)
      modified = Int64(raw.st_mtim.tv_sec) * 1_000_000_000 + Int64(raw.st_mtim.tv_nsec)
    }
  }

  /// fstat(2).
  package func status() throws -> Status {
    var raw = stat()
    // SAFETY: the kernel fills the structure.
    let (result, number) = retrying { unsafe fstat(descriptor, &raw) }
    guard result == 0 else { throw SystemError("examine", path, errno: number) }
    return Status(raw)
  }

  /// stat(2); `nil` when there is nothing at `path`.
  package static func status(_ path: String) throws -> Status? {
    var raw = stat()
    // SAFETY: the kernel fills the structure.
    let (result, number) = retrying { unsafe stat(path, &raw) }
    if result == 0 { return Status(raw) }
    let error = SystemError("examine", path, errno: number)
    if error.isNotFound { return nil }
    throw error
  }

  /// fstatat(2) below this directory, links not followed; `nil` when there is nothing.
  package func status(below name: String) throws -> Status? {
    var raw = stat()
    // SAFETY: the kernel fills the structure.
    let (result, number) = retrying { unsafe fstatat(descriptor, name, &raw, AT_SYMLINK_NOFOLLOW) }
    if result == 0 { return Status(raw) }
    let error = SystemError("examine", "\(path)/\(name)", errno: number)
    if error.isNotFound { return nil }
    throw error
  }

  /// Where `range` holds data; the rest of it are holes and reads as zeros. All of it where the file system
  /// cannot tell.
  package func nextData(in range: Range<UInt64>) throws -> Range<UInt64>? {
    guard !range.isEmpty else { return nil }
    let (start, number) = retrying { lseek(descriptor, off_t(clamping: range.lowerBound), SEEK_DATA) }
    if start < 0 {
      if number == ENXIO { return nil }
      if number == EINVAL || number == ESPIPE || number == EOPNOTSUPP { return range }
      throw SystemError("find the data of", path, at: range.lowerBound, errno: number)
    }
    guard UInt64(start) < range.upperBound else { return nil }
    let (end, endNumber) = retrying { lseek(descriptor, start, SEEK_HOLE) }
    guard end >= 0 else { throw SystemError("find the holes of", path, at: UInt64(start), errno: endNumber) }
    return UInt64(start)..<min(UInt64(end), range.upperBound)
  }

  /// Tells the kernel that `range` will be read front to back soon. A hint: what becomes of it does not
  /// matter.
  package func willRead(_ range: Range<UInt64>) {
    posix_fadvise(
      descriptor, off_t(clamping: range.lowerBound), off_t(clamping: range.count), POSIX_FADV_WILLNEED)
  }

  /// Tells the kernel to begin writing `range` to the medium (sync_file_range(2)). A hint, as above.
  package func startWriteOut(_ range: Range<UInt64>) {
    sync_file_range(
      descriptor, off_t(clamping: range.lowerBound), off_t(clamping: range.count),
      UInt32(SYNC_FILE_RANGE_WRITE))
  }

  /// Drops the cached pages of the file that are clean. A hint, as above.
  package func dropCache() {
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
  }
}

// MARK: - Changing

extension File {
  /// fsync(2).
  package func sync() throws {
    let (result, number) = retrying { fsync(descriptor) }
    guard result == 0 else { throw SystemError("flush", path, errno: number) }
  }

  /// fdatasync(2).
  package func syncData() throws {
    let (result, number) = retrying { fdatasync(descriptor) }
    guard result == 0 else { throw SystemError("flush", path, errno: number) }
  }

  /// syncfs(2): everything written to the file system this file lies on.
  package func syncFileSystem() throws {
    let (result, number) = retrying { syncfs(descriptor) }
    guard result == 0 else { throw SystemError("flush the file system of", path, errno: number) }
  }

  /// ftruncate(2).
  package func setSize(_ size: UInt64) throws {
    let (result, number) = retrying { ftruncate(descriptor, off_t(clamping: size)) }
    guard result == 0 else { throw SystemError("set the size of", path, errno: number) }
  }

  /// Makes `range` read as zeros by deallocating it; guaranteed zeros (fallocate(2), PUNCH_HOLE).
  package func punchHole(_ range: Range<UInt64>) throws {
    let (result, number) = retrying {
      fallocate(
        descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off_t(clamping: range.lowerBound),
        off_t(clamping: range.count))
    }
    guard result == 0 else {
      throw SystemError("punch a hole into", path, at: range.lowerBound, errno: number)
    }
  }

  /// Makes `range` read as zeros, with its blocks allocated, without writing them (fallocate(2), ZERO_RANGE).
  package func zeroKeepingBlocks(_ range: Range<UInt64>) throws {
    let (result, number) = retrying {
      fallocate(
        descriptor, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off_t(clamping: range.lowerBound),
        off_t(clamping: range.count))
    }
    guard result == 0 else { throw SystemError("zero", path, at: range.lowerBound, errno: number) }
  }

  /// Lets `length` bytes at `offset` share the blocks of `source` (FICLONERANGE).
  package func clone(_ source: File, from: UInt64, length: UInt64, to offset: UInt64) throws {
    let (result, number) = retrying {
      casync_ficlonerange(descriptor, source.descriptor, from, length, offset)
    }
    guard result == 0 else { throw SystemError("clone into", path, at: offset, errno: number) }
  }

  /// Turns O_DIRECT on or off.
  package func setDirect(_ direct: Bool) throws { try set(O_DIRECT, direct) }

  /// Lets no call wait from now on (O_NONBLOCK).
  package func setNonBlocking() throws { try set(O_NONBLOCK, true) }

  private func set(_ flag: Int32, _ isOn: Bool) throws {
    let flags = casync_fcntl_flags(descriptor)
    let wanted = isOn ? flags | flag : flags & ~flag
    guard flags >= 0, casync_set_fcntl_flags(descriptor, wanted) == 0 else {
      throw SystemError("change the mode of", path, errno: errno)
    }
  }

  /// How a lock excludes others (flock(2)).
  package enum Lock: Sendable {
    case shared, exclusive
  }

  /// Takes the lock without waiting.
  /// - Returns: whether it was got.
  package func tryLock(_ lock: Lock) throws -> Bool {
    let operation = lock == .shared ? LOCK_SH : LOCK_EX
    let (result, number) = retrying { flock(descriptor, operation | LOCK_NB) }
    if result == 0 { return true }
    if number == EWOULDBLOCK { return false }
    throw SystemError("lock", path, errno: number)
  }

  /// Takes the lock, waiting up to ten seconds for others to be done with it.
  /// - Returns: whether it was got.
  package func patientLock(_ lock: Lock, _ cancellation: Cancellation) throws -> Bool {
    for _ in 0..<200 {
      if try tryLock(lock) { return true }
      try cancellation.check()
      usleep(50_000)
    }
    return try tryLock(lock)
  }

  /// Takes the lock, however long it takes.
  package func waitForLock(_ lock: Lock) throws {
    let (result, number) = retrying { flock(descriptor, lock == .shared ? LOCK_SH : LOCK_EX) }
    guard result == 0 else { throw SystemError("lock", path, errno: number) }
  }
}

extension File {
  /// Sets the access and modification times of what lies below this directory to now. A hint: failure is not
  /// told.
  package func touch(below name: String) {
    // SAFETY: no times are passed, which means now.
    _ = unsafe utimensat(descriptor, name, nil, AT_SYMLINK_NOFOLLOW)
  }
}
