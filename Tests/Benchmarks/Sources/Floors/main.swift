// One part of a job alone, as fast as one core does it: the floor under what a job can take.
//
//     Floors compress|decompress|digest sha256|sha512-256 IMAGE
//
// Standard input has the chunks of the image to work on, a line "offset length" each, then an empty line.
// When they are in memory it prints "ready" and waits for a line, so that several processes start together;
// then it prints the seconds that the part took.

import CasyncFormat
import Glibc

guard CommandLine.arguments.count == 4, let algorithm = DigestAlgorithm(rawValue: CommandLine.arguments[2])
else { throw Failure.usage }
let part = CommandLine.arguments[1]
let work = try Work(CommandLine.arguments[3])
var compressed: [(bytes: [UInt8], length: Int)] = []
if part == "decompress" { try work.compress { compressed.append(($0, $1.count)) } }
print("ready")
fflush(nil)
_ = readLine()
let duration = try ContinuousClock().measure {
  switch part {
  case "compress": try work.compress { _, _ in }
  case "decompress": try work.decompress(compressed)
  case "digest": work.digest(algorithm)
  default: throw Failure.usage
  }
}
print(duration / .seconds(1))
