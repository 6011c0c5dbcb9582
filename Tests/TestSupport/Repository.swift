import Foundation

/// The tree that the tests were built from.
package enum Repository {
  /// Path of a file in it.
  package static func path(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent(name).path
  }
}

/// The real images that the recipes of `images/` make.
package enum Images {
  /// The directory with old.ext4, new.ext4 and the other formats of the small pair; made when it is not
  /// there.
  package static var small: String {
    get throws { try directory.get() }
  }

  private static let directory = Result {
    try Tool.run(Repository.path("images/build"), "small", "ext4", "squashfs", "disk")
  }
}
