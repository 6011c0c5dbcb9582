/// A queue: items leave in the order in which they came; a slot is let go with its item.
package struct Fifo<Element> {
  private var items: [Element?] = []
  private var head = 0

  package init() {}

  package var count: Int { items.count - head }
  package var isEmpty: Bool { head == items.count }
  package var first: Element? { isEmpty ? nil : items[head] }

  package mutating func append(_ element: Element) {
    items.append(element)
  }

  package mutating func popFirst() -> Element? {
    guard !isEmpty else { return nil }
    defer {
      items[head] = nil
      head += 1
      // Slots that were left are given up when they are the greater part.
      if head * 2 > items.count {
        items.removeFirst(head)
        head = 0
      }
    }
    return items[head]
  }
}
