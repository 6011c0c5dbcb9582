/// What the command can be asked to do.
enum Verb: String, CaseIterable, Sendable {
  case put, get, make, extract, list, mtree, manifest, stat, digest, verify, diff, info, clone
  case listChunks = "list-chunks"
  case gc, check, copy, mkdev, udev, mount, pull, push, serve, help

  /// Whether casync 2 has it: then its options are accepted and a signal ends with its status.
  var isReference: Bool {
    switch self {
    case .make, .extract, .list, .mtree, .manifest, .stat, .digest, .gc, .mkdev, .udev, .mount, .pull,
      .push, .help:
      true
    default: false
    }
  }

  /// For the help, and for the number of operands.
  struct Description: Sendable {
    let operands: String
    let count: ClosedRange<Int>
    let summary: String
    /// Further lines of its help.
    let text: String
  }

  var description: Description {
    guard let description = Self.descriptions[self] else { preconditionFailure("every verb is described") }
    return description
  }

  private static let descriptions: [Verb: Description] = [
    .put: Description(
      operands: "INDEX.caibx [INPUT]", count: 1...2, summary: "chunk an image into a store",
      text: """
        INPUT is a file, a block device, - for standard input, or an NBD URI (nbd://,
        nbd+unix://). Its chunks go to the store, then INDEX.caibx appears (- is standard
        output). The index's SHA-256 is printed on standard output, a summary on standard
        error. Holes are not read. Interrupted: what was stored is used next time.
        With --base=INDEX --overlay=FILE, and no INPUT, the image is what clients of mkdev made
        of another; what they left as it was is not read.
        """),
    .get: Description(
      operands: "INDEX.caibx TARGET", count: 2...2, summary: "write an image to a device or file",
      text: """
        TARGET is a block device, a file, - for standard output, or an NBD URI. Each chunk
        comes from the cheapest place: already right on the target, zeros, the target's old
        content, seeds, earlier in the image, the cache, the stores in order. What was
        written to a device is read back. Interrupted: the same command resumes.
        """),
    .make: Description(
      operands: "[INDEX.caibx|INDEX.caidx|ARCHIVE.catar] [INPUT]", count: 0...2,
      summary: "put, as casync 2 does it; also of directory trees",
      text: """
        The result is casync's byte for byte. INPUT is a file or block device, standard input
        without one; of a device only its file system is taken. For .caidx and .catar it is a
        directory, the present one without one. With - or no INDEX the index or archive goes to
        standard output, the digest to standard error.
        """),
    .extract: Description(
      operands: "[INDEX.caibx|INDEX.caidx|ARCHIVE.catar] [TARGET] [SUBTREE]", count: 0...3,
      summary: "get, as casync 2 does it; also of directory trees",
      text: """
        Of .caidx and .catar TARGET is a directory, the present one without one; it may exist.
        SUBTREE is a path in the archive, of which alone TARGET gets a copy.
        An existing TARGET, file or device, is updated in place and is the first seed unless
        --seed-output=no. With - or no TARGET the image goes to standard output.
        """),
    .list: Description(
      operands: "[DIRECTORY|ARCHIVE.catar|INDEX.caidx] [SUBTREE]", count: 0...2,
      summary: "list the files of a tree or archive",
      text: """
        Mode and path of each, as casync prints them. SUBTREE is a path in the archive to start
        at. The present directory without operands; - is an archive on standard input.
        """),
    .mtree: Description(
      operands: "[DIRECTORY|ARCHIVE.catar|INDEX.caidx] [SUBTREE]", count: 0...2,
      summary: "describe the files of a tree or archive as BSD mtree does",
      text: "All metadata and the digest of each file, a line each. Operands as for list."),
    .manifest: Description(
      operands: "[DIRECTORY|ARCHIVE.catar|INDEX.caidx] [SUBTREE]", count: 0...2,
      summary: "another name for mtree", text: "Operands as for list."),
    .stat: Description(
      operands: "[DIRECTORY|ARCHIVE.catar|INDEX.caidx] [SUBTREE]", count: 0...2,
      summary: "show all that an archive says of one file",
      text: "The top directory, or what lies at SUBTREE. Operands as for list."),
    .digest: Description(
      operands: "[FILE|DEVICE|INDEX|DIRECTORY|ARCHIVE.catar] [SUBTREE]", count: 0...2,
      summary: "print the digest of an image or tree",
      text: """
        The image of an index is read from its store and always gets SHA-512/256, as casync
        does it; an archive gets the digest its flags name. A directory has the digest of its
        archive. SUBTREE is a path in an archive. - is standard input.
        """),
    .verify: Description(
      operands: "INDEX.caibx TARGET | INDEX.caidx|ARCHIVE.catar DIRECTORY", count: 2...2,
      summary: "compare a device, file or directory tree with what it should be",
      text: """
        Of a device or file prints each byte range that differs, of a tree a line for each
        difference: path, what, expected, found, with tabs in between. The exit status is then 1.
        """),
    .diff: Description(
      operands: "OLD.caibx NEW.caibx | INDEX.caidx|ARCHIVE.catar DIRECTORY", count: 2...2,
      summary: "what an update from one index to another costs; or verify, of a tree",
      text: """
        Chunks and bytes kept, added and dropped, for the image and each of its partitions;
        with --store also the compressed bytes to download.
        """),
    .clone: Description(
      operands: "DIRECTORY DIRECTORY2", count: 2...2, summary: "copy a directory tree exactly",
      text: """
        Everything that an archive holds is copied, and links between files stay links. Blocks
        are shared where the file system can. What is in DIRECTORY2 and not in DIRECTORY is
        removed (--delete=no keeps it).
        """),
    .info: Description(
      operands: "INDEX.caibx", count: 1...1, summary: "what an index says", text: "- is standard input."),
    .listChunks: Description(
      operands: "INDEX.caibx", count: 1...1, summary: "print the chunk IDs of an index",
      text: """
        One a line in the order of the image; with --json one object a line. - is standard
        input.
        """),
    .gc: Description(
      operands: "INDEX.caibx...", count: 0...Int.max, summary: "remove from a store what no index names",
      text: """
        The store is that of --store, else the one of the first index. Where casync or desync
        may write to it at the same time, --grace=24h spares what is younger.
        """),
    .check: Description(
      operands: "[STORE]", count: 0...1, summary: "compare every chunk of a store with its name",
      text: "Prints each bad file; the exit status is then 1."),
    .copy: Description(
      operands: "INDEX...", count: 1...Int.max, summary: "bring indexes and their chunks to another store",
      text: """
        What the store of --to has is not copied again; every chunk is compared with its name.
        When all are there the indexes follow, beside that store unless --to-index says where.
        For mirrors, USB sticks, and caches (--to-index=none). Interrupted: the same command
        goes on.
        """),
    .mkdev: Description(
      operands: "[INDEX.caibx|IMAGE]... [NODE]", count: 0...Int.max,
      summary: "attach an image as a block device, or serve images over NBD",
      text: """
        The image becomes /dev/nbdN. NODE is one of these, another name below /dev (a link that
        udev makes), or any other path (a link). With --socket=PATH, --listen=ADDRESS:PORT or
        sockets that systemd passes NBD clients (qemu, nbd-client, nbdcopy) connect to them, and
        nothing is attached unless a NODE is named. Chunks are fetched when they are read and
        compared with their names; one that cannot be had is an I/O error of that read alone.
        The first image is the default export; several have the names of their files, without
        .caibx. What is no index is served as it is. Read-only, unless --overlay=FILE keeps what
        is written. SIGINT and SIGTERM end it with status 0; a device in use stays then, and the
        same command goes on with it. --fuse=FILE shows the image as a file, where the kernel has
        no nbd.
        --cache-file=FILE keeps what was fetched, --profile=FILE what to fetch first the next time.
        """),
    .udev: Description(
      operands: "DEVNODE", count: 1...1, summary: "print the friendly name of a device, for udev",
      text: "Called by the udev rule of the package: prints CASYNC_NAME=NAME of a device with one."),
    .mount: Description(
      operands: "[INDEX.caidx|ARCHIVE.catar] PATH", count: 1...2,
      summary: "show the tree of an archive as a file system",
      text: """
        By FUSE, read-only, with nothing extracted first: what is read is fetched when it is
        read. PATH is a directory, made if it is not there. Without an archive one is read from
        standard input, a file. Ends when it is unmounted; SIGINT and SIGTERM unmount it.
        """),
    .pull: Description(
      operands: "- ARCHIVE INDEX STORE [EXTRA_STORE...]", count: 4...Int.max,
      summary: "give an index and chunks to a casync on another host",
      text: """
        What ssh starts on the host of a remote index or store; not to be called by hand. Talks
        casync's protocol on standard input and output. What is not used is -.
        """),
    .push: Description(
      operands: "- ARCHIVE INDEX STORE [EXTRA_STORE...]", count: 4...Int.max,
      summary: "take an index and chunks from a casync on another host",
      text: """
        What ssh starts on the host that a remote index is written to; not to be called by hand.
        Chunks are compared with their names and are durable before the index appears.
        """),
    .serve: Description(
      operands: "DIR", count: 1...1, summary: "serve stores and indexes over HTTP",
      text: """
        The files below DIR, to be read by GET. With --writable and a token chunks and indexes
        are taken by PUT: compared with their names, or decoded and their chunks looked for.
        For a LAN or a test bench. SIGINT and SIGTERM end it with status 0.
        """),
    .help: Description(
      operands: "[VERB]", count: 0...1, summary: "show help, for one verb if named", text: ""),
  ]
}
