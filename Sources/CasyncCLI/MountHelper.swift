internal import CasyncIO

/// `mount.casync SOURCE PATH [-sfnv] [-o OPTIONS]`: what mount(8) calls for file systems of type casync, as
/// in a line of fstab(5):
///
///     /srv/os.caidx  /mnt/os  casync  store=/srv/os.castr,nofail  0 0
///
/// It mounts, goes on by itself, and returns when the mount may be used. Options are those of `casync mount`
/// without their hyphens, and those of mount(8).
struct MountHelper {
  static let name = "mount.casync"

  /// Exit statuses of mount(8).
  private static let badUsage: Int32 = 1
  private static let failed: Int32 = 32

  /// What mount(8) heeds itself, or says to nobody in particular.
  private static let ignored: Set = [
    "ro", "rw", "defaults", "auto", "noauto", "user", "nouser", "users", "nousers", "owner", "noowner",
    "group", "nogroup", "_netdev", "nofail", "async", "silent", "loud",
  ]
  /// What the mount itself may have.
  private static let passed: Set = [
    "suid", "nosuid", "dev", "nodev", "exec", "noexec", "atime", "noatime", "diratime", "nodiratime",
  ]

  private var operands: [String] = []
  private var options: [String] = []
  private var isFake = false
  private var isSloppy = false

  /// Does what mount(8) asks for. Blocks until the mount may be used.
  /// - Returns: the exit status.
  static func run(_ arguments: [String]) -> Int32 {
    let console = Console()
    do {
      let helper = try MountHelper(arguments)
      let words = try helper.words()
      // What is wrong with it is better said by us than by the daemon.
      _ = try Parser.parse(words)
      if helper.isFake { return 0 }
      let start = try Daemon.start(["casync", "--ready-fd=\(Daemon.readyDescriptor)"] + words)
      Console.write(start.said)
      return start.failure == nil ? 0 : failed
    } catch {
      console.report(error)
      return error is UsageError ? badUsage : failed
    }
  }

  init(_ arguments: [String]) throws {
    var rest = arguments[...]
    while let word = rest.popFirst() {
      guard word.hasPrefix("-"), word.count > 1 else {
        operands.append(word)
        continue
      }
      for letter in word.dropFirst() {
        switch letter {
        case "o": options += try Self.value(&rest, "-o").split(separator: ",").map(String.init)
        case "t": _ = try Self.value(&rest, "-t")
        case "f": isFake = true
        case "s": isSloppy = true
        case "n", "v", "w", "r": break
        default: throw UsageError("\(Self.name): invalid option -- '\(letter)'")
        }
      }
    }
    guard operands.count == 2 else {
      throw UsageError("usage: \(Self.name) SOURCE PATH [-sfnv] [-o OPTIONS]")
    }
  }

  private static func value(_ rest: inout ArraySlice<String>, _ option: String) throws -> String {
    guard let value = rest.popFirst() else { throw UsageError("\(name): \(option) requires an argument") }
    return value
  }

  /// The command line of `casync mount`.
  func words() throws -> [String] {
    var words = ["mount"]
    for option in options {
      let name = option.prefix { $0 != "=" }
      if Self.ignored.contains(option) || option.lowercased().hasPrefix("x-") || name == "comment" {
        continue
      } else if Self.passed.contains(option) {
        words.append("--mount-options=\(option)")
      } else if Self.isOption(name) {
        words.append("--\(option)")
      } else if !isSloppy {
        throw UsageError(
          "\(Self.name): unknown option \(option)", hint: "'casync help mount' lists them, with hyphens")
      }
    }
    return words + ["--"] + operands
  }

  /// Whether `casync mount` has an option of this name that does not only print something.
  private static func isOption(_ name: Substring) -> Bool {
    Option.table.contains { option in
      option.name.rawValue == name && option.verbs.contains(.mount) && option.name != .help
        && option.name != .version
    }
  }
}
