// Our note on a transaction or a queued mail: what was decided for it, and by whom. The gates read it; it is JSON in
// the queue file and survives a restart.
import type { DomainRule } from '../protection/domain-rule.ts'
import { EXEMPTIONS, type Exemption } from '../protection/exemption.ts'
import type { Notes } from './api.ts'

export interface Mark {
  /** The content is ciphertext, and `required` is satisfied. */
  readonly protected: boolean
  /** For the log: scheme and serial, or why it is clear. */
  readonly reason: string
  /** The envelope the decision was made for, `local@domain`; nobody added later is covered. */
  readonly recipients: readonly string[]
  /** Why it may be clear where the table does not let mail go so merely for want of a key. */
  readonly clear?: Permission
}

/** The table exempts what it is; or the operator has let it go. */
export type Permission = Exemption | 'released'

const KEY = 'hisho'

export function setMark(notes: Record<string, unknown>, mark: Mark): void {
  notes[KEY] = mark
}

/** undefined: nothing was decided for it, or what stands there is not ours. */
export function markOf(notes: Readonly<Record<string, unknown>>): Mark | undefined {
  const found = notes[KEY]
  if (typeof found !== 'object' || found === null) return undefined
  const mark = found as Partial<Mark>
  return typeof mark.protected === 'boolean' && Array.isArray(mark.recipients)
    ? (mark as Mark)
    : undefined
}

/** Whether a decision stands for this recipient. */
export function covers(mark: Mark | undefined, address: string): boolean {
  return mark?.recipients.includes(address) ?? false
}

/** Whether a decision that was made for clear stands under this rule. */
export function permits({ clear }: Mark, { encrypt, exempt }: DomainRule): boolean {
  if (clear === 'released') return encrypt !== 'required'
  return EXEMPTIONS.some((one) => one === clear && exempt.includes(one))
}

// A copy is signed anew, and is a message of its own to whoever comes later.
const NOT_COPIED = new Set(['dkim_signed', 'skip_plugins', KEY])

export function copyNotes(from: Notes, to: Notes, own: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(from)) {
    if (!NOT_COPIED.has(name) && typeof value !== 'function') to[name] = value
  }
  Object.assign(to, own)
}
