// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is built alike: memory safety is spelled out and a warning is an error.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: ["TestSupport"] + dependencies, swiftSettings: settings)
}

func library(_ name: String, pkgConfig: String, package: String) -> Target {
  .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([package])])
}

let package = Package(
  name: "casync",
  products: [
    .executable(name: "casync", targets: ["CasyncCLI"]),
    .library(name: "Casync", targets: ["Casync"]),
  ],
  targets: [
    .target(name: "CKernels"),
    .target(name: "CLinux"),
    library("CCrypto", pkgConfig: "libcrypto", package: "libssl-dev"),
    library("CSSL", pkgConfig: "libssl", package: "libssl-dev"),
    library("CZstd", pkgConfig: "libzstd", package: "libzstd-dev"),
    library("CLzma", pkgConfig: "liblzma", package: "liblzma-dev"),
    library("CZlib", pkgConfig: "zlib", package: "zlib1g-dev"),
    library("CArchive", pkgConfig: "libarchive", package: "libarchive-dev"),
    library("CCurl", pkgConfig: "libcurl", package: "libcurl4-openssl-dev"),
    library("CNbd", pkgConfig: "libnbd", package: "libnbd-dev"),
    library("CFuse", pkgConfig: "fuse3", package: "libfuse3-dev"),

    room("CasyncFormat"),
    room("CasyncIO", ["CLinux", "CNbd", "CSSL"]),
    room("CasyncChunking", ["CKernels", "CCrypto", "CZstd", "CLzma", "CZlib", "CasyncFormat"]),
    room("CasyncStore", ["CCurl", "CasyncFormat", "CasyncIO", "CasyncChunking"]),
    room("CasyncArchive", ["CArchive", "CasyncFormat", "CasyncIO"]),
    room("Casync", ["CasyncFormat", "CasyncIO", "CasyncChunking", "CasyncStore", "CasyncArchive"]),
    room("CasyncMount", ["CFuse", "CasyncFormat", "CasyncIO", "CasyncArchive", "CasyncStore", "Casync"]),
    .executableTarget(
      name: "CasyncCLI",
      dependencies: [
        "CLinux", "CasyncMount", "Casync", "CasyncFormat", "CasyncIO", "CasyncChunking", "CasyncStore",
        "CasyncArchive",
      ],
      swiftSettings: settings),

    .target(
      name: "TestSupport", dependencies: ["CasyncIO"], path: "Tests/TestSupport",
      swiftSettings: settings),
    tests("CasyncFormatTests", ["CasyncFormat"]),
    tests("CasyncIOTests", ["CasyncIO"]),
    tests("CasyncChunkingTests", ["CasyncChunking", "CasyncFormat"]),
    tests("CasyncStoreTests", ["CasyncStore", "CasyncChunking", "CasyncFormat", "CasyncIO"]),
    tests("CasyncArchiveTests", ["CasyncArchive", "CasyncFormat", "CasyncIO", "CasyncChunking"]),
    tests("CasyncTests", ["Casync", "CasyncStore", "CasyncChunking", "CasyncFormat", "CasyncIO"]),
    tests("CasyncMountTests", ["CasyncMount", "Casync", "CasyncIO"]),
    tests("CLITests", ["CasyncCLI", "Casync", "CasyncFormat"]),
    tests("RemoteTests", ["CasyncStore", "CasyncIO"]),
    tests("InteropTests", ["CasyncFormat", "CasyncIO"]),
  ]
)
