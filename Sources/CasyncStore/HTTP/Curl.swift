internal import CCurl
internal import Glibc

/// One exchange with a server: a handle of libcurl with what it received. Used by the client's thread alone;
/// the object does not move or go while the exchange is under way, since libcurl holds its address.
@safe final class CurlTransfer {
  fileprivate let handle: UnsafeMutableRawPointer
  private let message = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
  private var headers: UnsafeMutablePointer<curl_slist>?
  private var request = HTTPRequest(url: "")
  private var body: [UInt8] = []
  /// What the request continues: so many bytes, which `body` holds, under this validator.
  private var offset = 0
  private var validator: String?
  private var isTooLong = false
  private var hasBegun = false
  /// The beginning of an error's page.
  private var page: [UInt8] = []
  private static let pageLimit = 2048
  /// Where sending stands: a piece of the request's body, and a byte in it.
  private var sending = (piece: 0, offset: 0)

  init() {
    guard let handle = unsafe curl_easy_init() else { preconditionFailure("no memory for a connection") }
    unsafe self.handle = handle
  }

  deinit {
    unsafe curl_easy_cleanup(handle)
    unsafe curl_slist_free_all(headers)
    unsafe message.deallocate()
  }

  /// Makes it ready for an exchange.
  func prepare(_ request: HTTPRequest, _ settings: ConnectionSettings) {
    self.request = request
    body = request.partial?.bytes ?? []
    offset = body.count
    validator = request.partial?.validator
    // The bytes are held once.
    self.request.partial = nil
    isTooLong = false
    hasBegun = false
    sending = (0, 0)
    page = []
    unsafe curl_easy_reset(handle)
    unsafe curl_slist_free_all(headers)
    unsafe headers = nil
    unsafe message.pointee = 0
    // SAFETY: libcurl keeps the addresses of `message` and `self`, which outlive the handle; it copies texts.
    unsafe casync_set_pointer(handle, CURLOPT_ERRORBUFFER, message)
    let address = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe casync_set_pointer(handle, CURLOPT_PRIVATE, address)
    unsafe casync_set_pointer(handle, CURLOPT_WRITEDATA, address)
    unsafe casync_set_callback(handle, CURLOPT_WRITEFUNCTION, Self.receive)
    setText(CURLOPT_URL, request.url)
    setText(CURLOPT_USERAGENT, "casync-swift")
    setText(CURLOPT_PROTOCOLS_STR, "http,https")
    if let file = settings.certificateAuthorities { setText(CURLOPT_CAINFO, file) }
    if !request.isElsewhere { setIdentity(settings) }
    if let rate = settings.rateLimit.flatMap(Int.init(exactly:)) {
      unsafe casync_set_offset(handle, CURLOPT_MAX_RECV_SPEED_LARGE, rate)
    }
    if isSFTP { prepareForSFTP(settings) }
    setNumbers(settings)
    setMethod()
    setHeaders()
  }

  /// Who we are, for the server that was named.
  private func setIdentity(_ settings: ConnectionSettings) {
    if let file = settings.certificate { setText(CURLOPT_SSLCERT, file) }
    if let file = settings.certificateKey { setText(CURLOPT_SSLKEY, file) }
    if let user = settings.user { setText(CURLOPT_USERNAME, user) }
    if let password = settings.password { setText(CURLOPT_PASSWORD, password) }
    for header in settings.headers { addHeader(header) }
  }

  private var isSFTP: Bool { request.url.hasPrefix("sftp:") }

  /// SFTP, by libssh2: hosts that are known, and the keys of the agent or of the usual files.
  private func prepareForSFTP(_ settings: ConnectionSettings) {
    setText(CURLOPT_PROTOCOLS_STR, "sftp")
    setText(CURLOPT_SSH_KNOWNHOSTS, "\(settings.sshDirectory)/known_hosts")
    if let key = settings.sshKey { setText(CURLOPT_SSH_PRIVATE_KEYFILE, key) }
    if settings.user == nil, let user = settings.loginName,
      !request.url.dropFirst("sftp://".count).prefix(while: { $0 != "/" }).contains("@")
    {
      setText(CURLOPT_USERNAME, user)
    }
  }

  private func setNumbers(_ settings: ConnectionSettings) {
    set(CURLOPT_NOSIGNAL, 1)
    set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS)
    // Wait for a connection that can carry many requests rather than opening one for each.
    set(CURLOPT_PIPEWAIT, 1)
    set(CURLOPT_NETRC, Int(CURL_NETRC_OPTIONAL.rawValue))
    set(CURLOPT_TCP_KEEPALIVE, 1)
    set(CURLOPT_CONNECTTIMEOUT_MS, settings.connectTimeout.milliseconds)
    // Counts while the first byte is waited for, too.
    set(CURLOPT_LOW_SPEED_LIMIT, 1)
    set(CURLOPT_LOW_SPEED_TIME, max(1, settings.stallTimeout.milliseconds / 1000))
  }

  private func setMethod() {
    switch request.method {
    case .get: break
    case .head: set(CURLOPT_NOBODY, 1)
    case .delete: setText(CURLOPT_CUSTOMREQUEST, "DELETE")
    case .put:
      set(CURLOPT_UPLOAD, 1)
      let count = request.body.reduce(0) { $0 + $1.count }
      unsafe casync_set_offset(handle, CURLOPT_INFILESIZE_LARGE, count)
      // SAFETY: as for WRITEDATA in `prepare`.
      let address = unsafe Unmanaged.passUnretained(self).toOpaque()
      unsafe casync_set_pointer(handle, CURLOPT_READDATA, address)
      unsafe casync_set_pointer(handle, CURLOPT_SEEKDATA, address)
      unsafe casync_set_callback(handle, CURLOPT_READFUNCTION, Self.send)
      unsafe casync_set_seek(handle, Self.seek)
    }
    if let signature = request.signature {
      // The provider's names, as libcurl documents them: AWS's own, and those of its headers.
      setText(CURLOPT_AWS_SIGV4, "aws:amz:\(signature.region):s3")
      setText(CURLOPT_USERNAME, signature.credentials.key)
      setText(CURLOPT_PASSWORD, signature.credentials.secret)
      set(CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
    }
  }

  private func setHeaders() {
    for header in request.headers { addHeader(header) }
    if let range = request.range, !range.isEmpty {
      setText(CURLOPT_RANGE, "\(range.lowerBound)-\(range.upperBound - 1)")
    }
    if let validator {
      setText(CURLOPT_RANGE, "\(offset)-")
      addHeader("If-Range: \(validator)")
    }
    unsafe casync_set_pointer(handle, CURLOPT_HTTPHEADER, headers)
  }

  private func addHeader(_ line: String) {
    unsafe headers = curl_slist_append(headers, line)
  }

  private func set(_ option: CURLoption, _ value: Int) {
    unsafe casync_set_number(handle, option, value)
  }

  private func setText(_ option: CURLoption, _ value: String) {
    unsafe casync_set_text(handle, option, value)
  }

  // MARK: Sending

  private static let send: curl_read_callback = { memory, size, count, address in
    guard let memory = unsafe memory, let address = unsafe address else { return 0 }
    // SAFETY: the address is that of the transfer, which is held until libcurl has let go of it; the memory
    // is libcurl's for the duration of this call.
    let transfer = unsafe Unmanaged<CurlTransfer>.fromOpaque(address).takeUnretainedValue()
    return unsafe transfer.give(UnsafeMutableRawBufferPointer(start: memory, count: size * count))
  }

  /// libcurl begins again, on another connection.
  private static let seek: curl_seek_callback = { address, offset, _ in
    guard let address = unsafe address, offset == 0 else { return CURL_SEEKFUNC_FAIL }
    // SAFETY: as for `send`.
    unsafe Unmanaged<CurlTransfer>.fromOpaque(address).takeUnretainedValue().sending = (0, 0)
    return CURL_SEEKFUNC_OK
  }

  /// - Returns: how many bytes were put into `memory`; 0 at the end of the body.
  private func give(_ memory: UnsafeMutableRawBufferPointer) -> Int {
    while sending.piece < request.body.count {
      let piece = request.body[sending.piece]
      let count = min(memory.count, piece.count - sending.offset)
      guard count > 0 else {
        sending = (sending.piece + 1, 0)
        continue
      }
      unsafe memory.copyBytes(from: piece[sending.offset..<sending.offset + count])
      sending.offset += count
      return count
    }
    return 0
  }

  // MARK: Receiving

  private static let receive: curl_write_callback = { bytes, size, count, address in
    guard let bytes = unsafe bytes, let address = unsafe address else { return 0 }
    // SAFETY: the address is that of the transfer, which is held until libcurl has let go of it; the bytes
    // are libcurl's for the duration of this call.
    let transfer = unsafe Unmanaged<CurlTransfer>.fromOpaque(address).takeUnretainedValue()
    return unsafe transfer.take(UnsafeRawBufferPointer(start: bytes, count: size * count))
  }

  /// - Returns: how many bytes were taken; fewer than there are end the transfer.
  private func take(_ bytes: UnsafeRawBufferPointer) -> Int {
    // The pages of an error are not wanted, whatever their length, but for what S3 says in them.
    guard isSuccess, request.method == .get else {
      if request.signature != nil {
        unsafe page.append(contentsOf: bytes.prefix(Self.pageLimit - page.count))
      }
      return bytes.count
    }
    if !hasBegun {
      hasBegun = true
      if !continuesPartial { body = [] }
      let length = unsafe casync_offset(handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T)
      if let length = Int(exactly: length), length > 0, length <= request.limit - body.count {
        body.reserveCapacity(body.count + length)
      }
    }
    guard body.count + bytes.count <= request.limit else {
      isTooLong = true
      return 0
    }
    unsafe body.append(contentsOf: bytes)
    return bytes.count
  }

  private var status: Int { unsafe casync_number(handle, CURLINFO_RESPONSE_CODE) }
  private var isSuccess: Bool {
    if isSFTP { return true }
    switch status {
    // Of a part the whole is none, but when it begins with it.
    case 200: return request.range.map { $0.lowerBound == 0 } ?? true
    case 206: return continuesPartial || isPart
    default: return false
    }
  }

  /// Whether the response is the part that was asked for.
  private var isPart: Bool {
    request.range.map { header("Content-Range")?.hasPrefix("bytes \($0.lowerBound)-") ?? false } ?? false
  }

  /// Whether the response is the rest of what an earlier one began.
  private var continuesPartial: Bool {
    guard validator != nil, status == 206 else { return false }
    return header("Content-Range")?.hasPrefix("bytes \(offset)-") ?? false
  }

  private func header(_ name: String) -> String? {
    // SAFETY: the text is valid until the handle is used again, and copied here.
    unsafe casync_header(handle, name).map { unsafe String(cString: $0) }
  }

  /// Bytes of headers and body that came in this exchange.
  var receivedBytes: Int {
    let body = unsafe casync_offset(handle, CURLINFO_SIZE_DOWNLOAD_T)
    let headers = unsafe casync_number(handle, CURLINFO_HEADER_SIZE)
    return Int(clamping: max(0, body)) + headers
  }

  /// What is left of a body that was cut, if the server says how the rest can be had.
  var remainder: (bytes: [UInt8], validator: String)? {
    guard request.range == nil else { return nil }
    // Without a body of this response it is what was there before, unless the server wants none of it.
    guard hasBegun, isSuccess else { return status == 416 ? nil : validator.map { (body, $0) } }
    guard !body.isEmpty, let validator = header("ETag"), validator.hasPrefix("\"") else { return nil }
    return (body, validator)
  }

  /// What the exchange came to.
  fileprivate func outcome(_ code: CURLcode) -> HTTPOutcome {
    // What was sent is held by who may send it again.
    defer { request.body = [] }
    if isTooLong {
      return .failed(
        reason: "the answer is longer than the \(request.limit) bytes that it may have", isTransient: false,
        isOverload: false)
    }
    if isSFTP, let outcome = sftpOutcome(code) { return outcome }
    guard code == CURLE_OK else {
      // SAFETY: libcurl ends the message in the buffer, and gives a constant text for each code.
      let text = unsafe String(cString: message)
      let reason = text.isEmpty ? unsafe String(cString: curl_easy_strerror(code)) : text
      let isTransient = Self.transient.contains(code) || text.contains("HTTP/0.9")
      return .failed(
        reason: Self.clean(reason), isTransient: isTransient,
        isOverload: code == CURLE_OPERATION_TIMEDOUT || code == CURLE_COULDNT_CONNECT)
    }
    let length = unsafe casync_offset(handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T)
    let pause = unsafe casync_offset(handle, CURLINFO_RETRY_AFTER)
    let version = unsafe casync_number(handle, CURLINFO_HTTP_VERSION)
    defer { if isSuccess { body = [] } }
    return .response(
      HTTPResponse(
        status: status, body: isSuccess && hasBegun ? body : page, length: UInt64(exactly: length),
        validator: header("ETag"), redirect: redirect, retryAfter: pause > 0 ? .seconds(pause) : nil,
        isMultiplexed: version >= CURL_HTTP_VERSION_2_0))
  }

  /// What an exchange by SFTP came to, in the words of HTTP where it has them; `nil` for a failure on the
  /// way.
  private func sftpOutcome(_ code: CURLcode) -> HTTPOutcome? {
    func response(_ status: Int) -> HTTPOutcome {
      let length = unsafe casync_offset(handle, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T)
      return .response(
        HTTPResponse(
          status: status, body: status == 200 ? body : [], length: UInt64(exactly: length), validator: nil,
          redirect: nil,
          retryAfter: nil, isMultiplexed: false))
    }
    func failure(_ reason: String) -> HTTPOutcome {
      .failed(reason: reason, isTransient: false, isOverload: false)
    }
    switch code {
    case CURLE_OK:
      defer { body = [] }
      return response(200)
    case CURLE_REMOTE_FILE_NOT_FOUND: return response(404)
    case CURLE_LOGIN_DENIED: return failure("the server does not let us in")
    case CURLE_REMOTE_ACCESS_DENIED: return failure("the server refuses access")
    case CURLE_PEER_FAILED_VERIFICATION:
      return failure("the host key is not known, or is not the one that is known")
    default: return nil
    }
  }

  /// Where the server sends us.
  private var redirect: String? {
    // SAFETY: the text is valid until the handle is used again, and copied here.
    unsafe casync_redirect(handle).map { unsafe String(cString: $0) }
  }

  /// Failures of the way to the server, which may be gone the next time.
  private static let transient: [CURLcode] = [
    CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT, CURLE_PARTIAL_FILE,
    CURLE_OPERATION_TIMEDOUT, CURLE_SSL_CONNECT_ERROR, CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR,
    CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_WEIRD_SERVER_REPLY, CURLE_SEND_FAIL_REWIND, CURLE_SSH,
  ]

  /// A message of libcurl in one line, as part of a sentence.
  private static func clean(_ text: String) -> String {
    let line = text.prefix { !$0.isNewline }
    return String(line.last == "." ? line.dropLast() : line)
  }
}

/// The transfers that are under way at one time, carried on by one thread.
///
/// `@unchecked Sendable`: only `wake` is called by other threads, which libcurl allows for it.
@safe final class CurlMulti: @unchecked Sendable {
  private let handle: UnsafeMutableRawPointer
  /// Held here, since libcurl has their addresses.
  private var transfers: [ObjectIdentifier: CurlTransfer] = [:]

  /// libcurl's own state, made once.
  private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  init(connections: Int) {
    precondition(Self.isReady, "libcurl cannot be used")
    guard let handle = unsafe curl_multi_init() else { preconditionFailure("no memory for connections") }
    unsafe self.handle = handle
    unsafe casync_multi_set_number(handle, CURLMOPT_MAX_HOST_CONNECTIONS, connections)
    unsafe casync_multi_set_number(handle, CURLMOPT_MAXCONNECTS, connections)
  }

  deinit {
    for transfer in transfers.values { unsafe curl_multi_remove_handle(handle, transfer.handle) }
    transfers = [:]
    unsafe curl_multi_cleanup(handle)
  }

  func add(_ transfer: CurlTransfer) {
    transfers[ObjectIdentifier(transfer)] = transfer
    unsafe curl_multi_add_handle(handle, transfer.handle)
  }

  func remove(_ transfer: CurlTransfer) {
    unsafe curl_multi_remove_handle(handle, transfer.handle)
    transfers[ObjectIdentifier(transfer)] = nil
  }

  /// Carries on what can be carried on now. Does not block.
  /// - Parameter ended: called for each transfer that has ended; it is no longer part of this.
  func perform(_ ended: (CurlTransfer, HTTPOutcome) -> Void) {
    var running: Int32 = 0
    unsafe curl_multi_perform(handle, &running)
    var code = CURLE_OK
    while let easy = unsafe casync_multi_next(handle, &code) {
      guard let address = unsafe casync_private(easy) else { continue }
      // SAFETY: `prepare` put the address there, and `transfers` holds the object.
      let transfer = unsafe Unmanaged<CurlTransfer>.fromOpaque(address).takeUnretainedValue()
      let outcome = transfer.outcome(code)
      // The headers of the response stay with the handle until its next use.
      remove(transfer)
      ended(transfer, outcome)
    }
  }

  /// Waits until something can be carried on, `wake` was called, or the time is over.
  func wait(_ duration: Duration) {
    unsafe curl_multi_poll(handle, nil, 0, Int32(clamping: max(0, duration.milliseconds)), nil)
  }

  /// Ends a `wait`, the present or the next one. May be called by any thread.
  func wake() { unsafe curl_multi_wakeup(handle) }
}

extension Duration {
  /// Whole milliseconds, rounded up.
  var milliseconds: Int {
    Int(clamping: components.seconds) * 1000
      + Int((components.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }
}
