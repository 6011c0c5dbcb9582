/// Buffers of one length that are used again and again.
package final class BufferPool: Sendable {
  private struct State {
    var free: [Buffer] = []
    var lent = 0
  }

  /// Bytes in each buffer.
  package let bufferLength: Int
  private let capacity: Int
  private let state = Monitor(State())

  /// - Parameter capacity: how many buffers may be lent at one time.
  package init(bufferLength: Int, capacity: Int) {
    self.bufferLength = bufferLength
    self.capacity = capacity
  }

  /// A buffer that returns to its pool with the last reference to this object. What it holds is what was left
  /// in it.
  package final class Lease: Sendable {
    package let buffer: Buffer
    private let pool: BufferPool

    fileprivate init(_ buffer: Buffer, _ pool: BufferPool) {
      self.buffer = buffer
      self.pool = pool
    }

    deinit {
      pool.state.withLock { state in
        state.lent -= 1
        state.free.append(buffer)
      }
    }
  }

  /// A buffer; `nil` when as many as may be are lent.
  package func take() -> Lease? {
    state.withLock { take(&$0) }
  }

  /// A buffer, as soon as there is one. Blocks.
  package func waitForOne() -> Lease {
    state.wait { take(&$0) }
  }

  private func take(_ state: inout State) -> Lease? {
    guard state.lent < capacity else { return nil }
    state.lent += 1
    return Lease(state.free.popLast() ?? Buffer(count: bufferLength), self)
  }
}
