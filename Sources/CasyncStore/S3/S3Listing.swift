internal import CasyncFormat
package import CasyncIO
internal import Synchronization

/// A store in a bucket whose chunks are listed and removed: for collecting and checking it.
package final class S3Listing: CollectableStore {
  private let store: HTTPStore
  private let bucket: S3Bucket
  /// Key of the store, without slashes at its ends.
  private let key: String
  private let suffix: String
  private let client: HTTPClient
  /// What the present page says of its files.
  private let facts = Mutex<[String: (size: UInt64, modified: Int64)]>([:])
  private let removals = Mutex(Fifo<HTTPTicket>())
  private let now: Int64
  private static let removalsAtOnce = 64
  /// A page of 1000 keys of at most 1024 bytes, and what is around them.
  private static let pageLimit = 8 << 20

  /// - Parameter now: seconds since 1970, against which ages are counted.
  init(_ store: HTTPStore, _ bucket: S3Bucket, key: String, suffix: String, client: HTTPClient, now: Int64) {
    self.store = store
    self.bucket = bucket
    self.key = key
    self.suffix = suffix
    self.client = client
    self.now = now
  }

  package var name: String { store.name }

  /// Nobody locks a bucket: `--grace` keeps apart who writes and who removes.
  package func lockForRemoving() -> File? { nil }

  package func forEachEntry(
    _ body: (LocalStore.Entry) throws -> Void, stray: (LocalStore.Stray) throws -> Void,
    directory: (String) throws -> Void
  ) throws {
    var token: String?
    repeat {
      let page = try page(after: token)
      facts.withLock { facts in
        facts = [:]
        for file in page.files { facts[file.name] = (file.size, file.modified) }
      }
      for file in page.files {
        let parts = file.name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if parts.count == 2, let entry = LocalStore.entry(parts[0], parts[1], suffix: suffix) {
          try body(entry)
        } else {
          try stray(LocalStore.Stray(kind: .foreign, name: file.name))
        }
      }
      token = page.next
    } while token != nil
  }

  package func sizeAndAge(of name: String) -> (size: UInt64, age: Int64)? {
    facts.withLock { $0[name] }.map { ($0.size, now - $0.modified) }
  }

  package func remove(_ name: String) throws {
    removals.withLock { $0.append(store.place.file(name).start(.delete)) }
    try finish(downTo: Self.removalsAtOnce)
  }

  package func removeEmptyDirectory(_ name: String) -> Bool { false }

  package func finishRemoving() throws { try finish(downTo: 0) }

  private func finish(downTo count: Int) throws {
    while let ticket = removals.withLock({ $0.count > count ? $0.popFirst() : nil }) {
      _ = try store.place.response(ticket)
    }
  }

  package func load(
    _ entry: LocalStore.Entry, using loader: ChunkLoader
  ) throws -> LocalStore.LoadAny {
    let file = store.place.file(entry.name)
    guard let body = try file.response(file.start(limit: ChunkSizes.limit - 1))?.body, !body.isEmpty else {
      return .missing
    }
    return loader.loadAny(body.rawSpan, compressed: entry.form == .compressed)
  }

  // MARK: Pages

  private struct Page {
    var files: [(name: String, size: UInt64, modified: Int64)] = []
    var next: String?
  }

  private func page(after token: String?) throws -> Page {
    let prefix = key.isEmpty ? "" : key + "/"
    // In the order of their names, as the signature wants them.
    var arguments = ["list-type=2", "prefix=\(prefix.split(separator: "/").joined(separator: "%2F"))%2F"]
    if prefix.isEmpty { arguments[1] = "prefix=" }
    if let token { arguments.insert("continuation-token=\(S3Address.encoded(token))", at: 0) }
    let place = RemotePlace(
      name: store.name, url: "\(bucket.url)?\(arguments.joined(separator: "&"))", client: client,
      bucket: bucket)
    guard let response = try place.response(place.start(limit: Self.pageLimit)) else {
      throw StoreError(.notFound, store.name, "there is no such bucket")
    }
    return Self.page(response.body, prefix: Self.decoded(prefix))
  }

  private static func page(_ body: [UInt8], prefix: String) -> Page {
    var scanner = XMLScanner(body)
    var page = Page()
    var file: (name: String, size: UInt64, modified: Int64) = ("", 0, 0)
    var isTruncated = false
    while let event = scanner.next() {
      switch event {
      case .text(name: "Key", let key):
        file.name = key.hasPrefix(prefix) ? String(key.dropFirst(prefix.count)) : ""
      case .text(name: "Size", let text): file.size = UInt64(text) ?? 0
      case .text(name: "LastModified", let text): file.modified = seconds(text) ?? 0
      case .text(name: "IsTruncated", let text): isTruncated = text == "true"
      case .text(name: "NextContinuationToken", let text): page.next = text
      case .end(name: "Contents"):
        if !file.name.isEmpty { page.files.append(file) }
        file = ("", 0, 0)
      default: break
      }
    }
    if !isTruncated { page.next = nil }
    return page
  }

  private static func decoded(_ text: String) -> String {
    var bytes = [UInt8]()
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"), rest.count >= 2, let value = UInt8(Substring(rest.prefix(2)), radix: 16) {
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Seconds since 1970 of `2026-11-24T13:37:09.000Z`.
  static func seconds(_ text: String) -> Int64? {
    let numbers = text.split { !$0.isASCII || !$0.isNumber }.prefix(6).compactMap { Int64($0) }
    guard numbers.count == 6, 1970...9999 ~= numbers[0], 1...12 ~= numbers[1], 1...31 ~= numbers[2] else {
      return nil
    }
    // Days by the calendar that starts in March: a leap day is then a year's last.
    let year = numbers[1] > 2 ? numbers[0] : numbers[0] - 1
    let month = (numbers[1] + 9) % 12
    let days =
      365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + numbers[2] - 1 - 719_468
    return days * 86_400 + numbers[3] * 3600 + numbers[4] * 60 + numbers[5]
  }
}
