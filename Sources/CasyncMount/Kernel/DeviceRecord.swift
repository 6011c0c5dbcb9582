internal import Casync
internal import CasyncFormat
internal import CasyncIO

/// The file /run/casync/nbdN, which says what is attached at a device: three lines, the friendly name as
/// casync 2 writes it (else empty), what is served, and NODE as the user wrote it (else empty).
///
/// Whoever serves the device holds an exclusive flock on it, so one that can be locked was left by a server
/// that is gone.
package struct DeviceRecord: Equatable, Sendable {
  package static let directory = "/run/casync"

  /// N of nbdN.
  package let index: UInt32
  package let name: DeviceName
  /// What the kernel got as NBD_ATTR_BACKEND_IDENTIFIER.
  package let identifier: String

  package init(index: UInt32, name: DeviceName, identifier: String) {
    self.index = index
    self.name = name
    self.identifier = identifier
  }

  private static func path(_ index: UInt32, in directory: String) -> String { "\(directory)/nbd\(index)" }

  private var text: String {
    let friendly = if case .friendly(let name) = name { name } else { "" }
    return "\(friendly)\n\(identifier)\n\(name.text)\n"
  }

  /// A record that is locked by this object, and so by this process.
  package final class Hold: Sendable {
    package let record: DeviceRecord
    private let path: String
    private let file: File

    fileprivate init(_ record: DeviceRecord, path: String, _ file: File) {
      self.record = record
      self.path = path
      self.file = file
    }

    /// Takes the record away, unless somebody has put another in its place.
    package func remove() throws {
      guard let status = try File.status(path), try status.inode == file.status().inode else { return }
      try FileSystem.remove(path)
    }
  }

  /// Writes a new record, in place of one that a server left, and locks it.
  package func create(in directory: String = directory) throws -> Hold {
    try FileSystem.makeDirectory(directory, mode: 0o755)
    let path = Self.path(index, in: directory)
    let file = try FileSystem.createTemporary(in: directory, prefix: ".#nbd\(index)", mode: 0o644)
    do {
      guard try file.tryLock(.exclusive) else { throw JobError(.refused, "\(file.path) is locked") }
      try file.writeNext(Array(text.utf8).rawSpan)
      try FileSystem.rename(file.path, to: path)
    } catch {
      // The error before is the one to report.
      _ = try? FileSystem.remove(file.path)
      throw error
    }
    return Hold(self, path: path, file)
  }

  /// All records, of whatever servers.
  package static func all(in directory: String = directory) -> [DeviceRecord] {
    // Where nothing was ever attached there is no directory.
    ((try? FileSystem.names(in: directory)) ?? []).compactMap(DeviceName.number).sorted()
      .compactMap { read($0, in: directory) }
  }

  /// What stands in a record; `nil` when there is none, or one that makes no sense.
  package static func read(_ index: UInt32, in directory: String = directory) -> DeviceRecord? {
    guard let text = FileSystem.text(path(index, in: directory)) else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard lines.count >= 3 else { return nil }
    guard let name = lines[2].isEmpty ? .any : DeviceName(lines[2]) else { return nil }
    return DeviceRecord(index: index, name: name, identifier: lines[1])
  }

  /// Locks the record that a dead server left; `nil` while one lives.
  package func claim(in directory: String = directory) throws -> Hold? {
    let path = Self.path(index, in: directory)
    let file = try File.open(path)
    guard try file.tryLock(.exclusive), Self.read(index, in: directory) == self else { return nil }
    return Hold(self, path: path, file)
  }

  /// Removes the record, whoever wrote it.
  package func remove(in directory: String = directory) throws {
    try FileSystem.remove(Self.path(index, in: directory))
  }

  /// The friendly name of a device whose server lives.
  package static func friendlyName(_ index: UInt32, in directory: String = directory) -> String? {
    guard let record = read(index, in: directory), case .friendly(let name) = record.name,
      // A record that is gone meanwhile names nothing.
      let file = try? File.open(path(index, in: directory)), (try? file.tryLock(.shared)) == false
    else { return nil }
    return name
  }
}
