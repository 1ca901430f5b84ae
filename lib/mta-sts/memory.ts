// The policies that this process has at hand. Bounded in number and in bytes: what was not used for longest goes, and stays
// in the store. Domains of one provider have one policy, which is kept once.
import type { Entry } from './entry.ts'
import type { Policy } from './policy.ts'

export interface Held {
  readonly entry: Entry
  /** When the store was last asked. */
  readonly checkedAtMs: number
  /** When its use was last noted; undefined: not yet. */
  readonly notedAtMs: number | undefined
}

export interface MemoryLimits {
  readonly maxPolicies: number
  /** An estimate of what policies take, their parsed form included. */
  readonly maxBytes: number
}

export interface PolicyMemory {
  get(domain: string): Held | undefined
  set(domain: string, held: Held): void
  delete(domain: string): void
}

interface Shared {
  readonly text: string
  readonly policy: Policy
  users: number
}

const BYTES_OF_LINE = 64 // a slice or a pattern, and its place in an array; measured, as test/mta-sts/memory.test.ts does

export function createPolicyMemory({ maxPolicies, maxBytes }: MemoryLimits): PolicyMemory {
  const all = new Map<string, Held>() // in the order of use
  const texts = new Map<string, Shared>()
  let bytes = 0

  const share = ({ fetched, ...entry }: Entry): Entry => {
    if (fetched === undefined) return { ...entry, fetched }
    const { text, policy } = fetched
    const known = texts.get(text)
    const shared = known ?? { text, policy: compact(policy), users: 0 }
    shared.users += 1
    if (!known) {
      texts.set(text, shared)
      bytes += bytesOf(shared)
    }
    return { ...entry, fetched: { ...fetched, text: shared.text, policy: shared.policy } }
  }
  const remove = (domain: string): void => {
    const text = all.get(domain)?.entry.fetched?.text
    all.delete(domain)
    const shared = text === undefined ? undefined : texts.get(text)
    if (shared === undefined) return
    shared.users -= 1
    if (shared.users > 0) return
    texts.delete(shared.text)
    bytes -= bytesOf(shared)
  }

  const isFull = (): boolean => all.size > maxPolicies || (bytes > maxBytes && all.size > 1)

  return {
    get(domain) {
      const held = all.get(domain)
      if (held === undefined) return undefined
      all.delete(domain)
      all.set(domain, held)
      return held
    },
    set(domain, held) {
      const entry = share(held.entry) // before the old one goes: it may be the same text
      remove(domain)
      all.set(domain, { ...held, entry })
      for (const oldest of all.keys()) {
        if (!isFull()) return
        remove(oldest)
      }
    },
    delete: remove,
  }
}

/** An array that grew has places for more than it holds. */
function compact(policy: Policy): Policy {
  return { ...policy, mx: policy.mx.slice(), lines: policy.lines.slice() }
}

function bytesOf({ text, policy }: Shared): number {
  return 2 * text.length + BYTES_OF_LINE * (policy.lines.length + policy.mx.length)
}
