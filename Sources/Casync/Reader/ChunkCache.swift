import CasyncFormat
import CasyncIO

/// Decoded chunks in memory, bounded in bytes: the one not used for longest leaves first. Guarded by its
/// owner.
struct ChunkCache {
  /// Who a chunk is. Two images that name the same chunk share it; an index that lies about its length shares
  /// nothing.
  enum Key: Hashable {
    case chunk(ChunkID, length: Int)
    /// A block of a raw file.
    case block(file: Int, position: Int)
    /// Bytes that change, which are therefore not kept.
    case passing(UInt64)
  }

  private struct Entry {
    var key: Key
    var buffer: Buffer?
    var newer: Int
    var older: Int
  }

  /// The ring of entries in the order of their use; entry 0 stands between the newest and the oldest.
  private var entries = [Entry(key: .block(file: -1, position: -1), buffer: nil, newer: 0, older: 0)]
  private var free: [Int] = []
  private var places: [Key: Int] = [:]

  /// Most bytes that are kept.
  let limit: Int
  /// Bytes that are kept, with what the memory of each chunk costs beyond its own.
  private(set) var bytes = 0

  init(limit: Int) { self.limit = limit }

  var count: Int { places.count }

  /// Bytes that a chunk of `length` takes: whole pages, and its entry.
  static func cost(_ length: Int) -> Int {
    (length + Buffer.alignment - 1) / Buffer.alignment * Buffer.alignment + 256
  }

  /// The chunk, which becomes the newest.
  mutating func take(_ key: Key) -> Buffer? {
    guard let place = places[key] else { return nil }
    unlink(place)
    link(place)
    return entries[place].buffer
  }

  func contains(_ key: Key) -> Bool { places[key] != nil }

  /// Keeps a chunk as the newest, unless it is longer than all that may be kept.
  /// - Returns: those that had to go.
  mutating func insert(_ buffer: Buffer, for key: Key) -> [Buffer] {
    let cost = Self.cost(buffer.count)
    if case .passing = key { return [] }
    guard places[key] == nil, cost <= limit else { return [] }
    let evicted = makeRoom(for: cost)
    let place = free.popLast() ?? entries.count
    let entry = Entry(key: key, buffer: buffer, newer: 0, older: 0)
    if place == entries.count { entries.append(entry) } else { entries[place] = entry }
    places[key] = place
    bytes += cost
    link(place)
    return evicted
  }

  /// Lets the oldest go until `cost` more bytes may be kept.
  /// - Returns: those. To free memory takes longer than anything else here, so the owner does it outside its
  ///   lock.
  mutating func makeRoom(for cost: Int) -> [Buffer] {
    var evicted = [Buffer]()
    while bytes + cost > limit, entries[0].newer != 0 {
      let oldest = entries[0].newer
      unlink(oldest)
      if let buffer = entries[oldest].buffer {
        bytes -= Self.cost(buffer.count)
        evicted.append(buffer)
      }
      entries[oldest].buffer = nil
      places[entries[oldest].key] = nil
      free.append(oldest)
    }
    return evicted
  }

  private mutating func unlink(_ place: Int) {
    let (newer, older) = (entries[place].newer, entries[place].older)
    entries[newer].older = older
    entries[older].newer = newer
  }

  /// Puts an entry beside entry 0, on the newest side.
  private mutating func link(_ place: Int) {
    let newest = entries[0].older
    entries[place].older = newest
    entries[place].newer = 0
    entries[newest].newer = place
    entries[0].older = place
  }
}
