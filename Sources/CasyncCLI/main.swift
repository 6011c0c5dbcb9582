internal import CasyncIO
internal import Glibc

// A broken pipe is an error of the call that met it.
signal(SIGPIPE, SIG_IGN)
let words = CommandLine.arguments
let isMountHelper = words.first.map { FileSystem.name(of: $0) } == MountHelper.name
exit(
  isMountHelper
    ? MountHelper.run(Array(words.dropFirst()))
    : Program(arguments: Array(words.dropFirst()), environment: .process).run())
