/// A growing buffer that is kept from chunk to chunk: the one owner of its memory.
@safe
final class Scratch {
  private(set) var buffer = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)

  /// The bytes of the buffer.
  var count: Int { unsafe buffer.count }

  deinit { unsafe buffer.deallocate() }

  /// At least `count` bytes, whose values are not defined.
  func reserve(_ count: Int) -> UnsafeMutableRawBufferPointer {
    if unsafe buffer.count < count {
      unsafe buffer.deallocate()
      unsafe buffer = .allocate(byteCount: count, alignment: 64)
    }
    return unsafe buffer
  }
}
