/// Reads an archive front to back: bytes in, nodes out, without I/O.
///
/// Each call of `step` takes one record, or a piece of content, off the front of the bytes it is lent.
/// Whatever the bytes are, it returns or throws; what it holds is bounded by one node's metadata and 64 open
/// directories.
public struct CatarDecoder: Sendable {
  /// What a step found.
  public enum Event: Equatable, Sendable {
    /// A child begins, of this name; its records follow.
    case name([UInt8])
    /// The metadata of a node is complete; the name is the one before, or this is the top directory.
    case node(CatarNode)
    /// The bytes taken are content of the regular file.
    case payload
    /// The node is at its end; of a directory everything below it, too.
    case end
  }

  /// What a step did.
  public struct Step: Sendable {
    /// Bytes taken off the front.
    public let consumed: Int
    /// `nil` for a record that is part of a node.
    public let event: Event?
  }

  private struct Level {
    let entryOffset: UInt64
    var lastName: [UInt8] = []
    var children: UInt64 = 0
  }

  enum State: Equatable {
    case entry, metadata
    case payload(rest: UInt64)
    case leafEnd
    case directory
    case goodbyeItems(rest: UInt64, size: UInt64)
    case goodbyeTail(size: UInt64)
    case atEnd
  }

  /// Where in the archive the next byte stands.
  public private(set) var offset: UInt64 = 0
  /// Feature flags of the archive, once its first record was seen.
  public private(set) var features: FeatureFlags?
  private var state = State.entry
  private var levels: [Level] = []
  private var node = CatarNodeBuilder()
  private var entryOffset: UInt64 = 0

  public init() {}

  /// A decoder of one node inside an archive, of which the caller takes no more than its metadata.
  /// - Parameters:
  ///   - offset: where its ENTRY stands.
  ///   - features: those of the archive.
  package init(nodeAt offset: UInt64, features: FeatureFlags) {
    self.offset = offset
    self.features = features
  }

  /// Whether the GOODBYE of the top directory was taken: nothing of the archive follows.
  public var isAtEnd: Bool { state == .atEnd }

  /// Directories that are open.
  public var depth: Int { levels.count }

  /// Bytes that `step` needs to see so that it can take something; `have` holds what is there of them.
  ///
  /// At most 64 KiB and some; a caller that always comes with exactly so many bytes sees all of them taken.
  public func wanted(_ have: RawSpan) throws(CatarError) -> Int {
    switch state {
    case .atEnd, .leafEnd: return 0
    case .payload(let rest): return rest == 0 ? 0 : 1
    case .goodbyeItems(let rest, _): return rest == 0 ? 0 : 1
    case .goodbyeTail: return CatarRecord.goodbyeItemLength
    case .entry, .metadata, .directory:
      guard let size = have.word(at: 0), let type = have.word(at: 8) else { return CatarRecord.headerLength }
      return try length(of: type, size)
    }
  }

  /// The record's type and how much of it is taken at once; its size was looked at.
  private func length(of type: UInt64, _ size: UInt64) throws(CatarError) -> Int {
    guard let record = CatarRecord(rawValue: type) else {
      throw CatarError(features == nil ? .notAnArchive : .unexpectedRecord, at: offset)
    }
    guard record.sizes.contains(size) else { throw CatarError(.recordSize, at: offset) }
    switch record {
    case .payload, .goodbye: return CatarRecord.headerLength
    // Every other record is at most 64 KiB and some (`sizes`).
    default: return Int(clamping: size)
    }
  }

  /// Takes what stands at the front of `bytes`.
  /// - Returns: what was taken; `nil` when more bytes are needed, or nothing follows.
  /// - Throws: `CatarError`, naming the byte.
  public mutating func step(_ bytes: RawSpan) throws(CatarError) -> Step? {
    let step = try take(bytes)
    if let step { offset += UInt64(step.consumed) }
    return step
  }

  private mutating func take(_ bytes: RawSpan) throws(CatarError) -> Step? {
    switch state {
    case .atEnd: return nil
    case .leafEnd:
      leaveNode()
      return Step(consumed: 0, event: .end)
    case .payload(let rest):
      if rest == 0 {
        leaveNode()
        return Step(consumed: 0, event: .end)
      }
      guard bytes.byteCount > 0 else { return nil }
      let count = Int(min(rest, UInt64(bytes.byteCount)))
      state = .payload(rest: rest - UInt64(count))
      return Step(consumed: count, event: .payload)
    case .goodbyeItems(let rest, let size):
      guard rest == 0 || bytes.byteCount > 0 else { return nil }
      let count = Int(min(rest, UInt64(bytes.byteCount)))
      let left = rest - UInt64(count)
      state = left == 0 ? .goodbyeTail(size: size) : .goodbyeItems(rest: left, size: size)
      return Step(consumed: count, event: nil)
    case .goodbyeTail(let size):
      guard bytes.byteCount >= CatarRecord.goodbyeItemLength else { return nil }
      try checkTail(bytes, size)
      leaveNode()
      return Step(consumed: CatarRecord.goodbyeItemLength, event: .end)
    case .entry, .metadata, .directory:
      return try takeRecord(bytes)
    }
  }

  /// After the end of a node its directory goes on.
  private mutating func leaveNode() {
    state = levels.isEmpty ? .atEnd : .directory
  }
}

// MARK: - Records

extension CatarDecoder {
  private mutating func takeRecord(_ bytes: RawSpan) throws(CatarError) -> Step? {
    guard let size = bytes.word(at: 0), let type = bytes.word(at: 8) else { return nil }
    let length = try length(of: type, size)
    guard let record = CatarRecord(rawValue: type), allows(record) else {
      throw CatarError(features == nil ? .notAnArchive : .unexpectedRecord, at: offset)
    }
    if state == .metadata, record == .filename || record == .goodbye {
      return Step(consumed: 0, event: .node(try finishNode(node.bareContent)))
    }
    guard bytes.byteCount >= length else { return nil }
    let body = bytes.extracting(CatarRecord.headerLength..<length)
    var event: Event?
    switch record {
    case .entry: try begin(body)
    case .filename: event = .name(try childName(body))
    case .goodbye: try beginGoodbye(size)
    case .payload: event = .node(try finishNode(.regular(size: size - UInt64(CatarRecord.headerLength))))
    case .symlink, .device: event = .node(try finishNode(node.content(record, body, at: offset)))
    default: try node.add(record, body, at: offset)
    }
    return Step(consumed: length, event: event)
  }

  /// Whether the record may stand here at all.
  private func allows(_ record: CatarRecord) -> Bool {
    switch state {
    case .entry: record == .entry
    case .metadata: record != .entry
    default: record == .filename || record == .goodbye
    }
  }

  private mutating func begin(_ body: RawSpan) throws(CatarError) {
    entryOffset = offset
    node = try CatarNodeBuilder(entry: body, at: offset, archive: features)
    guard features != nil || node.isDirectory else { throw CatarError(.notAnArchive, at: offset) }
    features = node.node.features
    state = .metadata
  }

  /// The node is known with its content; what follows it depends on that.
  private mutating func finishNode(_ content: CatarNode.Content?) throws(CatarError) -> CatarNode {
    guard let content else { throw CatarError(.unexpectedRecord, at: offset) }
    let finished = try node.finish(content, at: offset)
    switch content {
    case .regular(let size): state = .payload(rest: size)
    case .directory:
      guard levels.count < CatarRecord.maximumDepth else { throw CatarError(.tooDeep, at: offset) }
      levels.append(Level(entryOffset: entryOffset))
      state = .directory
    default: state = .leafEnd
    }
    return finished
  }

  private mutating func childName(_ body: RawSpan) throws(CatarError) -> [UInt8] {
    let name = try Self.name(body, at: offset)
    let last = levels.count - 1
    guard last >= 0, levels[last].lastName.lexicographicallyPrecedes(name) else {
      throw CatarError(.nameOrder, at: offset)
    }
    levels[last].lastName = name
    levels[last].children += 1
    state = .entry
    return name
  }

  /// The name in the body of a FILENAME.
  static func name(_ body: RawSpan, at offset: UInt64) throws(CatarError) -> [UInt8] {
    guard let name = body.text(), name.count <= 255, !name.contains(UInt8(ascii: "/")), name != [0x2e],
      name != [0x2e, 0x2e]
    else { throw CatarError(.badName, at: offset) }
    return name
  }

  private mutating func beginGoodbye(_ size: UInt64) throws(CatarError) {
    let item = UInt64(CatarRecord.goodbyeItemLength)
    let items = size - UInt64(CatarRecord.headerLength) - item
    guard let level = levels.last, items % item == 0, items / item == level.children else {
      throw CatarError(.recordSize, at: offset)
    }
    state = .goodbyeItems(rest: items, size: size)
  }

  private mutating func checkTail(_ bytes: RawSpan, _ size: UInt64) throws(CatarError) {
    // The record began `size` less this tail before here.
    let start = offset - (size - UInt64(CatarRecord.goodbyeItemLength))
    guard let level = levels.popLast(), bytes.word(at: 0) == start - level.entryOffset,
      bytes.word(at: 8) == size, bytes.word(at: 16) == CatarRecord.goodbyeMarker
    else { throw CatarError(.badRecord("the end of a directory does not match it"), at: offset) }
  }
}

extension RawSpan {
  /// The bytes up to the one NUL at the end; `nil` when there is another, or nothing before it.
  func text() -> [UInt8]? {
    let bytes = copy()
    guard bytes.count > 1, bytes.firstIndex(of: 0) == bytes.count - 1 else { return nil }
    return Array(bytes.dropLast())
  }
}
