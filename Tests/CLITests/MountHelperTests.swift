import Testing

@testable import CasyncCLI

@Suite("mount.casync")
struct MountHelperTests {
  @Test(
    "takes what mount(8) gives it",
    arguments: [
      (["s", "p", "-o", "rw"], ["--", "s", "p"]),
      (["s", "p", "-sfnv", "-o", "ro,nofail,x-systemd.automount,_netdev,bogus"], ["--", "s", "p"]),
      (
        ["http://h/i.caidx", "/m", "-o", "store=http://h/castr,uid-shift=5", "-o", "noexec,mkdir=no"],
        [
          "--store=http://h/castr", "--uid-shift=5", "--mount-options=noexec", "--mkdir=no", "--",
          "http://h/i.caidx", "/m",
        ]
      ),
      (["-t", "casync", "s", "p"], ["--", "s", "p"]),
    ])
  func words(_ arguments: [String], _ expected: [String]) throws {
    #expect(try MountHelper(arguments).words() == ["mount"] + expected)
  }

  @Test(
    "refuses what it does not know",
    arguments: [
      ["s"], ["s", "p", "q"], ["s", "p", "-o"], ["s", "p", "-x"], ["s", "p", "-o", "bogus"],
      ["s", "p", "-o", "help"], ["s", "p", "-o", "socket=/x"],
    ])
  func refusals(_ arguments: [String]) {
    #expect(throws: UsageError.self) { try MountHelper(arguments).words() }
  }
}
