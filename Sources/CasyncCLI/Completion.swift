/// Completion scripts, made from the tables of verbs and options.
enum Completion {
  enum Shell: String, CaseIterable, Sendable {
    case bash, zsh, fish
  }

  static func script(for shell: Shell) -> String {
    switch shell {
    case .bash: bash
    case .zsh: zsh
    case .fish: fish
    }
  }

  private static func options(of verb: Verb) -> [Option] { Option.table.filter { $0.verbs.contains(verb) } }

  private static let verbs = Verb.allCases.map(\.rawValue)

  /// Options with a closed set of values, each once.
  private static let choices = Option.table.filter { !$0.value.words.isEmpty && !$0.verbs.isEmpty }

  // MARK: bash

  private static var bash: String {
    let words = Verb.allCases.map { verb in
      let names = options(of: verb).map { "--\($0.name.rawValue)" + ($0.value.placeholder == nil ? "" : "=") }
      return "      \(verb.rawValue)) words='\(names.joined(separator: " "))' ;;"
    }
    let values = choices.map {
      "      --\($0.name.rawValue)) words='\($0.value.words.joined(separator: " "))' ;;"
    }
    return """
      # bash completion for casync
      _casync() {
        local cur prev verb word words=
        cur=${COMP_WORDS[COMP_CWORD]}
        prev=${COMP_WORDS[COMP_CWORD-1]}
        if [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
        if [[ $cur == = ]]; then cur=; fi
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
          case $word in
            \(verbs.joined(separator: "|"))) verb=$word; break ;;
          esac
        done
        case $prev in
      \(values.joined(separator: "\n"))
        esac
        if [[ $words ]]; then
          COMPREPLY=($(compgen -W "$words" -- "$cur"))
          return
        fi
        case $verb in
      \(words.joined(separator: "\n"))
          *) words='\(verbs.joined(separator: " ")) --help --version' ;;
        esac
        if [[ $verb == help ]]; then
          COMPREPLY=($(compgen -W '\(verbs.joined(separator: " "))' -- "$cur"))
        elif [[ $cur == -* || ! $verb ]]; then
          COMPREPLY=($(compgen -W "$words" -- "$cur"))
          [[ ${COMPREPLY-} == *= ]] && compopt -o nospace
        else
          compopt -o filenames
          COMPREPLY=($(compgen -f -- "$cur"))
        fi
      }
      complete -F _casync casync

      """
  }

  // MARK: zsh

  private static var zsh: String {
    let names = Verb.allCases.map { "    '\($0.rawValue):\(zshText($0.description.summary))'" }
    let cases = Verb.allCases.map { verb in
      let specs = options(of: verb).map { "        \(zshSpec($0))" }
      return "      \(verb.rawValue))\n        specs=(\n\(specs.joined(separator: "\n"))\n        ) ;;"
    }
    return """
      #compdef casync
      # zsh completion for casync
      _casync() {
        local -a verbs specs
        local verb word
        verbs=(
      \(names.joined(separator: "\n"))
        )
        for word in ${words[2,CURRENT-1]}; do
          if (( ${verbs[(I)$word:*]} )); then verb=$word; break; fi
        done
        if [[ -z $verb ]]; then
          _describe verb verbs
          return
        fi
        case $verb in
      \(cases.joined(separator: "\n"))
        esac
        if [[ $verb == help ]]; then
          _describe verb verbs
        else
          _arguments -S $specs '*:file:_files'
        fi
      }
      _casync "$@"

      """
  }

  private static func zshSpec(_ option: Option) -> String {
    let help = "[\(zshText(option.summary))]"
    let value: String
    switch option.value {
    case .flag: return "'--\(option.name.rawValue)\(help)'"
    case .path: value = ":\(option.name.rawValue):_files"
    default:
      let words = option.value.words
      value = ":\(option.name.rawValue):" + (words.isEmpty ? " " : "(\(words.joined(separator: " ")))")
    }
    return "'*--\(option.name.rawValue)=\(help)\(value)'"
  }

  private static func zshText(_ text: String) -> String {
    var escaped = ""
    for character in text {
      if "[]:\\".contains(character) { escaped += "\\" }
      escaped += character == "'" ? "'\\''" : String(character)
    }
    return escaped
  }

  // MARK: fish

  private static var fish: String {
    let names = verbs.joined(separator: " ")
    var lines = ["# fish completion for casync"]
    for verb in Verb.allCases {
      lines.append(
        "complete -c 'casync' -n 'not __fish_seen_subcommand_from \(names)' -f -a \(verb.rawValue)"
          + " -d '\(fishText(verb.description.summary))'")
    }
    for option in Option.table where !option.verbs.isEmpty {
      var line = "complete -c 'casync'"
      if option.verbs.count < Verb.allCases.count {
        line += " -n '__fish_seen_subcommand_from \(option.verbs.map(\.rawValue).joined(separator: " "))'"
      }
      if let short = option.short { line += " -s \(short)" }
      line += " -l \(option.name.rawValue) -d '\(fishText(option.summary))'"
      switch option.value {
      case .flag: break
      case .path: line += " -r"
      default:
        line +=
          " -x" + (option.value.words.isEmpty ? "" : " -a '\(option.value.words.joined(separator: " "))'")
      }
      lines.append(line)
    }
    lines.append("complete -c 'casync' -n '__fish_seen_subcommand_from help' -f -a '\(names)'")
    return lines.joined(separator: "\n") + "\n"
  }

  private static func fishText(_ text: String) -> String {
    text.reduce(into: "") { $0 += $1 == "'" || $1 == "\\" ? "\\\($1)" : "\($1)" }
  }
}
