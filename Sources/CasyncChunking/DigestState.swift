internal import CCrypto
internal import CasyncFormat

/// A digest under way in libcrypto: the one owner of its context.
@safe
final class DigestState {
  private let context: OpaquePointer
  private let method: OpaquePointer

  /// The state before the first byte.
  init(_ algorithm: DigestAlgorithm) {
    let name =
      switch algorithm {
      case .sha256: "SHA2-256"
      case .sha512_256: "SHA2-512/256"
      }
    // Failure means no memory, or a libcrypto that is configured without SHA-2: nothing could be done then.
    guard let method = unsafe EVP_MD_fetch(nil, name, nil), let context = unsafe EVP_MD_CTX_new() else {
      preconditionFailure("libcrypto has no \(algorithm.rawValue)")
    }
    unsafe self.context = context
    unsafe self.method = method
    reset()
  }

  /// Continues from where `other` is.
  init(copying other: DigestState) {
    guard let context = unsafe EVP_MD_CTX_new() else { preconditionFailure("no memory for a digest") }
    unsafe self.context = context
    unsafe self.method = other.method
    // SAFETY: both contexts are owned and alive; the method is counted once more for this owner.
    let isDone = unsafe EVP_MD_up_ref(method) == 1 && EVP_MD_CTX_copy_ex(context, other.context) == 1
    precondition(isDone, "libcrypto cannot copy a digest")
  }

  deinit {
    // SAFETY: both are owned by this object alone.
    unsafe EVP_MD_CTX_free(context)
    unsafe EVP_MD_free(method)
  }

  /// Starts anew.
  func reset() {
    // SAFETY: context and method are alive as long as self.
    let isDone = unsafe EVP_DigestInit_ex(context, method, nil) == 1
    precondition(isDone, "libcrypto cannot start a digest")
  }

  /// Adds `bytes`.
  func update(_ bytes: UnsafeRawBufferPointer) {
    // SAFETY: the caller's buffer outlives the call, which reads its count of bytes.
    let isDone = unsafe EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1
    precondition(isDone, "libcrypto cannot continue a digest")
  }

  /// The digest of what was added; then only `reset` is allowed.
  func finish() -> ChunkID {
    var words: InlineArray<4, UInt64> = [0, 0, 0, 0]
    // SAFETY: both digests have 32 bytes, the size of the words, which take any bits.
    let isDone = unsafe withUnsafeMutableBytes(of: &words) { buffer in
      unsafe EVP_DigestFinal_ex(context, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), nil) == 1
    }
    precondition(isDone, "libcrypto cannot finish a digest")
    return ChunkID(words: words)
  }
}
