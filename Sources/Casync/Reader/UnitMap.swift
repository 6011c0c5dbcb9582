import CasyncFormat

/// What each unit of an image is: two bits a unit, kept in words as they stand in the file, 32 units a word,
/// the first in the lowest bits (docs/formats/partial-image.md). Guarded by its owner.
struct UnitMap {
  /// What a unit is.
  enum State: UInt64 {
    /// Not in this file.
    case absent = 0
    /// Its bytes are in the file.
    case data = 1
    /// Zeros, whatever the file holds there.
    case zero = 2
  }

  /// Bytes of the file that are written together, and how many units they stand for.
  static let pageLength = 4096
  private static let wordsInPage = pageLength / 8
  private static let unitsInWord = 32

  let count: Int
  private var words: [UInt64]
  /// Pages that are not in the file as they are here.
  private var changed: Set<Int> = []

  /// A map of `count` units that are all absent.
  init(count: Int) {
    self.count = count
    words = Array(repeating: 0, count: Self.length(count: count) / 8)
  }

  /// A map as it stands in a file.
  init(count: Int, bytes: RawSpan) {
    self.init(count: count)
    for index in words.indices { words[index] = bytes.word(at: index * 8) ?? 0 }
  }

  /// Bytes that a map takes in a file: whole pages.
  static func length(count: Int) -> Int {
    (count + unitsInWord * wordsInPage - 1) / (unitsInWord * wordsInPage) * pageLength
  }

  subscript(unit: Int) -> State {
    // Bits that no writer of ours makes name nothing that is here.
    State(rawValue: words[unit / Self.unitsInWord] >> UInt64(unit % Self.unitsInWord * 2) & 3) ?? .absent
  }

  /// - Returns: the numbers of the pages that it changed.
  /// - Precondition: the units exist.
  @discardableResult
  mutating func set(_ units: Range<Int>, to state: State) -> Set<Int> {
    var pages: Set<Int> = []
    var unit = units.lowerBound
    while unit < units.upperBound {
      let (index, first) = (unit / Self.unitsInWord, unit % Self.unitsInWord)
      let step = min(Self.unitsInWord - first, units.upperBound - unit)
      let ones: UInt64 = step == Self.unitsInWord ? .max : (1 << UInt64(2 * step)) - 1
      let mask = ones << UInt64(2 * first)
      let new = words[index] & ~mask | Self.pattern(state) & mask
      if new != words[index] {
        words[index] = new
        pages.insert(index / Self.wordsInPage)
      }
      unit += step
    }
    changed.formUnion(pages)
    return pages
  }

  /// Takes the states of `newer`, a map of the same units.
  mutating func become(_ newer: UnitMap) {
    precondition(newer.count == count, "a map of another image")
    for index in words.indices where words[index] != newer.words[index] {
      words[index] = newer.words[index]
      changed.insert(index / Self.wordsInPage)
    }
  }

  /// Where the run of units like the one at `unit` ends, at most at `limit`.
  func endOfRun(from unit: Int, limit: Int) -> Int {
    let state = self[unit]
    let pattern = Self.pattern(state)
    var end = unit + 1
    while end < limit {
      if end % Self.unitsInWord == 0, words[end / Self.unitsInWord] == pattern {
        end += Self.unitsInWord
      } else if self[end] == state {
        end += 1
      } else {
        break
      }
    }
    return min(end, limit)
  }

  private static func pattern(_ state: State) -> UInt64 { state.rawValue &* 0x5555_5555_5555_5555 }

  // MARK: The file's copy

  /// A page of the map, and where it lies in it.
  struct Page: Sendable {
    let number: Int
    let bytes: [UInt8]
  }

  /// The pages that changed since they were last taken.
  mutating func takeChanged() -> [Page] {
    defer { changed = [] }
    return pages(changed)
  }

  /// Pages as they are now.
  func pages(_ numbers: some Sequence<Int>) -> [Page] {
    numbers.sorted().map { number in
      var bytes = [UInt8]()
      bytes.reserveCapacity(Self.pageLength)
      for word in words[number * Self.wordsInPage..<(number + 1) * Self.wordsInPage] {
        bytes.append(word: word)
      }
      return Page(number: number, bytes: bytes)
    }
  }
}
