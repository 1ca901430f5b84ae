// Lines that begin with one of many boundaries, found in time that grows with the text alone: who writes it chooses both.

export interface Place {
  /** How deep its parts are. */
  readonly depth: number
  /** Whether one multipart of this boundary is a digest. */
  readonly isDigest: boolean
}

export interface Delimiter {
  readonly at: number
  readonly place: Place
}

export interface Boundaries {
  add(boundary: string, place: Place): void
  /** The first line from `from` on, and before `until`, that begins with two hyphens and a boundary, whatever follows. */
  find(text: string, from: number, until: number): Delimiter | undefined
}

/** One character of a boundary, and of all others that begin with the same ones. */
interface Node {
  readonly next: Map<string, Node>
  place?: Place
}

export function createBoundaries(): Boundaries {
  const root: Node = { next: new Map() }
  return {
    add(boundary, place) {
      let node = root
      for (const char of boundary) {
        const next = node.next.get(char) ?? { next: new Map() }
        node.next.set(char, next)
        node = next
      }
      node.place = both(node.place, place)
    },
    find(text, from, until) {
      if (root.next.size === 0) return undefined
      for (let at = text.indexOf('--', from); at !== -1 && at < until;) {
        const place = isLineStart(text, at) ? match(root, text, at + 2) : undefined
        if (place) return { at, place }
        at = text.indexOf('--', at + 1)
      }
      return undefined
    },
  }
}

function isLineStart(text: string, at: number): boolean {
  const before = text[at - 1]
  return before === undefined || before === '\r' || before === '\n'
}

/** Of all boundaries that begin there. */
function match(root: Node, text: string, from: number): Place | undefined {
  let found: Place | undefined
  let at = from
  for (let node = root.next.get(text[at] ?? ''); node; node = node.next.get(text[++at] ?? ''))
    if (node.place) found = both(found, node.place)
  return found
}

function both(one: Place | undefined, other: Place): Place {
  if (!one) return other
  return {
    depth: Math.max(one.depth, other.depth),
    isDigest: one.isDigest || other.isDigest,
  }
}
