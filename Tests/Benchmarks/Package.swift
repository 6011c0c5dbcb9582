// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that building and testing casync does not build it. Its sources are links to
// casync's: only so can it call what is visible within a package.
//
//     swift run -c release --package-path Tests/Benchmarks KernelBenchmarks

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "benchmarks",
  targets: [
    .target(name: "CKernels"),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto"),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd"),
    .systemLibrary(name: "CLzma", pkgConfig: "liblzma"),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib"),
    .target(name: "CasyncFormat", swiftSettings: settings),
    .target(
      name: "CasyncChunking",
      dependencies: ["CKernels", "CCrypto", "CZstd", "CLzma", "CZlib", "CasyncFormat"],
      swiftSettings: settings),
    .executableTarget(
      name: "KernelInstructions", dependencies: ["CasyncChunking", "CasyncFormat"],
      swiftSettings: settings),
    .executableTarget(
      name: "KernelBenchmarks", dependencies: ["CasyncChunking", "CasyncFormat"],
      swiftSettings: settings),
    .executableTarget(
      name: "Floors", dependencies: ["CasyncChunking", "CasyncFormat"], swiftSettings: settings),
  ]
)
