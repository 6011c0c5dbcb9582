import CasyncFormat
import CasyncIO
import Synchronization

/// The order in which the chunks of an image were first read, in a file that grows with each run
/// (docs/formats/profile.md).
final class Profile: Sendable {
  private struct State {
    /// A bit for each position that is in the file or will be.
    var seen: [UInt64]
    var pending: [Int] = []
    var length: UInt64
  }

  /// Most bytes that are read: a line each for as many chunks as an index may have.
  private static let limit = 12 << 27

  /// Positions as the file had them when it was opened, each once.
  let positions: [Int]
  private let file: File
  private let count: Int
  private let state: Mutex<State>

  /// Opens the profile at `path`, and makes it if there is none. Blocks.
  /// - Throws: `JobError` (refused) when it is in use, is something else, or belongs to another image;
  ///   `SystemError`.
  init(_ path: String, of index: Index) throws {
    file = try File.open(path, [.readWrite, .create])
    guard try file.status().kind == .regular else {
      throw JobError(.refused, "\(path) is no file, so it cannot be the profile")
    }
    guard try file.tryLock(.exclusive) else {
      throw JobError(
        .refused, "the profile \(path) is in use by another program", hint: "each server needs its own")
    }
    count = index.count
    let header = Array("casync-profile 1 \(index.tableDigest.hex)\n".utf8)
    let bytes = try file.readAll(limit: Self.limit)
    let isBegun = bytes.count >= header.count
    guard isBegun ? bytes.starts(with: header) : header.starts(with: bytes) else {
      let isProfile = bytes.starts(with: "casync-profile ".utf8)
      throw JobError(
        .refused,
        isProfile ? "the profile \(path) belongs to another image" : "\(path) is not a profile of casync's",
        hint: isProfile ? "remove it, or name another" : "name a file that is not there yet")
    }
    if !isBegun {
      try file.write(header.rawSpan, at: 0)
      try file.sync()
      try FileSystem.syncParent(of: path)
    }
    var seen = [UInt64](repeating: 0, count: (index.count + 63) / 64)
    var length = header.count
    positions = isBegun ? Self.positions(bytes[header.count...], count: count, &length, &seen) : []
    state = Mutex(State(seen: seen, length: UInt64(length)))
    try file.setSize(UInt64(length))
  }

  /// The positions that `lines` name, up to what a kill or a power cut left half.
  /// - Parameter length: grows by the bytes that are good.
  private static func positions(
    _ lines: ArraySlice<UInt8>, count: Int, _ length: inout Int, _ seen: inout [UInt64]
  ) -> [Int] {
    var positions = [Int]()
    var rest = lines
    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
      let line = rest[rest.startIndex..<end]
      guard let position = Int(String(decoding: line, as: UTF8.self)), 0..<count ~= position else { break }
      if insert(position, &seen) { positions.append(position) }
      length += line.count + 1
      rest = rest[(end + 1)...]
    }
    return positions
  }

  /// - Returns: whether it is new.
  private static func insert(_ position: Int, _ seen: inout [UInt64]) -> Bool {
    let bit: UInt64 = 1 << UInt64(position % 64)
    defer { seen[position / 64] |= bit }
    return seen[position / 64] & bit == 0
  }

  /// Takes note of chunks that are read. Does not block.
  func note(_ positions: some Sequence<Int>) {
    state.withLock { state in
      for position in positions where Self.insert(position, &state.seen) { state.pending.append(position) }
    }
  }

  /// Appends what was noted to the file. One call at a time. Blocks.
  func write() throws {
    let (pending, length) = state.withLock { state in
      defer { state.pending = [] }
      return (state.pending, state.length)
    }
    guard !pending.isEmpty else { return }
    var lines = [UInt8]()
    for position in pending { lines += Array("\(position)\n".utf8) }
    try file.write(lines.rawSpan, at: length)
    state.withLock { $0.length += UInt64(lines.count) }
  }

  /// Makes durable what was noted. Blocks.
  func close() throws {
    try write()
    try file.sync()
  }
}
