internal import CLinux
internal import Glibc

/// Why a device or file must not be written: who uses it.
package struct DeviceUse: Sendable {
  /// Ends the sentence "… is in use: ", such as "mounted on /srv".
  package let reason: String
  /// How to free it, if that is known.
  package let hint: String?

  /// Who uses a block device, by what the kernel tells; `nil` when nobody is known to.
  /// - Parameter target: the device number that its node stands for.
  package static func ofDevice(_ target: UInt64, path: String) -> DeviceUse? {
    let device = BlockDevice(target)
    if let use = ofOneDevice(device, path: path) { return use }
    for partition in device.partitions {
      let number = FileSystem.text("\(device.directory)/\(partition)/dev") ?? ""
      if let use = ofOneDevice(BlockDevice(number: number.filter { $0 != "\n" }), path: "/dev/\(partition)") {
        return DeviceUse(reason: "its partition \(partition) is \(use.reason)", hint: use.hint)
      }
    }
    return nil
  }

  /// Another process that has the device, or a partition of it, open; of those that may be looked at.
  /// - Parameter target: the device number that its node stands for.
  package static func byProcess(_ target: UInt64) -> DeviceUse? {
    let device = BlockDevice(target)
    let partitions = device.partitions.compactMap { FileSystem.text("\(device.directory)/\($0)/dev") }
    let numbers = Set([device.number] + partitions.map { $0.filter { $0 != "\n" } })
    // A process that ends meanwhile has nothing open.
    for process in (try? FileSystem.names(in: "/proc")) ?? [] {
      guard let id = Int32(process), id != getpid() else { continue }
      for descriptor in (try? FileSystem.names(in: "/proc/\(id)/fd")) ?? [] {
        guard let status = (try? File.status("/proc/\(id)/fd/\(descriptor)")) ?? nil,
          status.kind == .blockDevice, numbers.contains(BlockDevice(status.target).number)
        else { continue }
        let name = FileSystem.text("/proc/\(id)/comm")?.filter { $0 != "\n" } ?? ""
        return DeviceUse(reason: "open in process \(id) (\(name))", hint: nil)
      }
    }
    return nil
  }

  /// Somebody who claims the device for himself and was not found otherwise: opening it tells.
  package static func byClaim(_ path: String) -> DeviceUse? {
    do {
      _ = try File.open(path, .exclusive)
    } catch let error as SystemError where error.isBusy {
      return DeviceUse(reason: "in use by the kernel, or in another mount namespace", hint: nil)
    } catch {
      // What cannot be opened for another reason tells nothing.
    }
    return nil
  }

  private static func ofOneDevice(_ device: BlockDevice, path: String) -> DeviceUse? {
    if let point = mountPoint(device, path: path) {
      return DeviceUse(reason: "mounted on \(point)", hint: "umount \(point)")
    }
    if let holder = device.holders.first {
      let name =
        FileSystem.text("/sys/block/\(holder)/dm/name").map { " (\($0.filter { $0 != "\n" }))" } ?? ""
      return DeviceUse(reason: "held by \(holder)\(name)", hint: nil)
    }
    if isSwap(path, device) {
      return DeviceUse(reason: "used as swap", hint: "swapoff \(path)")
    }
    return nil
  }

  /// Where the device is mounted: by its number, or (file systems with numbers of their own) by its source.
  private static func mountPoint(_ device: BlockDevice, path: String) -> String? {
    let resolved = FileSystem.resolved(path) ?? path
    // Fields of proc_pid_mountinfo(5): the third is the number, the fifth the mount point, the second after
    // "-" the source.
    for line in (FileSystem.text("/proc/self/mountinfo") ?? "").split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count > 5, let dash = fields.firstIndex(of: "-"), dash + 2 < fields.count else { continue }
      let source = unescape(fields[dash + 2])
      if fields[2] == device.number || source == path || source == resolved || source == "/dev/\(device.name)"
      {
        return unescape(fields[4])
      }
    }
    return nil
  }

  private static func isSwap(_ path: String, _ device: BlockDevice) -> Bool {
    let resolved = FileSystem.resolved(path) ?? path
    return (FileSystem.text("/proc/swaps") ?? "").split(separator: "\n").dropFirst().contains { line in
      guard let file = line.split(separator: " ").first.map({ unescape($0) }) else { return false }
      return file == resolved || file == "/dev/\(device.name)"
    }
  }

  /// The loop device that `file`, or a device built on it, backs; chains are followed by whoever asks for the
  /// loop device in turn.
  /// - Parameter file: the status of a regular file or of a block device.
  package static func ofBackingFile(_ file: File.Status, path: String) -> DeviceUse? {
    let resolved = FileSystem.resolved(path) ?? path
    // A system without loop devices has no such directory entries.
    for name in (try? FileSystem.names(in: "/sys/block")) ?? [] where name.hasPrefix("loop") {
      guard let backing = FileSystem.text("/sys/block/\(name)/loop/backing_file") else { continue }
      let backingPath = backing.last == "\n" ? String(backing.dropLast()) : backing
      guard backingPath == resolved || isSame(backingPath, file) else { continue }
      return DeviceUse(reason: "it backs /dev/\(name)", hint: "losetup --detach /dev/\(name)")
    }
    return nil
  }

  private static func isSame(_ path: String, _ file: File.Status) -> Bool {
    // A backing file that is gone or hidden is known by its path alone.
    guard let other = (try? File.status(path)) ?? nil else { return false }
    if file.kind == .blockDevice { return other.kind == .blockDevice && other.target == file.target }
    return other.device == file.device && other.inode == file.inode
  }

  /// Undoes the octal escapes of /proc (`\040` is a blank).
  private static func unescape(_ field: Substring) -> String {
    var bytes = [UInt8]()
    var rest = Array(field.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\\"), rest.count >= 3,
        let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
