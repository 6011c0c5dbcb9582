import Foundation
import TestSupport
import Testing

/// From image to image through the built program, in a directory of its own.
@Suite("The command, on a real image,")
final class JourneyTests {
  private let directory: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("casync-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    directory = url.path
    // Bytes that no compressor shrinks, the same in each run (Marsaglia's xorshift64).
    var state: UInt64 = 88_172_645_463_325_252
    var image = (0..<2_000_000).map { _ in
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return UInt8(truncatingIfNeeded: state)
    }
    image.replaceSubrange(700_000..<1_100_000, with: repeatElement(0, count: 400_000))
    try Data(image).write(to: url.appendingPathComponent("image"))
    image.replaceSubrange(1_300_000..<1_300_100, with: repeatElement(7, count: 100))
    try Data(image).write(to: url.appendingPathComponent("other"))
  }

  deinit {
    // What could not be removed lies in the temporary directory.
    try? FileManager.default.removeItem(atPath: directory)
  }

  private func casync(_ line: String, input: [UInt8]? = nil, environment: [String: String?] = [:]) throws
    -> Command
  {
    try Command.casync(
      line.split(separator: " ").map(String.init), in: directory, environment: environment, input: input)
  }

  private func content(_ name: String) throws -> [UInt8] {
    try Array(Data(contentsOf: URL(fileURLWithPath: directory).appendingPathComponent(name)))
  }

  private func keys(_ text: String) throws -> Set<String> {
    let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
    return Set(try #require(object).keys)
  }

  @Test("puts and gets it, from a file and a pipe, to a file and a pipe")
  func roundTrip() throws {
    let put = try casync("put image.caibx image")
    #expect(put.status == 0)
    let digest = try Command.run("sha256sum", [directory + "/image.caibx"]).output.prefix(64)
    #expect(put.output == digest + "\n")
    let whole = try Command.run("sha256sum", [directory + "/image"]).output.prefix(64)
    #expect(try casync("put --image-digest whole.caibx image").output == whole + "\n")
    #expect(put.errors.hasPrefix("       ") && put.errors.contains("\nnew  "))
    let again = try casync("put pipe.caibx - --json", input: content("image"))
    #expect(again.errors == "")
    #expect(
      try keys(again.output) == [
        "indexDigest", "digest", "size", "chunks", "zeroChunks", "zeroBytes", "holeBytes", "newChunks",
        "newBytes",
        "storedBytes",
        "seconds",
      ])
    #expect(again.output.contains("\"newChunks\":0,"))
    #expect(try content("image.caibx") == content("pipe.caibx"))

    let get = try casync("get image.caibx copy")
    #expect(get.status == 0 && get.output == "")
    #expect(get.errors.hasPrefix("source  ") && get.errors.contains("\nstore  "))
    #expect(try content("copy") == content("image"))
    let piped = try Command.run(
      "sh", ["-c", "cd '\(directory)' && '\(Command.binary)' -l err get image.caibx - | cmp - image"])
    #expect(piped.status == 0 && piped.errors == "")
  }

  @Test("updates a file in place and tells where the bytes came from")
  func update() throws {
    #expect(try casync("put --store=s image.caibx image -lerr").errors == "")
    #expect(try casync("put --store=s other.caibx other -lerr").errors == "")
    let get = try casync("get --store=s --in-place --json other.caibx image")
    #expect(get.status == 0 && get.errors == "")
    #expect(try content("image") == content("other"))
    #expect(
      try keys(get.output) == [
        "size", "chunks", "sources", "writtenBytes", "zeroedBytes", "skippedBytes", "fetchedBytes",
        "receivedBytes", "clonedBytes",
        "verifiedBytes", "warnings", "seconds",
      ])
    let diff = try casync("diff --store=s image.caibx other.caibx --json")
    #expect(try keys(diff.output) == ["parts"])
    #expect(diff.output.contains("\"name\":\"image\"") && diff.output.contains("\"missingChunks\":0"))
    #expect(try casync("diff image.caibx other.caibx").output.contains("  -\n"))
  }

  @Test("makes and extracts it as casync 2 does")
  func reference() throws {
    let make = try casync("make image.caibx image --store s --chunk-size=64000")
    #expect(make.status == 0 && make.errors == "")
    #expect(make.output.count == 65)
    #expect(try casync("digest image").output == make.output)
    #expect(try casync("digest --store=s image.caibx").output == make.output)
    let onOutput = try Command.run(
      "sh",
      ["-c", "cd '\(directory)' && '\(Command.binary)' make --chunk-size=64000 --store=s - image > stream"])
    #expect(onOutput.errors == make.output)
    #expect(try content("stream") == content("image.caibx"))

    let extract = try casync("extract --seed other --store s --seed-output=no image.caibx copy")
    #expect(extract.status == 0 && extract.output == "" && extract.errors == "")
    #expect(try content("copy") == content("image"))
    #expect(try casync("extract --store s image.caibx other").status == 0)
    #expect(try content("other") == content("image"))
    let verbose = try casync("extract -v --store=s --seed=nosuch image.caibx third")
    #expect(verbose.status == 0)
    #expect(verbose.errors.contains("warning: ") && verbose.errors.contains("nosuch"))
    #expect(verbose.errors.contains("\nChunk requests fulfilled from local store: "))
    let notFound = try casync("extract --store s nosuch.caibx copy")
    #expect(notFound.status == 1)
    #expect(notFound.errors == "casync: cannot open nosuch.caibx: No such file or directory\n")
  }

  @Test("says what differs")
  func verify() throws {
    #expect(try casync("put image.caibx image").status == 0)
    let same = try casync("verify image.caibx image")
    #expect(same.status == 0 && same.output == "")
    #expect(same.errors == "1.9 MiB, nothing differs\n")
    let other = try casync("verify image.caibx other")
    #expect(other.status == 1)
    #expect(other.errors.hasSuffix(" of 1.9 MiB differ, 1 ranges\n"))
    #expect(other.output.contains(" bytes differ\n"))
    let json = try casync("verify --json image.caibx other")
    #expect(json.status == 1)
    #expect(try keys(json.output) == ["identical", "size", "differences"])
  }

  @Test("describes its index")
  func info() throws {
    #expect(try casync("put image.caibx image").status == 0)
    let info = try casync("info image.caibx")
    #expect(info.output.hasPrefix("size          2000000 bytes (1.9 MiB)\nchunks        "))
    #expect(
      info.output.contains(
        "\nchunker       image\nchunk sizes   4096 : 32768 : 131073\ndigest        sha256\n"))
    #expect(
      try keys(casync("info --json -", input: content("image.caibx")).output) == [
        "size", "chunks", "distinctChunks", "zeroBytes", "chunker", "chunkSizeMin", "chunkSizeAverage",
        "chunkSizeMax",
        "digest", "featureFlags",
      ])
    let lines = try casync("list-chunks image.caibx").output.split(separator: "\n")
    #expect(lines.allSatisfy { $0.count == 64 })
    let objects = try casync("list-chunks --json image.caibx").output.split(separator: "\n")
    #expect(objects.count == lines.count)
    #expect(try keys(String(try #require(objects.first))) == ["id", "offset", "length"])
  }

  @Test("cleans its store and checks it")
  func store() throws {
    #expect(try casync("make --store=s image.caibx image").status == 0)
    #expect(try casync("make --store=s other.caibx other").status == 0)
    let dry = try casync("gc -n --store=s other.caibx")
    #expect(dry.status == 0 && dry.errors == "")
    #expect(dry.output.hasPrefix("Would remove ") && dry.output.hasSuffix(" chunks remaining.\n"))
    #expect(try casync("gc --store=s other.caibx --grace=1d").output == "")
    let verbose = try casync("gc -v --store=s other.caibx")
    #expect(verbose.output.hasPrefix("Chunk store usage: ") && verbose.output.contains("\nRemoving chunk "))
    #expect(
      try keys(casync("gc --json --store=s other.caibx").output) == [
        "dryRun", "references", "usedChunks", "removed", "removedBytes", "removedDirectories", "remaining",
        "spared",
        "warnings",
      ])
    #expect(try casync("extract --store=s other.caibx copy").status == 0)

    let good = try casync("check s")
    #expect(good.status == 0 && good.output == "")
    #expect(good.errors.hasSuffix(" 0 bad\n"))
    let damage = "f=$(find '\(directory)/s' -name '*.cacnk' | head -n 1); chmod u+w $f; echo x >> $f"
    #expect(try Command.run("sh", ["-c", damage]).status == 0)
    let bad = try casync("check --repair --json s")
    #expect(bad.status == 1)
    #expect(try keys(bad.output) == ["chunks", "bytes", "bad"])
    #expect(try casync("check s").status == 0)
  }

  @Test("ends by a signal with its status, and casync's verbs with casync's", arguments: ["put", "make"])
  func signals(_ verb: String) throws {
    // A pipe that never ends keeps the program busy until the signal comes.
    let script = """
      cd '\(directory)'; mkfifo pipe; cat /dev/zero > pipe & feeder=$!
      '\(Command.binary)' \(verb) index.caibx - < pipe & job=$!
      until grep -q 'SigBlk:.*[1-9a-f]' /proc/$job/status; do :; done
      kill -TERM $job; wait $job; status=$?; kill $feeder 2>/dev/null; exit $status
      """
    let run = try Command.run("bash", ["-c", script])
    #expect(run.status == (verb == "put" ? 143 : 1))
    let message = verb == "put" ? "interrupted" : "Got exit signal, quitting."
    #expect(run.errors.hasPrefix("casync: \(message)\n"))
  }

  @Test("tells systemd that it has started")
  func notification() throws {
    let script = """
      import os, socket, subprocess, sys
      listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
      environment = dict(os.environ, NOTIFY_SOCKET=sys.argv[2])
      listener.bind(sys.argv[2])
      status = subprocess.run(sys.argv[3:], env=environment, stdout=2).returncode
      print(listener.recv(100).decode(), status)
      """
    let arguments = ["-c", script, "-", directory + "/socket", Command.binary, "make", "x.caibx", "image"]
    #expect(try Command.run("python3", arguments, in: directory).output == "READY=1 0\n")
  }
}
