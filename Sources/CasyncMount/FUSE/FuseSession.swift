internal import CFuse
internal import CasyncFormat
package import CasyncIO
internal import Glibc

// A FUSE mount (libfuse 3, low level):
//
//   kernel → /dev/fuse → FuseSession: one thread takes questions → FuseFileSystem → FuseRequest → kernel
//
// The file system answers at once, or later from the thread that has what was asked for, so that a chunk that
// is slow holds up only who reads it. A session ends when somebody unmounts it or when it is told to; who
// then still waits for an answer gets none, and the kernel gives him an error.

/// A file system that is mounted by FUSE, from its mount to its end.
///
/// `@unchecked Sendable`: libfuse's session is used by the thread that runs it; others answer requests, which
/// libfuse allows, and only while `state` says that the session is open.
@safe package final class FuseSession: @unchecked Sendable {
  /// What is mounted where.
  package struct Options: Sendable {
    /// A directory, or for a file system of one file a file.
    package let path: String
    /// What `/proc/mounts` calls it.
    package let source: String
    /// Further options of mount(8), which libfuse knows.
    package let more: [String]

    package init(path: String, source: String, more: [String] = []) {
      self.path = path
      self.source = source
      self.more = more
    }

    /// As casync mounts, each word escaped as libfuse takes it.
    var text: String {
      var words = ["ro", "default_permissions", "subtype=casync", "fsname=" + source] + more
      if geteuid() == 0 { words.append("allow_other") }
      return words.map {
        $0.replacing("\\", with: "\\\\").replacing(",", with: "\\,")
      }.joined(separator: ",")
    }
  }

  private struct State {
    var isClosed = false
    /// Answers that are being given.
    var answers = 0
  }

  private let options: Options
  private let fileSystem: any FuseFileSystem
  private var session: OpaquePointer?
  private let state = Monitor(State())
  private var isMounted = false

  /// Mounts. What is asked before `run` waits.
  /// - Throws: `SystemError`; libfuse has then printed more on standard error.
  package init(_ fileSystem: any FuseFileSystem, _ options: Options) throws {
    self.fileSystem = fileSystem
    self.options = options
    let text = ["casync", "-o", options.text]
    var words = unsafe text.map { word in unsafe strdup(word) }
    defer { unsafe words.forEach { unsafe free($0) } }
    var operations = Self.operations
    let context = unsafe Unmanaged.passUnretained(self).toOpaque()
    // SAFETY: the words and operations live through the call, which copies them; this object lives longer
    // than the session.
    unsafe session = unsafe words.withUnsafeMutableBufferPointer { words in
      var arguments = unsafe fuse_args(argc: 3, argv: words.baseAddress, allocated: 0)
      return unsafe fuse_session_new(
        &arguments, &operations, MemoryLayout<fuse_lowlevel_ops>.size, context)
    }
    guard let session = unsafe session, unsafe fuse_session_mount(session, options.path) == 0 else {
      let number = errno
      throw SystemError("mount on", options.path, errno: number == 0 ? EINVAL : number)
    }
    isMounted = true
  }

  deinit {
    close()
    if let session = unsafe session { unsafe fuse_session_destroy(session) }
  }

  /// Answers until somebody unmounts it, or asks to stop: then it is unmounted. Blocks.
  /// - Returns: whether it was in use when it was told to end; its users have lost it.
  /// - Throws: `SystemError` when waiting fails.
  package func run(_ cancellation: Cancellation) throws -> Bool {
    guard let session = unsafe session else { return false }
    let device = File(borrowing: unsafe fuse_session_fd(session), path: "/dev/fuse")
    try device.setNonBlocking()
    defer { close() }
    guard try serve(device, until: cancellation) else { return false }
    // The kernel may ask for something while it unmounts.
    let isDone = Cancellation()
    let isBusy = Monitor(false)
    let point = MountPoint(options.path)
    let thread = Threads(count: 1) {
      do {
        try point.unmount(.idle)
      } catch let error as SystemError where error.isBusy {
        isBusy.withLock { $0 = true }
      } catch {
        // Not ours to do without privileges: `close` asks fusermount3 for it.
      }
      isDone.cancel()
    }
    defer { thread.join() }
    _ = try serve(device, until: isDone)
    return isBusy.withLock { $0 }
  }

  /// Takes questions.
  /// - Returns: whether somebody asked to stop; else it was unmounted.
  private func serve(_ device: File, until cancellation: Cancellation) throws -> Bool {
    guard let session = unsafe session else { return false }
    var buffer = unsafe fuse_buf()
    defer { unsafe free(buffer.mem) }
    while true {
      do {
        try device.wait(for: .readable, cancellation)
      } catch is CancellationError {
        return true
      }
      // SAFETY: libfuse allocates the buffer's memory at the first call and uses it again.
      let count = unsafe fuse_session_receive_buf(session, &buffer)
      if count > 0 { unsafe fuse_session_process_buf(session, &buffer) }
      if unsafe fuse_session_exited(session) != 0 { return false }
      guard count > 0 || count == -EINTR || count == -EAGAIN || count == 0 else {
        throw SystemError("read", device.path, errno: -count)
      }
    }
  }

  /// Takes the file system from its mount point, lazily when it is in use, and gives no answer from then on.
  /// Not while it runs.
  func close() {
    state.withLock { $0.isClosed = true }
    _ = state.wait { $0.answers == 0 ? true : nil }
    guard isMounted, let session = unsafe session else { return }
    isMounted = false
    unsafe fuse_session_exit(session)
    unsafe fuse_session_unmount(session)
  }

  /// Calls `body` unless the session is closed, which waits until it has returned.
  func whileOpen(_ body: () -> Void) {
    let isOpen = state.withLockWakingOne { state in
      if !state.isClosed { state.answers += 1 }
      return !state.isClosed
    }
    guard isOpen else { return }
    body()
    state.withLock { $0.answers -= 1 }
  }
}

// MARK: - Questions

extension FuseSession {
  /// The session and file system of a request, and the request as ours.
  private static func open(_ raw: fuse_req_t?) -> (raw: fuse_req_t, FuseRequest, any FuseFileSystem)? {
    guard let raw = unsafe raw, let context = unsafe fuse_req_userdata(raw) else { return nil }
    // SAFETY: the context is the session that was passed to fuse_session_new, which runs at the moment.
    let session = unsafe Unmanaged<FuseSession>.fromOpaque(context).takeUnretainedValue()
    return unsafe (raw, FuseRequest(raw, of: session), session.fileSystem)
  }

  private static func bytes(_ name: UnsafePointer<CChar>?) -> [UInt8] {
    guard let name = unsafe name else { return [] }
    // SAFETY: libfuse passes names with their NUL.
    let count = unsafe strlen(name)
    return unsafe UnsafeBufferPointer(start: name, count: count).map { UInt8(bitPattern: $0) }
  }

  private static var operations: fuse_lowlevel_ops {
    var operations = fuse_lowlevel_ops()
    unsafe operations.`init` = { _, connection in
      guard let connection = unsafe connection else { return }
      let wanted = casync_posix_acl | casync_cache_symlinks
      unsafe connection.pointee.want |= connection.pointee.capable & wanted
    }
    unsafe operations.lookup = { raw, parent, name in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      unsafe fileSystem.lookUp(FuseSession.bytes(name), in: parent, request)
    }
    unsafe operations.forget = { raw, inode, count in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      fileSystem.forget(inode, count: count)
      request.none()
    }
    unsafe operations.forget_multi = { raw, count, forgets in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      unsafe UnsafeBufferPointer(start: forgets, count: count).forEach { forget in
        fileSystem.forget(forget.ino, count: forget.nlookup)
      }
      request.none()
    }
    unsafe operations.getattr = { raw, inode, _ in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      fileSystem.attributes(of: inode, request)
    }
    unsafe operations.readlink = { raw, inode in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      fileSystem.target(of: inode, request)
    }
    unsafe operations.statfs = { raw, _ in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      fileSystem.statistics(request)
    }
    addFiles(to: &operations)
    addAttributes(to: &operations)
    return operations
  }

  private static func addFiles(to operations: inout fuse_lowlevel_ops) {
    unsafe operations.open = { raw, inode, _ in
      guard let (_, request, _) = unsafe FuseSession.open(raw) else { return }
      request.opened()
    }
    unsafe operations.read = { raw, inode, size, offset, _ in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      fileSystem.read(inode, at: UInt64(clamping: offset), count: size, request)
    }
    unsafe operations.opendir = { raw, inode, _ in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      fileSystem.openDirectory(inode, request)
    }
    unsafe operations.readdir = { raw, inode, size, offset, info in
      guard let (raw, request, fileSystem) = unsafe FuseSession.open(raw), let info = unsafe info else {
        return
      }
      let listing = unsafe FuseListing(raw, request, capacity: size, withAttributes: false)
      let start = UInt64(bitPattern: Int64(offset))
      unsafe fileSystem.list(inode, handle: info.pointee.fh, from: start, listing)
    }
    unsafe operations.readdirplus = { raw, inode, size, offset, info in
      guard let (raw, request, fileSystem) = unsafe FuseSession.open(raw), let info = unsafe info else {
        return
      }
      let listing = unsafe FuseListing(raw, request, capacity: size, withAttributes: true)
      let start = UInt64(bitPattern: Int64(offset))
      unsafe fileSystem.list(inode, handle: info.pointee.fh, from: start, listing)
    }
    unsafe operations.releasedir = { raw, inode, info in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw), let info = unsafe info else {
        return
      }
      unsafe fileSystem.closeDirectory(info.pointee.fh)
      request.done()
    }
  }

  private static func addAttributes(to operations: inout fuse_lowlevel_ops) {
    unsafe operations.getxattr = { raw, inode, name, size in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      unsafe fileSystem.xattr(FuseSession.bytes(name), of: inode, capacity: size, request)
    }
    unsafe operations.listxattr = { raw, inode, size in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      fileSystem.xattrNames(of: inode, capacity: size, request)
    }
    unsafe operations.ioctl = { raw, inode, command, _, _, _, _, _, _ in
      guard let (_, request, fileSystem) = unsafe FuseSession.open(raw) else { return }
      let questions: [(UInt32, FuseFlagsQuestion)] = [
        (casync_get_flags, .chattr), (casync_get_fsxattr, .extended), (casync_get_fat, .fat),
      ]
      guard let question = questions.first(where: { $0.0 == command })?.1 else {
        return request.fail(.noSuchQuestion)
      }
      fileSystem.flags(of: inode, question, request)
    }
  }
}
