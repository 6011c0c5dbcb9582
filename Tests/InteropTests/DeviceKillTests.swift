import CasyncFormat
import CasyncIO
import Foundation
import TestSupport
import Testing

extension SystemTests {
  /// SIGKILL to a server of mkdev at moments spread over all that it does to its local files.
  @Suite("mkdev, killed at any moment,")
  struct DeviceKillTests {
    let scratch: Scratch
    let images: Published
    let faults: Faults
    let image: [UInt8]

    init() throws {
      scratch = try Scratch(.memory)
      images = try Published.current
      faults = try Faults(scratch)
      image = try [UInt8](Data(contentsOf: URL(filePath: images.newSlice)))
    }

    /// A change that a client makes, the same in every run: 12345 bytes of one value, not in whole blocks, or
    /// 3 blocks of zeros.
    private struct Change {
      let number: Int
      var range: Range<Int> {
        let start = number * 700_001
        return number % 5 == 4 ? start / 4096 * 4096..<start / 4096 * 4096 + 12288 : start..<start + 12345
      }
      var value: UInt8 { number % 5 == 4 ? 0 : UInt8(number + 1) }
    }

    private static let changes = (0..<40).map { Change(number: $0) }

    private func serve(_ environment: [String: String?] = [:]) throws -> Running {
      let server = try Running(
        casync: [
          "mkdev", "--store=\(images.store)", "--socket=\(scratch("socket"))", "--memory=1M",
          "--cache-file=\(scratch("kept/cache"))", "--overlay=\(scratch("kept/overlay"))",
          images.newSliceIndex,
        ], environment: environment)
      _ = server.wait { (try? NBDExport(uri)) != nil }
      return server
    }

    private var uri: String { "nbd+unix:///?socket=\(scratch("socket"))" }

    /// Makes the changes, flushes after every third, and reads in between.
    /// - Returns: how many changes were flushed, and whether all were made.
    private func work() -> (flushed: Int, isDone: Bool) {
      var flushed = 0
      do {
        let export = try NBDExport(uri)
        let buffer = Buffer(count: 1 << 20)
        for change in Self.changes {
          if change.value == 0 {
            try export.zero(UInt64(change.range.lowerBound)..<UInt64(change.range.upperBound))
          } else {
            buffer.write(in: 0..<change.range.count) { bytes in
              for place in 0..<bytes.byteCount {
                bytes.storeBytes(of: change.value, toByteOffset: place, as: UInt8.self)
              }
            }
            try export.write(buffer, 0..<change.range.count, at: UInt64(change.range.lowerBound))
          }
          try export.read(at: UInt64((change.number * 7 % 31) << 20), into: buffer, 0..<buffer.count)
          guard change.number % 3 == 2 else { continue }
          try export.flush()
          flushed = change.number + 1
        }
        return (flushed, true)
      } catch {
        return (flushed, false)
      }
    }

    /// Reads everything and compares: what was flushed is there, what was not is there or is not, block by
    /// block, and all else is the image.
    private func check(_ flushed: Int, _ moment: String) throws {
      let export = try NBDExport(uri)
      let buffer = Buffer(count: image.count)
      for start in stride(from: 0, to: image.count, by: 16 << 20) {
        let range = start..<min(start + 16 << 20, image.count)
        try export.read(at: UInt64(start), into: buffer, range)
      }
      var bytes = buffer.bytes.copy()
      for change in Self.changes {
        for place in change.range {
          let isRight =
            bytes[place] == change.value || change.number >= flushed && bytes[place] == image[place]
          if !isRight {
            Issue.record(
              "\(moment), \(flushed) flushed: byte \(place) of change \(change.number) is \(bytes[place])")
            return
          }
          bytes[place] = image[place]
        }
      }
      #expect(bytes == image, "\(moment): the image is changed")
    }

    @Test("has every read right when it is started again, and every change that was flushed")
    func cacheAndOverlay() throws {
      let calls: [Faults.Call] = [.write, .sync, .zero]
      func start(at number: Int) throws -> Running {
        try? FileManager.default.removeItem(atPath: scratch("kept"))
        try FileManager.default.createDirectory(atPath: scratch("kept"), withIntermediateDirectories: true)
        return try serve(faults.environment(calls, at: number, path: scratch("kept")))
      }
      let whole = try start(at: 0)
      #expect(work().isDone)
      whole.send(SIGTERM)
      try whole.wait().succeeds()
      let total = try faults.takeReport().calls
      var killed = 0
      for number in Faults.spread(30, over: total) {
        let server = try start(at: number)
        let result = work()
        server.send(SIGTERM)
        if try server.wait().status == 128 + SIGKILL { killed += 1 }
        let second = try serve()
        try check(result.flushed, "killed at call \(number) of \(total)")
        second.send(SIGTERM)
        try second.wait().succeeds()
      }
      // How chunks fall into batches depends on time, and so does the number of calls.
      #expect(killed >= 24, "\(killed) of 30 servers were killed")
    }
  }
}
