// swift-tools-version: 6.2
import PackageDescription

// A package of its own, as Tests/Benchmarks: its sources are links to casync's, built here for libFuzzer and
// the address sanitizer, without optimisation. Only what reads bytes from outside is in it, of some modules
// file by file, so that no further library has to be there.
//
//     Tests/Fuzz/run

let sanitizers = ["-sanitize=fuzzer,address"]

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableExperimentalFeature("Lifetimes"),
  .unsafeFlags(sanitizers),
]

let package = Package(
  name: "fuzz",
  targets: [
    .systemLibrary(name: "CFuzzer"),
    .target(name: "CKernels"),
    .target(name: "CLinux"),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto"),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd"),
    .systemLibrary(name: "CLzma", pkgConfig: "liblzma"),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib"),
    .target(name: "CasyncFormat", swiftSettings: settings),
    .target(name: "CasyncIO", dependencies: ["CLinux"], swiftSettings: settings),
    .target(
      name: "CasyncChunking",
      dependencies: ["CKernels", "CCrypto", "CZstd", "CLzma", "CZlib", "CasyncFormat"],
      swiftSettings: settings),
    .target(name: "CasyncArchive", dependencies: ["CasyncFormat"], swiftSettings: settings),
    .target(name: "Casync", swiftSettings: settings),
    .target(
      name: "CasyncMount", dependencies: ["Casync", "CasyncFormat", "CasyncIO"], swiftSettings: settings),
    .executableTarget(
      name: "Fuzz",
      dependencies: ["CFuzzer", "CasyncFormat", "CasyncChunking", "CasyncArchive", "CasyncMount"],
      swiftSettings: settings, linkerSettings: [.unsafeFlags(sanitizers + ["-use-ld=lld"])]),
  ]
)
