import TestSupport
import Testing

/// The built program: arguments, status, standard output, standard error.
@Suite("The command")
struct TranscriptTests {
  struct Transcript: CustomTestStringConvertible {
    let arguments: String
    let status: Int32
    let output: String
    let errors: String
    var environment: [String: String?] = [:]
    var testDescription: String { "casync \(arguments)" }
  }

  @Test(
    "says in one line what is wrong with its arguments",
    arguments: [
      Transcript(
        arguments: "", status: 1, output: "",
        errors: "casync: missing verb\nhint: 'casync help' lists the verbs\n"),
      Transcript(
        arguments: "blub", status: 1, output: "",
        errors: "casync: unknown verb 'blub'\nhint: 'casync help' lists the verbs\n"),
      Transcript(
        arguments: "--blub", status: 1, output: "",
        errors: "casync: unrecognized option '--blub'\nhint: 'casync help' lists the options\n"),
      Transcript(
        arguments: "-l crit blub", status: 1, output: "",
        errors: "casync: unknown verb 'blub'\nhint: 'casync help' lists the verbs\n"),
      Transcript(
        arguments: "put x", status: 1, output: "",
        errors: "casync: put takes INDEX.caibx INPUT\nhint: 'casync help put' says what they are\n"),
      Transcript(
        arguments: "make name /dev/null", status: 1, output: "",
        errors: "casync: File to create does not have valid suffix, refusing. "
          + "(May be one of: .catar, .caidx, .caibx)\n"),
      Transcript(
        arguments: "extract name target", status: 1, output: "",
        errors: "casync: File to read from does not have valid suffix, refusing. "
          + "(May be one of: .catar, .caidx, .caibx)\n"),
      Transcript(
        arguments: "make x.caibx .", status: 1, output: "",
        errors: "casync: Input is a directory, but attempted to make blob index. Refusing.\n"),
      Transcript(
        arguments: "extract x.caibx .", status: 1, output: "",
        errors: "casync: Output is a directory, but attempted to extract blob index. Refusing.\n"),
      Transcript(
        arguments: "make --what=blob x.caibx y", status: 1, output: "",
        errors: "casync: \"make\" operation may only be combined with "
          + "--what=archive, --what=archive-index or --what=blob-index.\n"),
      Transcript(
        arguments: "make --cache=c x.caibx y", status: 1, output: "",
        errors: "casync: Caching only supported when archiving files trees.\n"),
      Transcript(
        arguments: "extract x.caibx y sub", status: 1, output: "",
        errors: "casync: Subtree path only supported when extracting archive or archive index.\n"),
      Transcript(
        arguments: "make x.caidx /dev/null", status: 1, output: "",
        errors: "casync: Input is a file or device, but a directory is needed to make an archive. Refusing.\n"
      ),
      Transcript(
        arguments: "get ftp://u:p@host/x.caibx y", status: 1, output: "",
        errors: "casync: cannot use the index ftp://host/x.caibx: "
          + "URLs of this kind are not supported yet in this version\n"),
      Transcript(
        arguments: "extract x.caibx http://u:p@host/y", status: 1, output: "",
        errors: "casync: the target must be local, not http://host/y\n"),
      Transcript(
        arguments: "info --header=x http://host/x.caibx", status: 1, output: "",
        errors: "casync: --header takes a line NAME: VALUE\n"
          + "hint: as in --header='Authorization: Bearer TOKEN'\n"),
      Transcript(
        arguments: "get x.caibx host:y", status: 1, output: "",
        errors: "casync: the target must be local, not host:y\n"
          + "hint: a local file with a colon in its name is written ./host:y\n"),
      Transcript(
        arguments: "get --seed-index=i --seed=s x.caibx y", status: 1, output: "",
        errors: "casync: --seed-index=i has no --seed before it\n"
          + "hint: write --seed=PATH --seed-index=FILE\n"),
      Transcript(
        arguments: "put --chunk-size=5K x.caibx y", status: 1, output: "",
        errors: "casync: --chunk-size=5K: the image chunker takes a multiple of 8K from 16K to 1M\n"
          + "hint: --chunker=buzhash takes MIN:AVG:MAX\n"),
      Transcript(
        arguments: "make --chunk-size=3:2:1 x.caibx y", status: 1, output: "",
        errors: "casync: --chunk-size=3:2:1: neither auto nor an average nor MIN:AVG:MAX\n"
          + "hint: sizes are from 1 to 128M, in rising order\n"),
      Transcript(
        arguments: "gc", status: 1, output: "",
        errors: "casync: Expected at least one argument.\nhint: name every index whose chunks must stay\n"),
      Transcript(
        arguments: "info nosuch.caibx", status: 1, output: "",
        errors: "casync: cannot open nosuch.caibx: No such file or directory\n"),
      Transcript(
        arguments: "info nosuch.caibx", status: 1, output: "",
        errors: "casync: CASYNC_CPU=fast: not one of portable, avx2, avx512\n",
        environment: ["CASYNC_CPU": "fast"]),
      Transcript(
        arguments: "info nosuch.caibx", status: 1, output: "", errors: "",
        environment: ["CASYNC_LOG_LEVEL": "crit"]),
    ])
  func usage(_ transcript: Transcript) throws {
    let run = try Command.casync(
      transcript.arguments.split(separator: " ").map(String.init), environment: transcript.environment)
    #expect(run.status == transcript.status)
    #expect(run.output == transcript.output)
    #expect(run.errors == transcript.errors)
  }

  @Test("gives casync 2 as its version first, then ours")
  func version() throws {
    let run = try Command.casync(["--version"])
    #expect(run.status == 0)
    #expect(run.output.hasPrefix("casync 2\ncasync in Swift "))
    #expect(run.errors == "")
  }

  @Test("lists with --what=help and --with=help what casync 2 lists")
  func lists() throws {
    let kinds = try Command.casync(["--what=help"])
    #expect(kinds.output.hasPrefix("Allowed --what= selectors:\narchive\narchive-index\n"))
    let features = try Command.casync(["--without=help"])
    #expect(features.output.hasPrefix("Supported --with= and --without= flags:\n16bit-uids\n"))
    #expect(kinds.status == 0 && features.status == 0)
  }

  @Test(
    "explains each verb, on standard output",
    arguments: ["put", "get", "make", "extract", "list-chunks", "gc"])
  func help(_ verb: String) throws {
    let run = try Command.casync(["help", verb])
    #expect(run.status == 0)
    #expect(run.output.hasPrefix("usage: casync \(verb) [OPTIONS...] "))
    #expect(run.errors == "")
    #expect(try Command.casync([verb, "--help"]).output == run.output)
  }

  @Test("reports a full standard output")
  func fullOutput() throws {
    let run = try Command.run("sh", ["-c", "'\(Command.binary)' help > /dev/full"])
    #expect(run.status == 1)
    #expect(run.errors == "casync: cannot write standard output: No space left on device\n")
  }

  @Test("completes in bash: the script is sound and offers options, values and verbs")
  func bash() throws {
    let script = try Command.casync(["--generate-completion-script", "bash"])
    #expect(script.status == 0)
    #expect(try Command.run("bash", ["-n", "/dev/stdin"], input: Array(script.output.utf8)).errors == "")
    func offers(_ words: String) throws -> String {
      let call = """
        compopt() { :; }
        COMP_WORDS=(\(words)); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _casync; echo "${COMPREPLY[*]}"
        """
      return try Command.run("bash", ["/dev/stdin"], input: Array((script.output + call).utf8)).output
    }
    #expect(try offers("casync li") == "list list-chunks\n")
    #expect(try offers("casync get --prog") == "--progress=\n")
    #expect(try offers("casync get --progress = p") == "plain\n")
    #expect(try offers("casync put --repair") == "\n")
  }

  @Test("has completions for zsh and fish too", arguments: ["zsh", "fish"])
  func otherShells(_ shell: String) throws {
    let script = try Command.casync(["--generate-completion-script", shell])
    #expect(script.status == 0)
    #expect(script.output.contains("list-chunks") && script.output.contains("seed-index"))
  }
}
