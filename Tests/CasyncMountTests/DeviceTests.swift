import CasyncIO
import TestSupport
import Testing

@testable import CasyncMount

@Suite("The name of a device")
struct DeviceNameTests {
  @Test(
    "means a number, a link of udev's or a link of ours",
    arguments: [
      ("/dev/nbd0", DeviceName.number(0)), ("/dev/nbd17", .number(17)), ("/dev/nbd", .friendly("nbd")),
      ("/dev/nbd0p1", .friendly("nbd0p1")), ("/dev/root-image", .friendly("root-image")),
      ("/dev/disk/os", .link("/dev/disk/os")), ("disk", .link("disk")), ("./nbd0", .link("./nbd0")),
      ("/dev/", .link("/dev/")),
    ])
  func kinds(_ node: String, _ name: DeviceName) {
    #expect(DeviceName(node) == name)
    #expect(DeviceName(node)?.text == node)
  }

  @Test(
    "is refused where udev would change it",
    arguments: ["/dev/two words", "/dev/a\nb", "/dev/..", "/dev/é", "/dev/$x", "", "a\nb"])
  func refused(_ node: String) { #expect(DeviceName(node) == nil) }
}

@Suite("The record of a device")
struct DeviceRecordTests {
  private static let record = DeviceRecord(index: 3, name: .friendly("os"), identifier: "abc")

  @Test(
    "says the same when it is read again",
    arguments: [DeviceName.any, .number(3), .friendly("os"), .link("/srv/disk")])
  func roundTrip(_ name: DeviceName) throws {
    let scratch = try Scratch()
    let record = DeviceRecord(index: 3, name: name, identifier: "abc")
    let hold = try record.create(in: scratch("run"))
    #expect(DeviceRecord.all(in: scratch("run")) == [record])
    try hold.remove()
    #expect(DeviceRecord.all(in: scratch("run")).isEmpty)
  }

  @Test("begins with the friendly name, as casync writes it")
  func text() throws {
    let scratch = try Scratch()
    _ = try Self.record.create(in: scratch("run"))
    #expect(FileSystem.text(scratch("run/nbd3"))?.hasPrefix("os\n") == true)
  }

  @Test("can be claimed, and has no friendly name, only when its server is gone")
  func lock() throws {
    let scratch = try Scratch()
    let directory = scratch("run")
    do {
      let hold = try Self.record.create(in: directory)
      #expect(try Self.record.claim(in: directory) == nil)
      #expect(DeviceRecord.friendlyName(3, in: directory) == "os")
      #expect(hold.record == Self.record)
    }
    #expect(DeviceRecord.friendlyName(3, in: directory) == nil)
    #expect(try Self.record.claim(in: directory)?.record == Self.record)
  }

  @Test("that another server has replaced is not removed")
  func replaced() throws {
    let scratch = try Scratch()
    let old = try Self.record.create(in: scratch("run"))
    let next = try Self.record.create(in: scratch("run"))
    try old.remove()
    #expect(DeviceRecord.all(in: scratch("run")) == [next.record])
  }

  @Test("that is damaged is none", arguments: ["", "os", "os\n", "\n\n/dev/two words\n"])
  func damaged(_ text: String) throws {
    let scratch = try Scratch()
    try scratch.write(Array(text.utf8), to: "nbd3")
    #expect(DeviceRecord.all(in: scratch.path) == [])
  }
}
