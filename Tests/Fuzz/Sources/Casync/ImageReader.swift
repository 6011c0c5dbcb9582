/// In the place of the engine: what the NBD protocol knows of its images. With the engine itself the fuzzer
/// would have to be linked with every library there is.
package enum ImageReader {
  package struct Extent: Sendable {
    package var length: UInt64
    package let isZero: Bool

    package init(length: UInt64, isZero: Bool) {
      self.length = length
      self.isZero = isZero
    }
  }
}
