import Testing

/// The built program against real devices, real images and casync itself.
///
/// One test at a time: each keeps the machine busy, and counts what devices and processes do. The suites are
/// in files of their own; all see the images of `Published`.
@Suite("The program,", .serialized, .published)
enum SystemTests {}
