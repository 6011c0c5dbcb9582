internal import CasyncIO

// The NBD server (NetworkBlockDevice/nbd, doc/proto.md), from bytes to bytes:
//
//   socket → NBDSession: handshake, options, requests → Action → ImageReader → parts → ReplyQueue → socket
//
// A part lies in memory, or in a local file, from which it is sent without being read here.
//
// NBDSession is a value without I/O: it takes what a client sent and gives actions, one at a time, so that
// the server stops taking when enough is under way. NBDServer owns the sockets: one thread waits for all of
// them, takes requests, answers what is in memory at once and the rest in the order in which it is loaded.
// Everything a client can make us keep is bounded; a client that breaks the protocol loses its own
// connection.

/// One connection of an NBD client: the protocol as a state machine without I/O.
package struct NBDSession {
  /// What a client may ask for.
  package struct Export: Sendable {
    /// UTF-8; empty for the default export.
    package let name: String
    /// Bytes.
    package let size: UInt64
    package let description: String
    package let isWritable: Bool

    package init(name: String, size: UInt64, description: String = "", isWritable: Bool = false) {
      self.name = name
      self.size = size
      self.description = description
      self.isWritable = isWritable
    }
  }

  /// Bounds on what a client can make the server keep or do.
  package enum Limits {
    /// Longest option; longer ones are skipped.
    package static let option = 64 << 10
    /// Longest name of an export or metadata context (proto.md, "String values").
    package static let name = 4096
    /// Longest option or payload that is skipped; what claims to be longer ends the connection.
    package static let skipped = 32 << 20
    /// Most options before an export is chosen.
    package static let optionCount = 1024
    /// Longest read or write.
    package static let request: UInt32 = 32 << 20
    /// Most extents in one answer.
    package static let extents = 2048
  }

  /// Whether clients may encrypt what they send and get, or must.
  package enum Encryption: Sendable {
    case unavailable, available, required
  }

  /// What the server has to do.
  package enum Action: Equatable, Sendable {
    case send([UInt8])
    case read(NBDRequest)
    /// Load the range into memory, then acknowledge.
    case prefetch(NBDRequest)
    case blockStatus(NBDRequest)
    /// The range gets these bytes.
    case write(NBDRequest, [UInt8])
    case zero(NBDRequest)
    case trim(NBDRequest)
    /// Make every write that was answered durable, whoever sent it.
    case flush(NBDRequest)
    /// From now on everything goes through TLS, in both directions, but for what is to be sent already.
    case startTLS
    /// Answer everything that is under way, then close.
    case finish
    /// Close now.
    case abort
  }

  enum Phase: Equatable {
    case greeting
    case clientFlags
    case options
    case transmission
    /// The bytes of a write come.
    case payload(NBDRequest)
    /// So many bytes to throw away, then `reply` to send, then on in `options` or `transmission`.
    case skipping(Int, reply: [UInt8], inTransmission: Bool)
    case ended
  }

  let exports: [Export]
  let encryption: Encryption
  var phase = Phase.greeting
  private var input: [UInt8] = []
  private var taken = 0
  /// Actions of one option, to be given one at a time.
  var pending: [Action] = []
  var optionCount = 0
  /// What came of the bytes of a write.
  private var payload: [UInt8] = []

  // What was agreed on.
  var isEncrypted = false
  var omitsZeroes = false
  var isStructured = false
  /// The export for which base:allocation was selected.
  var allocationExport: Int?
  /// The export chosen.
  var export: Int?
  var hasAllocation = false

  package init(exports: [Export], encryption: Encryption = .unavailable) {
    self.exports = exports
    self.encryption = encryption
  }

  /// A connection of the kernel's, for which whoever attached the device has chosen the export `number`.
  package init(exports: [Export], chosen number: Int) {
    self.exports = exports
    encryption = .unavailable
    export = number
    phase = .transmission
  }

  /// Whether an export was chosen.
  package var isTransmitting: Bool { export != nil }

  /// Bytes of memory for the write that is being received.
  package var payloadCount: Int {
    if case .payload(let request) = phase { request.length } else { 0 }
  }

  /// Bytes received and not taken yet.
  package var bufferedCount: Int { input.count - taken }

  /// Takes what the client sent. Nothing happens until `next`.
  package mutating func receive(_ bytes: RawSpan) {
    guard phase != .ended else { return }
    if taken > 0 {
      input.removeFirst(taken)
      taken = 0
    }
    // SAFETY: the array copies the bytes while the span lives.
    unsafe bytes.withUnsafeBytes { unsafe input.append(contentsOf: $0) }
  }

  /// The next thing to do; `nil` when more bytes are needed for one. After `.finish` and `.abort` there is
  /// none.
  package mutating func next() -> Action? {
    while true {
      if !pending.isEmpty { return pending.removeFirst() }
      switch phase {
      case .ended: return nil
      case .greeting:
        phase = .clientFlags
        return .send(Self.greeting)
      case .clientFlags:
        guard let bytes = take(4) else { return nil }
        takeClientFlags(bytes)
      case .options:
        guard takeOption() else { return nil }
      case .transmission:
        guard let bytes = take(28) else { return nil }
        takeRequest(bytes)
      case .payload(let request):
        guard takePayload(of: request) else { return nil }
        phase = .transmission
        defer { payload = [] }
        return .write(request, payload)
      case .skipping(let count, let reply, let inTransmission):
        let step = min(count, bufferedCount)
        taken += step
        guard step == count else {
          phase = .skipping(count - step, reply: reply, inTransmission: inTransmission)
          return nil
        }
        phase = inTransmission ? .transmission : .options
        return .send(reply)
      }
    }
  }

  /// Whether `next` would give something, or at least get on.
  package var hasAction: Bool {
    if !pending.isEmpty { return true }
    return switch phase {
    case .ended: false
    case .greeting: true
    case .clientFlags: bufferedCount >= 4
    case .options: bufferedCount >= 16 && Int(optionLength) <= bufferedCount - 16
    case .transmission: bufferedCount >= 28
    case .payload(let request): bufferedCount >= request.length - payload.count
    case .skipping(let count, _, _): bufferedCount >= count
    }
  }

  /// The length that the option at the front claims to have; 0 where that is too much.
  private var optionLength: UInt32 {
    guard let header = peek(16) else { return 0 }
    var cursor = Cursor(header.dropFirst(12))
    guard let length = cursor.word32(), length <= Limits.option else { return 0 }
    return length
  }

  /// The next `count` bytes; `nil`, with nothing taken, when they are not there yet.
  mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
    guard bufferedCount >= count else { return nil }
    defer { taken += count }
    return input[taken..<taken + count]
  }

  /// The next `count` bytes, which stay.
  func peek(_ count: Int) -> ArraySlice<UInt8>? {
    bufferedCount >= count ? input[taken..<taken + count] : nil
  }

  /// Takes what is there of the bytes of a write.
  /// - Returns: whether they are complete.
  private mutating func takePayload(of request: NBDRequest) -> Bool {
    if payload.isEmpty { payload.reserveCapacity(request.length) }
    let step = min(request.length - payload.count, bufferedCount)
    payload += input[taken..<taken + step]
    taken += step
    return payload.count == request.length
  }

  mutating func end(_ action: Action) {
    pending.append(action)
    phase = .ended
    input = []
    taken = 0
  }

  private static let greeting: [UInt8] = {
    var bytes = [UInt8]()
    bytes.append(big: Wire.greeting)
    bytes.append(big: Wire.option)
    bytes.append(big: Wire.fixedNewstyle | Wire.noZeroes)
    return bytes
  }()

  private mutating func takeClientFlags(_ bytes: ArraySlice<UInt8>) {
    var cursor = Cursor(bytes)
    guard let flags = cursor.word32(), flags & ~UInt32(Wire.fixedNewstyle | Wire.noZeroes) == 0 else {
      return end(.abort)
    }
    omitsZeroes = flags & UInt32(Wire.noZeroes) != 0
    phase = .options
  }
}
