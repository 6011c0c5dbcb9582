import Testing

@testable import CasyncCLI

@Suite("The parser")
struct ParserTests {
  struct Case: CustomTestStringConvertible {
    let line: String
    let result: String
    init(_ line: String, _ result: String) { (self.line, self.result) = (line, result) }
    var testDescription: String { line }
  }

  /// The verb, its operands, then the options in order; of an error its message.
  static func result(of line: String) -> String {
    do {
      switch try Parser.parse(line.split(separator: " ").map { $0 == "''" ? "" : String($0) }) {
      case .verb(let arguments):
        let options = arguments.options.map { $0.value.isEmpty ? "\($0.name)" : "\($0.name)=\($0.value)" }
        return ([arguments.verb.rawValue] + arguments.operands + options).joined(separator: " ")
      case .help(let verb): return "help for \(verb?.rawValue ?? "all")"
      case .completion(let shell): return "completion for \(shell)"
      case .version: return "version"
      case .kinds: return "kinds"
      case .features: return "features"
      }
    } catch let error as UsageError {
      return error.message
    } catch {
      return "an error of another type"
    }
  }

  @Test(
    "follows getopt_long",
    arguments: [
      Case("get a b", "get a b"),
      Case("--store=s get a b", "get a b store=s"),
      Case("get --store s a b", "get a b store=s"),
      Case("get a b --store s", "get a b store=s"),
      Case("get a b --store= s", "Failed to parse --store= parameter: "),
      Case("get a --store=x=y b", "get a b store=x=y"),
      Case("get --store=s -- a --b", "get a --b store=s"),
      Case("get --store -- a b", "get a b store=--"),
      Case("get - -", "get - -"),
      Case("gc -nv a", "gc a dryRun verbose"),
      Case("gc -nvldebug a", "gc a dryRun verbose logLevel=debug"),
      Case("gc -nl debug a", "gc a dryRun logLevel=debug"),
      Case("-v gc a -l 7", "gc a verbose logLevel=7"),
      Case("get a b --seed=1 --seed-index=2 --seed=3", "get a b seed=1 seedIndex=2 seed=3"),
      Case("--foo", "unrecognized option '--foo'"),
      Case("-x", "invalid option -- 'x'"),
      Case("-nx", "invalid option -- 'x'"),
      Case("--store", "option '--store' requires an argument"),
      Case("-l", "option requires an argument -- 'l'"),
      Case("--dry-run=3", "option '--dry-run' doesn't allow an argument"),
      Case("--dry-run=", "option '--dry-run' doesn't allow an argument"),
    ])
  func getopt(_ example: Case) {
    #expect(Self.result(of: example.line) == example.result)
  }

  @Test(
    "takes abbreviations as casync 2 does, ours where it has none",
    arguments: [
      Case("make a b --st s", "make a b store=s"),
      Case("make a b --compr xz", "make a b compression=xz"),
      Case("make a b --chunk 64000", "make a b chunkSize=64000"),
      Case("gc --dry a", "gc a dryRun"),
      Case("make a b --cache x", "make a b cache=x"),
      Case("make a b --cache-", "make a b cacheAuto"),
      Case("get a b --seed-i x --seed-o no", "get a b seedIndex=x seedOutput=no"),
      Case("get a b --sta none", "get a b stateDir=none"),
      Case("put a b --compression-l 3", "put a b compressionLevel=3"),
      Case("--he", "help for all"),
      Case("--vers", "version"),
      Case("--ver", "option '--ver' is ambiguous; possibilities: '--version' '--verbose'"),
      Case("--see x", "option '--see' is ambiguous; possibilities: '--seed' '--seed-output' '--seed-index'"),
    ])
  func abbreviations(_ example: Case) {
    #expect(Self.result(of: example.line) == example.result)
  }

  @Test(
    "checks values whatever the verb",
    arguments: [
      Case("gc a --reflink=maybe", "Failed to parse --reflink= parameter: maybe"),
      Case("make a b --reflink=ON", "make a b reflink=ON"),
      Case("make a b --digest=foo", "Failed to parse --digest= parameter: foo"),
      Case("make a b --with=foo", "Failed to parse --with= parameter: foo"),
      Case("make a b --with=unix --without=fifos", "make a b with=unix without=fifos"),
      Case("make a b --what=blub", "Failed to parse --what= parameter: blub"),
      Case("make a b --rate-limit-bps=0", "Failed to parse --rate-limit-bps= parameter: 0"),
      Case("make a b -l9", "Failed to parse --log-level= parameter: 9"),
      Case("put a b --workers=0", "Failed to parse --workers= parameter: 0"),
      Case("put a b --workers=-1", "Failed to parse --workers= parameter: -1"),
      Case("get a b --partition=x", "Failed to parse --partition= parameter: x"),
      Case("gc a --grace=1x", "Failed to parse --grace= parameter: 1x"),
      Case("get a b --progress=loud", "Failed to parse --progress= parameter: loud"),
    ])
  func values(_ example: Case) {
    #expect(Self.result(of: example.line) == example.result)
  }

  @Test(
    "gives each verb its operands and options",
    arguments: [
      Case("", "missing verb"),
      Case("blub", "unknown verb 'blub'"),
      Case("mount a b", "mount a b"),
      Case("put", "put takes INDEX.caibx [INPUT]"),
      Case("put a b c", "put takes INDEX.caibx [INPUT]"),
      Case("make", "make"),
      Case("put a b --force", "option '--force' does not apply to put"),
      Case("put a b --hardlink=no", "option '--hardlink' does not apply to put"),
      Case("extract a b --hardlink=no --exclude-nodump=no", "extract a b hardlink=no excludeNodump=no"),
      Case("make a b --json", "option '--json' does not apply to make"),
      Case(
        "extract --seed /dev/A --store S --seed-output=no I /dev/B",
        "extract I /dev/B seed=/dev/A store=S seedOutput=no"),
      Case("make I C --store S --chunk-size=64000", "make I C store=S chunkSize=64000"),
    ])
  func verbs(_ example: Case) {
    #expect(Self.result(of: example.line) == example.result)
  }

  @Test(
    "answers at once what needs no verb",
    arguments: [
      Case("--help", "help for all"),
      Case("-h", "help for all"),
      Case("get --help --foo", "help for get"),
      Case("get a b c d -h", "help for get"),
      Case("help", "help for all"),
      Case("help put", "help for put"),
      Case("help blub", "unknown verb 'blub'"),
      Case("make --version", "version"),
      Case("--what=help", "kinds"),
      Case("--without help", "features"),
      Case("--generate-completion-script zsh", "completion for zsh"),
      Case(
        "--generate-completion-script tcsh", "Failed to parse --generate-completion-script= parameter: tcsh"),
      Case("make -- --help", "make --help"),
    ])
  func immediate(_ example: Case) {
    #expect(Self.result(of: example.line) == example.result)
  }

  @Test("finds one row for each name in the table", arguments: Option.Name.allCases)
  func table(_ name: Option.Name) {
    #expect(Option.table.count { $0.name == name } == 1)
  }
}
