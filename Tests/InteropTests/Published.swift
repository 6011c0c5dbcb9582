import Foundation
import TestSupport
import Testing

/// Real images that were put into a store, for all tests to read.
struct Published: Sendable {
  /// The small pair, ext4.
  let old: String
  let new: String
  /// The other formats of the new image.
  let squashfs: String
  let disk: String
  /// The first 32 MiB of each, superblock included, where a test is repeated often.
  let oldSlice: String
  let newSlice: String

  /// Indexes of the above, by the image chunker with SHA-256, and their store.
  let store: String
  let oldIndex: String
  let newIndex: String
  let oldSliceIndex: String
  let newSliceIndex: String

  static let sliceLength = 32 << 20

  @TaskLocal private static var shared: Published?

  /// What the suite's trait has published.
  static var current: Published {
    get throws { try #require(shared) }
  }

  private init(in scratch: Scratch) throws {
    let directory = try Images.small
    old = directory + "/old.ext4"
    new = directory + "/new.ext4"
    squashfs = directory + "/new.squashfs"
    disk = directory + "/new.disk"
    oldSlice = try scratch.slice(old, count: Self.sliceLength, to: "old.slice")
    newSlice = try scratch.slice(new, count: Self.sliceLength, to: "new.slice")
    let store = scratch("default.castr")
    self.store = store
    func put(_ image: String) throws -> String {
      let index = scratch(image.split(separator: "/").last.map { "\($0).caibx" } ?? "")
      try ours("put", index, image).succeeds()
      return index
    }
    oldIndex = try put(old)
    newIndex = try put(new)
    oldSliceIndex = try put(oldSlice)
    newSliceIndex = try put(newSlice)
  }

  /// Publishes before the first test of a suite and takes everything away after the last.
  struct Trait: SuiteTrait, TestScoping {
    func provideScope(
      for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
      let scratch = try Scratch(.memory)
      try await Published.$shared.withValue(Published(in: scratch), operation: function)
      withExtendedLifetime(scratch) {}
    }
  }
}

extension Trait where Self == Published.Trait {
  static var published: Self { Self() }
}
