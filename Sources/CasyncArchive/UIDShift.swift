/// How user and group numbers are moved between a tree and its archive (casync's `--uid-shift=`,
/// `--uid-range=`).
public struct UIDShift: Equatable, Sendable {
  public var shift: UInt32
  /// Numbers in the archive are taken modulo this; 0 stands for all numbers.
  public var range: UInt32

  public init(shift: UInt32 = 0, range: UInt32 = 0) {
    self.shift = shift
    self.range = range
  }

  public static let none = UIDShift()

  /// The number in the archive; `nil` for one below the shift.
  func archived(_ id: UInt32) -> UInt32? {
    guard id >= shift else { return nil }
    return range == 0 ? id - shift : (id - shift) % range
  }

  /// The number on disk; `nil` where there is no such number.
  package func restored(_ id: UInt32) -> UInt32? {
    let (sum, overflow) = (range == 0 ? id : id % range).addingReportingOverflow(shift)
    return overflow || !Self.isValid(sum) ? nil : sum
  }

  /// Whether a number can be a user's: 65535 and the highest stand for nobody.
  static func isValid(_ id: UInt32) -> Bool { id != 65535 && id != .max }
}
