import Testing

@testable import CasyncFormat

/// Hostile archives: each breaks one rule.
@Suite("Archives, damaged")
struct CatarRulesTests {
  static let features: FeatureFlags = [
    .uids32, .nanosecondTime, .permissions, .symlinks, .deviceNodes, .fifos, .xattrs, .sha512_256,
  ]

  static func node(_ content: CatarNode.Content, permissions: UInt32 = 0o755) -> CatarNode {
    CatarNode(features: features, content: content, permissions: permissions)
  }

  /// A top directory with what `body` puts into it.
  static func archive(_ body: (inout CatarEncoder, inout [UInt8]) -> Void) -> [UInt8] {
    var bytes = [UInt8]()
    var encoder = CatarEncoder()
    encoder.begin(nil, node(.directory), to: &bytes)
    body(&encoder, &bytes)
    while encoder.depth > 0 { encoder.endDirectory(to: &bytes) }
    return bytes
  }

  static func files(_ names: [String]) -> [UInt8] {
    archive { encoder, bytes in
      for name in names { encoder.begin(Array(name.utf8), node(.regular(size: 0)), to: &bytes) }
    }
  }

  static func error(_ bytes: [UInt8]) -> CatarError.Code? {
    do {
      _ = try Decoded(bytes)
      return nil
    } catch let error as CatarError {
      return error.code
    } catch {
      return nil
    }
  }

  @Test("accepts what is right")
  func good() { #expect(Self.error(Self.files(["a", "b"])) == nil) }

  @Test(
    "refuses names that no file can have", arguments: ["", ".", "..", "/", "a/b", "../x", "/etc", "a\0b"])
  func names(name: String) { #expect(Self.error(Self.files([name])) == .badName || name.isEmpty) }

  @Test(
    "refuses names twice and out of order",
    arguments: [["a", "a"], ["b", "a"], ["a", "c", "b"], ["b", "B"]])
  func order(names: [String]) { #expect(Self.error(Self.files(names)) == .nameOrder) }

  @Test("refuses a name of 256 bytes, accepts 255")
  func longNames() {
    #expect(Self.error(Self.files([String(repeating: "x", count: 255)])) == nil)
    #expect(Self.error(Self.files([String(repeating: "x", count: 256)])) != nil)
  }

  @Test("refuses more than 64 levels")
  func depth() {
    func nested(_ levels: Int) -> [UInt8] {
      Self.archive { encoder, bytes in
        for _ in 1..<levels { encoder.begin([0x61], Self.node(.directory), to: &bytes) }
      }
    }
    #expect(Self.error(nested(64)) == nil)
    #expect(Self.error(nested(65)) == .tooDeep)
  }

  @Test("refuses a top that is no directory")
  func top() {
    var bytes = [UInt8]()
    var encoder = CatarEncoder()
    encoder.begin(nil, Self.node(.regular(size: 0)), to: &bytes)
    #expect(Self.error(bytes) == .notAnArchive)
    #expect(Self.error(Array(repeating: 0x41, count: 100)) == .notAnArchive)
  }

  @Test("refuses content that its mode does not have")
  func contents() {
    // A fifo's ENTRY with the PAYLOAD of a file behind.
    var bytes = Self.archive { encoder, bytes in encoder.begin([0x61], Self.node(.fifo), to: &bytes) }
    let payload = Self.files(["a"])
    let start = 64 + 18 + 64
    bytes.replaceSubrange(start..<start, with: payload[start..<start + 16])
    #expect(Self.error(bytes) == .unexpectedRecord)
    // A file without content.
    var bare = payload
    bare.removeSubrange(start..<start + 16)
    #expect(Self.error(bare) == .unexpectedRecord)
  }

  @Test("refuses sizes that lie", arguments: [UInt64(0), 1, 15, 16, 63, 65, 1 << 40, .max])
  func sizes(size: UInt64) {
    var bytes = Self.files(["a"])
    bytes.put(size, at: 0)
    #expect(Self.error(bytes) == .recordSize)
    // A file longer than the archive takes what follows for its content and ends early.
    bytes = Self.files(["a"])
    bytes.put(max(size, 17), at: 64 + 18 + 64)
    #expect(Self.error(bytes) != nil)
  }

  @Test("refuses features that nobody knows or that contradict each other")
  func badFeatures() {
    var bytes = Self.files([])
    bytes.put(1 << 40, at: 16)
    #expect(Self.error(bytes) == .unknownFeatures(FeatureFlags(rawValue: 1 << 40)))
    bytes.put(3, at: 16)
    #expect(Self.error(bytes) == .inconsistentFeatures(FeatureFlags(rawValue: 3)))
  }

  @Test("keeps of an archive what the mask leaves")
  func masks() {
    let all = FeatureFlags.allFeatures.normalized
    #expect(all.restored(by: .allFeatures) == all)
    #expect(all.restored(by: [.permissions]) == [.permissions])
    // One time or number stands for all of them, as casync has it.
    #expect(all.restored(by: [.secondTime, .uids16]) == [.nanosecondTime, .uids32])
    #expect(FeatureFlags([.permissions]).restored(by: .allFeatures) == [.permissions])
    #expect(all.restored(by: FeatureFlags.allFeatures.subtracting([.acl])).contains(.permissions))
  }

  @Test("times are multiples of what the features say")
  func granularity() {
    #expect(FeatureFlags([.nanosecondTime]).granularity == 1)
    #expect(FeatureFlags([.microsecondTime]).granularity == 1000)
    #expect(FeatureFlags([.secondTime]).granularity == 1_000_000_000)
    #expect(FeatureFlags([.twoSecondTime]).granularity == 2_000_000_000)
    #expect(FeatureFlags([]).granularity == nil)
  }
}
