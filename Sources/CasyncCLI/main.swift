internal import Glibc

// A broken pipe is an error of the call that met it.
signal(SIGPIPE, SIG_IGN)
exit(Program(arguments: Array(CommandLine.arguments.dropFirst()), environment: .process).run())
