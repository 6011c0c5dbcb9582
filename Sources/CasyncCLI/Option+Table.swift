internal import Casync

extension Option {
  /// Every option, casync 2's first.
  static let table = reference + own

  private static let listers: [Verb] = [.list, .mtree, .manifest, .stat]
  private static let writers: [Verb] = [.put, .make]
  private static let archivers = [Verb.make, .digest] + listers
  private static let readers: [Verb] = [.get, .extract]
  private static let comparers: [Verb] = [.verify, .diff]
  /// What reads or writes indexes and stores wherever they are.
  private static let remote =
    writers + readers + listers
    + [.digest, .verify, .diff, .info, .listChunks, .gc, .check, .copy, .mkdev, .mount]
  private static let jobs: [Verb] = [
    .put, .get, .make, .extract, .digest, .verify, .diff, .clone, .gc, .check, .copy,
  ]
  private static let reporters: [Verb] = [
    .put, .get, .digest, .verify, .diff, .info, .listChunks, .gc, .check, .copy, .mkdev,
  ]

  private static func theirs(
    _ name: Name, _ value: Value, short: Character? = nil, for verbs: [Verb] = [], _ summary: String
  ) -> Option {
    Option(name: name, short: short, value: value, verbs: verbs, isReference: true, summary: summary)
  }

  private static func ours(_ name: Name, _ value: Value, for verbs: [Verb], _ summary: String) -> Option {
    Option(name: name, value: value, verbs: verbs, isReference: false, summary: summary)
  }

  private static let reference = [
    theirs(.help, .flag, short: "h", for: Verb.allCases, "show help, for the verb if one is named"),
    theirs(.version, .flag, for: Verb.allCases, "show the version"),
    theirs(.logLevel, .logLevel, short: "l", for: Verb.allCases, "print messages up to this level (info)"),
    theirs(.verbose, .flag, short: "v", for: Verb.allCases, "print what was done in casync's lines"),
    theirs(.dryRun, .flag, short: "n", for: [.gc], "print what would be removed, remove nothing"),
    theirs(
      .store, .path("DIR"),
      for: writers + readers + listers + comparers + [.digest, .gc, .check, .copy, .mkdev, .mount],
      "the store; get, diff, digest and mkdev take several, asked in order"),
    theirs(
      .extraStore, .path("DIR"), for: readers + listers + comparers + [.digest, .copy, .mkdev, .mount],
      "a further store to read from"),
    theirs(
      .chunkSize, .text("SIZES"), for: writers,
      "average size of a chunk; for buzhash also MIN:AVG:MAX or auto"),
    theirs(
      .digest, .choice(["sha512-256", "sha256", "default"]), for: writers + listers + [.digest],
      "name chunks by this digest (put: sha256, make: sha512-256)"),
    theirs(
      .compression, .choice(["zstd", "xz", "gzip", "default"]), for: writers, "compress chunks by this (zstd)"
    ),
    theirs(
      .seed, .path("PATH"), for: readers,
      "a file, device or directory to take chunks from; may be repeated"),
    theirs(
      .cache, .path("DIR"), for: [.get, .mkdev, .mount], "keep what is fetched here and look here first"),
    theirs(.cacheAuto, .flag, short: "c", "for archives"),
    theirs(.rateLimit, .size, for: remote, "fetch from remote stores at most so many bytes a second"),
    theirs(.excludeNodump, .boolean, for: archivers + [.clone], "leave out what chattr +d marks (yes)"),
    theirs(.excludeSubmounts, .boolean, for: archivers + [.clone], "leave out what is mounted below (no)"),
    theirs(.excludeFile, .boolean, for: archivers + [.clone], "obey .caexclude files (yes)"),
    theirs(.reflink, .boolean, for: readers, "share blocks with seeds where the file system can (yes)"),
    theirs(.hardlink, .boolean, for: [.extract], "link files of a tree to the same files of seeds (no)"),
    theirs(.punchHoles, .boolean, for: [.extract], "leave zeros out of files of a tree (yes)"),
    theirs(
      .delete, .boolean, for: [.extract, .clone], "remove from a directory what the archive lacks (yes)"),
    theirs(
      .undoImmutable, .boolean, for: [.extract, .clone],
      "clear chattr +i and +a on what is in the way (no)"),
    theirs(.seedOutput, .boolean, for: readers, "take chunks from the target's old content too (yes)"),
    theirs(.recursive, .boolean, for: [.list], "list what is below the first directories (yes)"),
    theirs(.mkdir, .boolean, for: [.mount], "make the directory to mount on (yes)"),
    theirs(
      .uidShift, .text("SHIFT"), for: archivers + comparers + [.extract, .mount],
      "subtract this from user and group IDs"),
    theirs(
      .uidRange, .text("RANGE"), for: archivers + comparers + [.extract, .mount],
      "take them modulo this (65536)"),
    theirs(
      .with, .feature, for: archivers + comparers + [.extract, .clone],
      "what of files an archive holds (all); may be repeated"),
    theirs(
      .without, .feature, for: archivers + comparers + [.extract, .clone],
      "what of files an archive does not hold"),
    theirs(
      .what, .kind, for: [.make, .extract, .digest, .mkdev, .mount] + comparers + listers,
      "the kind of a file whose name does not say it"),
  ]

  private static let own = [
    ours(.chunker, .choice(["image", "buzhash"]), for: [.put], "how the image is cut (image)"),
    ours(.compressionLevel, .text("N"), for: writers, "the compression's level (zstd: 3, xz and gzip: 6)"),
    ours(
      .size, .text("SIZE|filesystem"), for: [.put],
      "put so much of a device, or as far as its file system goes (all of it)"),
    ours(.imageDigest, .flag, for: [.put], "print the image's digest, as make does, not the index's"),
    ours(.seedIndex, .path("FILE"), for: [.get], "the index of the --seed before it"),
    ours(.partition, .count, for: [.get], "take only this partition of a disk image"),
    ours(.inPlace, .flag, for: [.get], "update an existing file where it stands"),
    ours(.noVerify, .flag, for: readers, "do not read back what was written to a device"),
    ours(
      .stateDir, .path("DIR|none"), for: readers,
      "where indexes of devices are kept (/var/lib/casync)"),
    ours(
      .force, .flag, for: readers + [.mkdev],
      "go on although the image is for another sector size, or the device to detach in use"),
    ours(.grace, .time, for: [.gc], "spare chunks younger than this, such as 24h (0)"),
    ours(.repair, .flag, for: [.check], "move bad chunks aside"),
    ours(.json, .flag, for: reporters, "print the result as JSON on standard output"),
    ours(
      .progress, .choice(ProgressStyle.allCases.map(\.rawValue)), for: jobs,
      "how to show progress on standard error (auto)"),
    ours(
      .workers, .count, for: [.put, .get, .make, .extract, .verify, .check, .mkdev, .mount, .clone],
      "threads that hash and compress (one a processor; mkdev, mount: 16)"),
    ours(.socket, .path("PATH"), for: [.mkdev, .serve], "listen at this UNIX socket; may be repeated"),
    ours(
      .listen, .text("ADDRESS:PORT"), for: [.mkdev, .serve],
      "listen for TCP connections; may be repeated"),
    ours(.fuse, .path("FILE"), for: [.mkdev], "show the image as this file, read-only, by FUSE"),
    ours(
      .tlsCertificates, .path("DIR"), for: [.mkdev, .serve],
      "offer TLS with server-cert.pem and server-key.pem in this directory"),
    ours(
      .tls, .choice(["require", "allow"]), for: [.mkdev],
      "whether clients must use TLS, if there is any (require)"),
    ours(
      .tlsVerifyPeer, .flag, for: [.mkdev, .serve],
      "let in only clients whose certificate ca-cert.pem in that directory vouches for"),
    ours(.memory, .size, for: [.mkdev, .mount], "keep so many bytes of chunks in memory (64M)"),
    ours(.base, .path("INDEX"), for: [.put], "the index that --overlay= lies over"),
    ours(
      .overlay, .path("FILE"), for: [.put, .mkdev], "keep what clients write here; put: take it from here"),
    ours(.cacheFile, .path("FILE"), for: [.mkdev], "keep what is fetched here, as the image it is"),
    ours(.profile, .path("FILE"), for: [.mkdev], "keep the order of first reads here, and prefetch in it"),
    ours(
      .prefetch, .choice(Prefetch.allCases.map(\.rawValue)), for: [.mkdev],
      "what to fetch before it is read (profile, if there is one)"),
    ours(.retry, .time, for: [.mkdev, .mount], "ask stores that do not answer again for so long (30s)"),
    ours(.detach, .flag, for: [.mkdev], "detach NODE, the one operand, whoever serves it"),
    ours(
      .readyFd, .count, for: [.mkdev, .mount, .serve],
      "write READY=1 to this descriptor when it can be used"),
    ours(.mountOptions, .text("OPTIONS"), for: [.mount], "further options of mount(8), as noexec"),
    ours(
      .header, .text("LINE"), for: remote,
      "send this header (NAME: VALUE) with each HTTP request; may be repeated"),
    ours(
      .caCertificates, .path("FILE"), for: remote,
      "trust the certificates in this file, not the system's"
    ),
    ours(.certificate, .path("FILE"), for: remote, "show servers this certificate (PEM)"),
    ours(.certificateKey, .path("FILE"), for: remote, "the key of --cert, if it is not in the same file"),
    ours(.cacheSize, .size, for: [.get, .mkdev], "let the cache have so many bytes: the least used goes"),
    ours(.to, .path("STORE"), for: [.copy], "the store to copy chunks to"),
    ours(.toIndex, .path("DIR|none"), for: [.copy], "where the indexes go (beside the store of --to)"),
    ours(.writable, .flag, for: [.serve], "take chunks and indexes by PUT from who has the token"),
    ours(.tokenFile, .path("FILE"), for: [.serve], "the token that writers must show (else $CASYNC_TOKEN)"),
    ours(.fromTar, .path("FILE"), for: [.make], "make the archive of this tar archive; - is standard input"),
    ours(.toTar, .path("FILE"), for: [.extract], "make a tar archive of the archive; - is standard output"),
    ours(
      .generateCompletionScript, .choice(Completion.Shell.allCases.map(\.rawValue)), for: [],
      "print a completion script for this shell"),
  ]
}
