import CasyncIO
import CasyncStore
import TestSupport

@testable import Casync

extension Disk {
  /// Waits for what `start` begins.
  private func wait(
    _ start: (@escaping Disk.Completion) -> [ImagePiece]?
  ) throws -> [ImagePiece] {
    let result = Monitor<Result<[ImagePiece], any Error>?>(nil)
    return try start { value in result.withLock { $0 = value } } ?? result.wait { $0 }.get()
  }

  func bytes(_ range: Range<UInt64>) throws -> [UInt8] {
    let pieces = try wait { read(range, $0) }
    let copy = Buffer(count: Int(range.upperBound - range.lowerBound))
    for piece in pieces {
      guard let buffer = piece.buffer else { continue }
      copy.copy(
        piece.start..<piece.start + piece.length, of: buffer, to: Int(piece.offset - range.lowerBound))
    }
    return copy.bytes.copy()
  }

  func write(_ bytes: [UInt8], at offset: UInt64, isDurable: Bool = false) throws {
    _ = try wait {
      write(bytes, at: offset, isDurable: isDurable, $0)
      return nil
    }
  }

  func zero(_ range: Range<UInt64>, keepsRoom: Bool = false) throws {
    _ = try wait {
      zero(range, keepsRoom: keepsRoom, mustBeFast: false, isDurable: false, $0)
      return nil
    }
  }

  func trim(_ range: Range<UInt64>) throws {
    _ = try wait {
      trim(range, isDurable: false, $0)
      return nil
    }
  }

  func flush() throws {
    _ = try wait {
      flush($0)
      return nil
    }
  }
}

extension Scratch {
  /// Runs `body` with a disk of an image that was put.
  @discardableResult
  func withDisk<Value>(
    _ name: String = "image", overlay: String? = nil, memory: Int = 1 << 20,
    keeping: ImageReader.Keeping = ImageReader.Keeping(), _ body: (Disk) throws -> Value
  ) throws -> Value {
    let (disk, value) = try ChunkSupply.with(memory: memory, loads: 4, report: { _ in }) { supply in
      let reader = try ImageReader(
        index: self(name + ".index"), stores: [self("store")], cache: nil, keeping: keeping,
        ConnectionSettings(), supply)
      let overlay = try overlay.map {
        try Overlay(self($0), size: reader.size, digest: reader.digest ?? digest([]))
      }
      let disk = Disk(reader, overlay)
      return (disk, try body(disk))
    }
    // Chunks are kept after they were handed out: by threads that are gone only now.
    try disk.close()
    return value
  }
}
