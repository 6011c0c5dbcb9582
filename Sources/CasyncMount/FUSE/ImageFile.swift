package import Casync

/// An image as a file system of one file: what it is mounted on.
package final class ImageFile: FuseFileSystem {
  private let image: ImageReader
  private let mode: UInt32

  /// - Parameter mode: type and permission bits of the file.
  package init(_ image: ImageReader, mode: UInt32 = 0o100444) {
    self.image = image
    self.mode = mode
  }

  package func attributes(of inode: UInt64, _ request: FuseRequest) {
    var attributes = FuseAttributes(inode: inode, mode: mode)
    attributes.size = image.size
    request.attributes(attributes)
  }

  package func read(_ inode: UInt64, at offset: UInt64, count: Int, _ request: FuseRequest) {
    let end = offset + min(UInt64(clamping: count), image.size - min(offset, image.size))
    guard offset < end else { return request.bytes(RawSpan()) }
    image.read(offset..<end, ahead: 0..<image.size, answering: request)
  }

  package func statistics(_ request: FuseRequest) { request.statistics(size: image.size) }
}

extension ImageReader {
  /// Answers `request` with the bytes in `range`, when they are there.
  /// - Parameter bounds: where to read ahead.
  func read(_ range: Range<UInt64>, ahead bounds: Range<UInt64>, answering request: FuseRequest) {
    let pieces = read(range, ahead: bounds) { result in
      switch result {
      case .success(let pieces): request.pieces(pieces)
      // Why was reported by the supply.
      case .failure: request.fail(.io)
      }
    }
    if let pieces { request.pieces(pieces) }
  }
}
