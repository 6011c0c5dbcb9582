import CasyncFormat

@testable import CasyncMount

/// What an NBD client sends, as bytes.
struct Client {
  var bytes: [UInt8] = []

  /// The client's flags.
  static func hello(_ flags: UInt32 = 3) -> Client {
    var client = Client()
    client.bytes.append(big: flags)
    return client
  }

  func option(_ number: UInt32, _ data: [UInt8] = [], claims length: UInt32? = nil) -> Client {
    var copy = self
    copy.bytes.append(big: Wire.option)
    copy.bytes.append(big: number)
    copy.bytes.append(big: length ?? UInt32(data.count))
    copy.bytes += data
    return copy
  }

  func option(_ option: Wire.Option, _ data: [UInt8] = []) -> Client { self.option(option.rawValue, data) }

  static func choice(_ name: String = "", _ infos: [UInt16] = []) -> [UInt8] {
    var data = string(name)
    data.append(big: UInt16(infos.count))
    for info in infos { data.append(big: info) }
    return data
  }

  static func contexts(_ name: String = "", _ queries: [String]) -> [UInt8] {
    var data = string(name)
    data.append(big: UInt32(queries.count))
    for query in queries { data += string(query) }
    return data
  }

  static func string(_ text: String) -> [UInt8] {
    var data = [UInt8]()
    data.append(big: UInt32(text.utf8.count))
    return data + Array(text.utf8)
  }

  func request(
    _ command: UInt16, flags: UInt16 = 0, cookie: UInt64 = 7, offset: UInt64 = 0, length: UInt32 = 0
  ) -> Client {
    var copy = self
    copy.bytes.append(big: Wire.request)
    copy.bytes.append(big: flags)
    copy.bytes.append(big: command)
    copy.bytes.append(big: cookie)
    copy.bytes.append(big: offset)
    copy.bytes.append(big: length)
    return copy
  }

  /// A write with its bytes.
  func write(_ bytes: [UInt8], flags: UInt16 = 0, cookie: UInt64 = 7, offset: UInt64 = 0) -> Client {
    var copy = request(1, flags: flags, cookie: cookie, offset: offset, length: UInt32(bytes.count))
    copy.bytes += bytes
    return copy
  }

  /// Structured replies, base:allocation and the default export.
  static var full: Client {
    hello().option(.structuredReply).option(.setMetaContext, contexts("", ["base:allocation"]))
      .option(.go, choice())
  }
}

extension NBDSession {
  static let size: UInt64 = 1 << 20

  /// What a session with the exports "" and "two" does when it gets `bytes`, cut into pieces of `step` bytes.
  static func actions(_ bytes: [UInt8], step: Int = .max, isWritable: Bool = false) -> [Action] {
    let exports = [
      Export(name: "", size: size, isWritable: isWritable),
      Export(name: "two", size: 512, description: "second"),
    ]
    return actions(bytes, step: step, in: NBDSession(exports: exports))
  }

  /// What `session` does.
  static func actions(_ bytes: [UInt8], step: Int = .max, in session: NBDSession) -> [Action] {
    var session = session
    var actions = [Action]()
    var rest = bytes[...]
    while let action = session.next() { actions.append(action) }
    while !rest.isEmpty {
      session.receive(Array(rest.prefix(step)).rawSpan)
      rest = rest.dropFirst(step)
      while let action = session.next() { actions.append(action) }
    }
    return actions
  }

  /// Types of the option replies among what is sent.
  static func replyTypes(_ client: Client) -> [UInt32] { replyTypes(actions(client.bytes)) }

  /// The same of what was done.
  static func replyTypes(_ actions: [Action]) -> [UInt32] {
    actions.compactMap { action in
      guard case .send(let bytes) = action else { return nil }
      var cursor = Cursor(bytes[...])
      guard cursor.word64() == Wire.optionReply, cursor.word32() != nil else { return nil }
      return cursor.word32()
    }
  }
}
