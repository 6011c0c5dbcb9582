internal import CFuzzer
internal import CasyncFormat
internal import Glibc

/// `FUZZ_TARGET=TARGET Fuzz [libFuzzer's arguments]`: feeds one of `targets` with what libFuzzer makes.
///
/// The target is no argument, since libFuzzer starts its program anew with its own.
@main
enum Fuzz {
  /// Takes bytes from outside. Whatever they are, it has to return.
  private static let targets: [String: @Sendable ([UInt8]) -> Void] = [
    "index": fuzzIndex, "catar": fuzzCatar, "tree": fuzzTree, "nbd": fuzzNBD, "chunk": fuzzChunk,
    "protocol": fuzzProtocol,
  ]

  /// The target chosen.
  nonisolated(unsafe) fileprivate static var target: ([UInt8]) -> Void = { _ in }

  static func main() {
    let name = unsafe getenv("FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
    guard let target = targets[name] else {
      fatalError("FUZZ_TARGET is one of \(targets.keys.sorted().joined(separator: ", "))")
    }
    unsafe Fuzz.target = target
    let arguments = CommandLine.arguments
    var words = unsafe arguments.map { word in unsafe strdup(word) }
    var count = unsafe Int32(words.count)
    // SAFETY: libFuzzer keeps the words, which are never freed.
    unsafe words.withUnsafeMutableBufferPointer { words in
      var start = words.baseAddress
      exit(unsafe LLVMFuzzerRunDriver(&count, &start, takeInput))
    }
  }
}

/// libFuzzer's library wants a function of this name, whatever `LLVMFuzzerRunDriver` is told to call.
@_cdecl("LLVMFuzzerTestOneInput")
func takeInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  // SAFETY: libFuzzer lends so many bytes for the time of the call, and runs on one thread.
  unsafe Fuzz.target(Array(UnsafeBufferPointer(start: data, count: count)))
  return 0
}
