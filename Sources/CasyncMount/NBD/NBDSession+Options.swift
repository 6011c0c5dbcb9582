/// The options, by which a client chooses an export and how it is answered.
extension NBDSession {
  /// Takes one option with all its data.
  /// - Returns: false when more bytes are needed.
  mutating func takeOption() -> Bool {
    guard let header = peek(16) else { return false }
    var cursor = Cursor(header)
    guard cursor.word64() == Wire.option, let number = cursor.word32(), let length = cursor.word32(),
      optionCount < Limits.optionCount
    else {
      end(.abort)
      return true
    }
    guard length <= Limits.option else {
      skip(option: number, length: Int(length))
      return true
    }
    guard bufferedCount >= 16 + Int(length), take(16) != nil, let data = take(Int(length)) else {
      return false
    }
    optionCount += 1
    answer(number, Cursor(data))
    return true
  }

  private mutating func skip(option number: UInt32, length: Int) {
    // The old way to choose an export has no errors: the connection ends.
    guard number != Wire.Option.exportName.rawValue, length <= Limits.skipped, take(16) != nil else {
      return end(.abort)
    }
    optionCount += 1
    let reply = Self.reply(number, .tooBig, Array("an option of more than \(Limits.option) bytes".utf8))
    phase = .skipping(length, reply: reply, inTransmission: false)
  }

  private mutating func answer(_ number: UInt32, _ data: Cursor) {
    let option = Wire.Option(rawValue: number)
    if encryption == .required, !isEncrypted, option != .startTLS, option != .abort {
      // The old way to choose an export has no errors: the connection ends.
      if option == .exportName { return end(.abort) }
      return send(number, .tlsRequired, "this server wants TLS")
    }
    switch option {
    case .exportName: chooseByName(data)
    case .abort:
      send(number, .acknowledge)
      end(.finish)
    case .list: data.isAtEnd ? list(number) : send(number, .invalid, "LIST has no data")
    case .structuredReply:
      guard data.isAtEnd else { return send(number, .invalid, "STRUCTURED_REPLY has no data") }
      isStructured = true
      send(number, .acknowledge)
    case .info, .go: choose(number, data)
    case .listMetaContext, .setMetaContext: selectContexts(number, data)
    case .startTLS: startTLS(number, data)
    case nil: send(number, .unsupported)
    }
  }

  /// NBD_OPT_STARTTLS. What was agreed on before, somebody on the way may have changed.
  private mutating func startTLS(_ option: UInt32, _ data: Cursor) {
    guard encryption != .unavailable else { return send(option, .unsupported, "TLS is not available") }
    guard !isEncrypted else { return send(option, .invalid, "TLS is there already") }
    guard data.isAtEnd else { return send(option, .invalid, "STARTTLS has no data") }
    // Nor may what he put behind it be taken for what the client says after the handshake.
    guard bufferedCount == 0 else { return end(.abort) }
    isEncrypted = true
    isStructured = false
    allocationExport = nil
    send(option, .acknowledge)
    pending.append(.startTLS)
  }

  // MARK: Replies

  private static func reply(_ option: UInt32, _ type: Wire.OptionReply, _ data: [UInt8]) -> [UInt8] {
    var bytes = [UInt8]()
    bytes.append(big: Wire.optionReply)
    bytes.append(big: option)
    bytes.append(big: type.rawValue)
    bytes.append(big: UInt32(data.count))
    return bytes + data
  }

  private mutating func send(_ option: UInt32, _ type: Wire.OptionReply, _ data: [UInt8]) {
    pending.append(.send(Self.reply(option, type, data)))
  }

  private mutating func send(_ option: UInt32, _ type: Wire.OptionReply, _ message: String = "") {
    send(option, type, Array(message.utf8))
  }

  // MARK: Exports

  private func number(of name: ArraySlice<UInt8>) -> Int? {
    exports.firstIndex { $0.name.utf8.elementsEqual(name) }
  }

  private func flags(of export: Export) -> Wire.ExportFlags {
    // A flush is about all writes, whichever connection they came by.
    var flags: Wire.ExportFlags = [.hasFlags, .sendFlush, .canMultiConnect, .sendCache]
    if isStructured { flags.insert(.sendDontFragment) }
    return export.isWritable
      ? flags.union([.sendForcedAccess, .sendTrim, .sendWriteZeroes, .sendFastZero]) : flags.union(.readOnly)
  }

  /// The transmission flags of the export that was chosen; 0 while there is none.
  package var transmissionFlags: UInt16 { export.map { flags(of: exports[$0]).rawValue } ?? 0 }

  private mutating func begin(_ number: Int) {
    export = number
    hasAllocation = allocationExport == number
    phase = .transmission
  }

  /// NBD_OPT_EXPORT_NAME.
  private mutating func chooseByName(_ data: Cursor) {
    var data = data
    var name = ArraySlice<UInt8>()
    while let byte = data.take(1) { name += byte }
    guard let number = number(of: name) else { return end(.abort) }
    var reply = [UInt8]()
    reply.append(big: exports[number].size)
    reply.append(big: flags(of: exports[number]).rawValue)
    if !omitsZeroes { reply += [UInt8](repeating: 0, count: 124) }
    pending.append(.send(reply))
    begin(number)
  }

  private mutating func list(_ option: UInt32) {
    for export in exports {
      var data = [UInt8]()
      data.append(big: UInt32(export.name.utf8.count))
      data += Array(export.name.utf8) + Array(export.description.utf8)
      send(option, .server, data)
    }
    send(option, .acknowledge)
  }

  /// NBD_OPT_INFO and NBD_OPT_GO.
  private mutating func choose(_ option: UInt32, _ data: Cursor) {
    var data = data
    guard let name = data.string(), let count = data.word16() else {
      return send(option, .invalid, "the option is too short")
    }
    var wanted = [UInt16]()
    for _ in 0..<count {
      guard let info = data.word16() else { return send(option, .invalid, "the option is too short") }
      wanted.append(info)
    }
    guard data.isAtEnd else { return send(option, .invalid, "the option is too long") }
    guard name.count <= Limits.name else { return send(option, .tooBig, "the name is too long") }
    guard let number = number(of: name) else { return send(option, .unknown, "no export has this name") }
    let export = exports[number]
    let flags = flags(of: export).rawValue
    sendInfo(option, .export) {
      $0.append(big: export.size)
      $0.append(big: flags)
    }
    if wanted.contains(Wire.Info.name.rawValue) {
      sendInfo(option, .name) { $0 += Array(export.name.utf8) }
    }
    if wanted.contains(Wire.Info.description.rawValue), !export.description.isEmpty {
      sendInfo(option, .description) { $0 += Array(export.description.utf8) }
    }
    if wanted.contains(Wire.Info.blockSize.rawValue) {
      sendInfo(option, .blockSize) {
        $0.append(big: UInt32(1))
        $0.append(big: UInt32(4096))
        $0.append(big: Limits.request)
      }
    }
    send(option, .acknowledge)
    if option == Wire.Option.go.rawValue { begin(number) }
  }

  private mutating func sendInfo(_ option: UInt32, _ info: Wire.Info, _ fill: (inout [UInt8]) -> Void) {
    var data = [UInt8]()
    data.append(big: info.rawValue)
    fill(&data)
    send(option, .info, data)
  }

  // MARK: Metadata contexts

  private static let allocation = "base:allocation"
  static let allocationID: UInt32 = 1

  private mutating func selectContexts(_ option: UInt32, _ data: Cursor) {
    let isSet = option == Wire.Option.setMetaContext.rawValue
    if isSet { allocationExport = nil }
    guard isStructured else { return send(option, .invalid, "structured replies come first") }
    var data = data
    guard let name = data.string(), let count = data.word32() else {
      return send(option, .invalid, "the option is too short")
    }
    var isWanted = !isSet && count == 0
    for _ in 0..<count {
      guard let query = data.string() else { return send(option, .invalid, "the option is too short") }
      guard query.count <= Limits.name else { return send(option, .tooBig, "a query is too long") }
      isWanted =
        isWanted || query.elementsEqual(Self.allocation.utf8)
        || !isSet && query.elementsEqual("base:".utf8)
    }
    guard data.isAtEnd else { return send(option, .invalid, "the option is too long") }
    guard let number = number(of: name) else { return send(option, .unknown, "no export has this name") }
    if isWanted {
      var reply = [UInt8]()
      reply.append(big: isSet ? Self.allocationID : 0)
      send(option, .metaContext, reply + Array(Self.allocation.utf8))
      if isSet { allocationExport = number }
    }
    send(option, .acknowledge)
  }
}
