/// The requests, once an export is chosen.
extension NBDSession {
  private struct Header {
    let flags: Wire.CommandFlags
    let command: UInt16
    let cookie: UInt64
    let offset: UInt64
    let length: UInt32
  }

  private static func header(_ bytes: ArraySlice<UInt8>) -> Header? {
    var cursor = Cursor(bytes)
    guard cursor.word32() == Wire.request, let flags = cursor.word16(), let command = cursor.word16(),
      let cookie = cursor.word64(), let offset = cursor.word64(), let length = cursor.word32()
    else { return nil }
    return Header(
      flags: Wire.CommandFlags(rawValue: flags), command: command, cookie: cookie, offset: offset,
      length: length)
  }

  mutating func takeRequest(_ bytes: ArraySlice<UInt8>) {
    guard let header = Self.header(bytes), let export else { return end(.abort) }
    switch Wire.Command(rawValue: header.command) {
    case .read: takeRead(header, export)
    case .blockStatus: takeBlockStatus(header, export)
    case .cache: takeCache(header, export)
    case .disconnect: end(.finish)
    case .flush: takeFlush(header, export)
    case .write: takeWrite(header, export)
    case .trim: takeChange(header, export, flags: .forcedAccess) { .trim($0) }
    case .writeZeroes:
      takeChange(header, export, flags: [.forcedAccess, .noHole, .fastZero]) { .zero($0) }
    case nil: fail(header, .invalid)
    }
  }

  private mutating func fail(
    _ header: Header, _ error: NBDErrorNumber, _ message: String = "", isStructured: Bool = false
  ) {
    pending.append(.send(NBDRequest.failure(header.cookie, error, message, isStructured: isStructured)))
  }

  /// The range that a request names; `nil` when it is empty or leaves the export.
  private func range(_ header: Header, _ export: Int) -> Range<UInt64>? {
    let size = exports[export].size
    guard header.length > 0, header.offset < size, UInt64(header.length) <= size - header.offset else {
      return nil
    }
    return header.offset..<header.offset + UInt64(header.length)
  }

  private mutating func takeRead(_ header: Header, _ export: Int) {
    let known: Wire.CommandFlags = isStructured ? .dontFragment : []
    guard header.flags.isSubset(of: known), header.length <= Limits.request, let range = range(header, export)
    else { return fail(header, .invalid, "no such range, or flags", isStructured: isStructured) }
    pending.append(
      .read(
        NBDRequest(
          cookie: header.cookie, export: export, range: range,
          dontFragment: header.flags.contains(.dontFragment), isStructured: isStructured)))
  }

  private mutating func takeBlockStatus(_ header: Header, _ export: Int) {
    guard hasAllocation, header.flags.isSubset(of: .requestOne), let range = range(header, export) else {
      return fail(header, .invalid, "no such range, or no context", isStructured: isStructured)
    }
    pending.append(
      .blockStatus(
        NBDRequest(
          cookie: header.cookie, export: export, range: range, wantsOne: header.flags.contains(.requestOne),
          isStructured: true)))
  }

  private mutating func takeCache(_ header: Header, _ export: Int) {
    guard header.flags.isEmpty, let range = range(header, export) else { return fail(header, .invalid) }
    pending.append(.prefetch(NBDRequest(cookie: header.cookie, export: export, range: range)))
  }

  // MARK: Changes

  private mutating func takeFlush(_ header: Header, _ export: Int) {
    guard header.flags.isEmpty else { return fail(header, .invalid) }
    let request = NBDRequest(cookie: header.cookie, export: export, range: 0..<0)
    // Where nothing is ever written everything is durable.
    pending.append(exports[export].isWritable ? .flush(request) : .send(request.acknowledgement))
  }

  /// A change of `range` with the flags that it has.
  private func change(_ header: Header, _ export: Int, _ range: Range<UInt64>) -> NBDRequest {
    NBDRequest(
      cookie: header.cookie, export: export, range: range, isDurable: header.flags.contains(.forcedAccess),
      keepsRoom: header.flags.contains(.noHole), mustBeFast: header.flags.contains(.fastZero))
  }

  /// A trim, or a write of zeros.
  private mutating func takeChange(
    _ header: Header, _ export: Int, flags: Wire.CommandFlags, _ action: (NBDRequest) -> Action
  ) {
    guard exports[export].isWritable else { return fail(header, .notPermitted) }
    guard header.flags.isSubset(of: flags) else { return fail(header, .invalid) }
    guard let range = range(header, export) else { return fail(header, outside(header)) }
    pending.append(action(change(header, export, range)))
  }

  /// A write. One that is refused has its data all the same, which is thrown away.
  private mutating func takeWrite(_ header: Header, _ export: Int) {
    guard header.length <= Limits.skipped else { return end(.abort) }
    guard exports[export].isWritable else { return skipWrite(header, .notPermitted) }
    guard header.flags.isSubset(of: .forcedAccess), header.length <= Limits.request else {
      return skipWrite(header, .invalid)
    }
    guard let range = range(header, export) else { return skipWrite(header, outside(header)) }
    phase = .payload(change(header, export, range))
  }

  /// Why a range of a change is not good: proto.md has an error of its own for what leaves the export.
  private func outside(_ header: Header) -> NBDErrorNumber { header.length == 0 ? .invalid : .noSpace }

  private mutating func skipWrite(_ header: Header, _ error: NBDErrorNumber) {
    let reply = NBDRequest.failure(header.cookie, error, isStructured: false)
    phase = .skipping(Int(header.length), reply: reply, inTransmission: true)
  }
}
