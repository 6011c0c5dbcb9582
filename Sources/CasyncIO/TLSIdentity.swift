internal import CSSL
internal import Glibc

/// What a TLS server shows to its clients and asks of them. The files have the names that qemu and nbdkit
/// give them: ca-cert.pem, server-cert.pem, server-key.pem.
@safe package final class TLSIdentity {
  let context: OpaquePointer

  /// Reads the certificates below `directory`. Blocks.
  /// - Parameter verifiesClients: let in only clients with a certificate that ca-cert.pem, or one it signed,
  ///   has signed.
  /// - Throws: `SystemError` for a file that cannot be read, `TLSError` for one that is not good.
  package init(directory: String, verifiesClients: Bool) throws {
    // Failure means no memory: nothing could be done then.
    guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
      preconditionFailure("no memory for TLS")
    }
    unsafe self.context = context
    // SAFETY: the context is alive as long as self, and every call copies what it is given.
    guard unsafe casync_ssl_restrict(context) == 1 else { throw TLSError("set up", "TLS") }
    try Self.use("\(directory)/server-cert.pem", "certificate") {
      unsafe SSL_CTX_use_certificate_chain_file(context, $0)
    }
    try Self.use("\(directory)/server-key.pem", "key") {
      unsafe SSL_CTX_use_PrivateKey_file(context, $0, SSL_FILETYPE_PEM)
    }
    guard unsafe SSL_CTX_check_private_key(context) == 1 else {
      throw TLSError("use", "\(directory)/server-key.pem with the certificate beside it")
    }
    guard verifiesClients else { return }
    try Self.use("\(directory)/ca-cert.pem", "certificate") { unsafe SSL_CTX_load_verify_file(context, $0) }
    unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
  }

  deinit { unsafe SSL_CTX_free(context) }

  private static func use(_ path: String, _ what: String, _ call: (String) -> Int32) throws {
    // The library's own message for a file that is not there does not name it.
    _ = try File.open(path)
    guard call(path) == 1 else { throw TLSError("read the \(what) in", path) }
  }
}

/// Something that libssl refused, and its reason.
package struct TLSError: Error, CustomStringConvertible {
  package let description: String

  /// Takes the reason from the library's queue of this thread, and empties it.
  init(_ operation: String, _ subject: String) {
    var text = [CChar](repeating: 0, count: 256)
    let code = ERR_get_error()
    // SAFETY: the call writes at most the array's length, a zero among it.
    unsafe ERR_error_string_n(code, &text, text.count)
    ERR_clear_error()
    let words = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // "error:0A00018E:SSL routines::ca md too weak"
    let reason = words.split(separator: ":").last.map(String.init) ?? words
    description = "cannot \(operation) \(subject): \(reason)"
  }
}
