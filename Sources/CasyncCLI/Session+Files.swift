internal import Casync
internal import CasyncIO
internal import CasyncMount
internal import Synchronization

/// `--fuse=FILE` of mkdev: images as files, where a kernel has no nbd.
extension Session {
  /// Mounts the first image on the first FILE, the second on the second, and so on.
  func mountFiles(_ images: [ImageReader]) throws -> [ImageMount] {
    let paths = arguments.values(.fuse)
    guard paths.count <= images.count else {
      throw UsageError("--fuse= is given \(paths.count) times for \(images.count) images")
    }
    return try zip(images, paths).map { image, path in
      let mount = try ImageMount(image, at: path)
      try print("Mounted: \(path)\n")
      return mount
    }
  }

  /// Answers for the files while `body` runs, and then until each was unmounted or somebody asks to stop.
  func serving(_ files: [ImageMount], _ cancellation: Cancellation, _ body: () throws -> Void) throws {
    let console = console
    let failure = Mutex<(any Error)?>(nil)
    let threads = files.map { file in
      Threads(count: 1) {
        do {
          if try file.run(cancellation) {
            console.warning("\(file.path) is still in use: who uses it gets errors from now on")
          }
        } catch {
          failure.withLock { $0 = error }
          cancellation.cancel()
        }
      }
    }
    defer { for thread in threads { thread.join() } }
    do {
      try body()
    } catch {
      cancellation.cancel()
      throw error
    }
    for thread in threads { thread.join() }
    if let error = failure.withLock({ $0 }) { throw error }
  }
}
