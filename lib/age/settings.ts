// What a line of the domain table says for age: recipients of the site, or of its users.
import { ageKindOf, ageRecipient } from '../container/native-keys.ts'
import type { SchemeKind, SchemeSettings } from '../mail/scheme.ts'

/** Whom a list is for that no user has of their own. */
const SITE = '*'

/** By local part in lower case, and for all others under `*`: texts that begin with `age1`. */
export type AgeRecipients = ReadonlyMap<string, readonly string[]>

export const AGE: SchemeKind = {
  name: 'age',
  settings: ['age'],

  problemWith({ age }) {
    if (age === undefined) return undefined
    const reason = problemWithLists(listsOf(age))
    return reason === undefined ? undefined : { key: 'age', reason }
  },
}

/** Of settings that `problemWith` has let pass. undefined: the line says nothing for age. */
export function ageRecipients({ age }: SchemeSettings): AgeRecipients | undefined {
  const lists = age === undefined ? undefined : listsOf(age)
  return lists && new Map(lists.map(([user, list]) => [user.toLowerCase(), list.map(String)]))
}

/** Those for these addresses of the domain: a user's own, else the site's; each once. */
export function recipientsFor(known: AgeRecipients, addresses: readonly string[]): string[] {
  const all = addresses.flatMap((address) => {
    const local = address.slice(0, address.lastIndexOf('@')).toLowerCase()
    return known.get(local) ?? known.get(SITE) ?? []
  })
  return [...new Set(all)]
}

/** `age1...` and `[age1...]` are `{ '*': [age1...] }`. undefined: none of these. */
function listsOf(age: unknown): (readonly [string, readonly unknown[]])[] | undefined {
  if (typeof age === 'string') return [[SITE, [age]]]
  if (Array.isArray(age)) return [[SITE, age]]
  if (typeof age !== 'object' || age === null) return undefined
  const entries = Object.entries(age)
  return entries.every((entry): entry is [string, unknown[]] => Array.isArray(entry[1]))
    ? entries
    : undefined
}

function problemWithLists(lists: ReturnType<typeof listsOf>): string | undefined {
  if (!lists) return 'must be a list of age1..., or a list for each user'
  if (lists.every(([user]) => user !== SITE))
    return "needs a list under '*', for users that have none of their own"
  const all = lists.flatMap(([, list]) => list)
  for (const [user, list] of lists)
    if (list.length === 0) return `must name at least one recipient for ${user}`
  if (!all.every(isRecipient)) return 'must hold age recipients: age1... or age1pq1...'
  // As age itself: beside one of the older kind the newer one protects nothing.
  const kinds = new Set(all.map((recipient) => ageKindOf(String(recipient))))
  return kinds.size > 1 ? 'must not mix age1... with age1pq1...' : undefined
}

function isRecipient(text: unknown): boolean {
  if (typeof text !== 'string') return false
  try {
    ageRecipient(text)
    return true
  } catch {
    return false
  }
}
