/// Why bytes are not an archive, or not one that can be used.
public struct CatarError: Error, Equatable, Sendable {
  public enum Code: Equatable, Sendable {
    /// The archive ends before the GOODBYE of its top directory.
    case truncated
    /// The first record is not the ENTRY of a directory: no archive at all.
    case notAnArchive
    /// A record that may not stand here.
    case unexpectedRecord
    /// A record whose size cannot be.
    case recordSize
    /// A record that contradicts itself, its archive, or the rules of its fields.
    case badRecord(String)
    case unknownFeatures(FeatureFlags)
    case inconsistentFeatures(FeatureFlags)
    /// A name that no file in a directory can have.
    case badName
    /// Names in a directory that do not ascend: twice the same, or wrong order.
    case nameOrder
    /// More than 64 directories inside one another.
    case tooDeep
    /// A node with more metadata than any file system holds.
    case tooLarge
  }

  public let code: Code
  /// Where in the archive, in bytes.
  public let offset: UInt64

  package init(_ code: Code, at offset: UInt64) {
    self.code = code
    self.offset = offset
  }
}

extension CatarError: CustomStringConvertible {
  public var description: String {
    switch code {
    case .truncated: "the archive is cut short at byte \(offset)"
    case .notAnArchive: "not an archive (no entry of a directory at byte \(offset))"
    case .unexpectedRecord: "the archive is damaged: a record that cannot stand at byte \(offset)"
    case .recordSize: "the archive is damaged: the size of the record at byte \(offset) cannot be"
    case .badRecord(let what): "the archive is damaged: \(what) (byte \(offset))"
    case .unknownFeatures(let flags):
      "the archive uses features this version does not know (flags 0x\(String(flags.rawValue, radix: 16)))"
    case .inconsistentFeatures(let flags):
      "the feature flags of the archive contradict each other (0x\(String(flags.rawValue, radix: 16)))"
    case .badName: "the archive is damaged: a name that no file can have (byte \(offset))"
    case .nameOrder: "the archive is damaged: names of a directory that do not ascend (byte \(offset))"
    case .tooDeep: "the archive has directories more than 64 levels deep (byte \(offset))"
    case .tooLarge: "the archive is damaged: a file with too many attributes (byte \(offset))"
    }
  }
}
