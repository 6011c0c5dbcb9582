import Foundation
import TestSupport
import Testing

/// What a test needs of its machine. Without it the test is skipped with the reason; under CI it runs and
/// fails.
extension Trait where Self == ConditionTrait {
  /// Loop devices and mounts.
  static var root: Self {
    .enabled(if: getuid() == 0 || isCI, "needs root, for loop devices and mounts")
  }

  static func tools(_ names: String...) -> Self {
    .enabled("needs \(names.joined(separator: ", "))") {
      try isCI || names.allSatisfy { try Command.run("which", [$0]).status == 0 }
    }
  }

  /// Debian's casync.
  static var casync: Self {
    .enabled(if: isCI || FileManager.default.isExecutableFile(atPath: reference), "needs Debian's casync")
  }
}

/// `ci/test` sets it.
let isCI = ProcessInfo.processInfo.environment["CI"] == "1"

/// The program that we are compared with, whatever else PATH has under its name.
let reference = "/usr/bin/casync"
