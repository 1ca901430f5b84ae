// A message that waits for a key: its envelope, and why. The message itself lies beside it, as it came.
import { PermError } from '../../errors.ts'

export interface HeldMail {
  readonly id: string
  /** ISO 8601, UTC. */
  readonly since: string
  /** Of the envelope; '' for the null one. */
  readonly sender: string
  /** `local@domain`, at least one. */
  readonly recipients: readonly string[]
  readonly reason: string
  /** By what its sender asked for encryption. */
  readonly raisedBy?: string
  /** Who has proven to be its author. */
  readonly author?: string
  readonly messageId?: string
  readonly sizeBytes: number
  /** Where it goes once it goes, and what it asks of the way: notes for the queue. */
  readonly notes: Readonly<Record<string, unknown>>
  /** The sender was told that it waits. */
  readonly isAnnounced: boolean
}

/** What an operator asks for. */
export const REQUESTS = ['release', 'release-plain', 'drop', 'drop-silently'] as const
export type Request = (typeof REQUESTS)[number]

export function formatHeldMail(mail: HeldMail): string {
  return `${JSON.stringify(mail, undefined, 2)}\n`
}

/** PermError mail/malformed for what is no envelope of ours. */
export function parseHeldMail(text: string): HeldMail {
  const found = parseObject(text)
  const isText = (name: string): boolean => typeof found[name] === 'string'
  const isTextOrAbsent = (name: string): boolean => found[name] === undefined || isText(name)
  const recipients: unknown = found['recipients']
  const isWhole =
    ['id', 'since', 'sender', 'reason'].every(isText) &&
    ['raisedBy', 'author', 'messageId'].every(isTextOrAbsent) &&
    Array.isArray(recipients) &&
    recipients.length > 0 &&
    recipients.every((one) => typeof one === 'string') &&
    typeof found['sizeBytes'] === 'number' &&
    typeof found['isAnnounced'] === 'boolean' &&
    isObject(found['notes']) &&
    !Number.isNaN(Date.parse(String(found['since'])))
  if (!isWhole) throw malformed()
  return found as unknown as HeldMail
}

function parseObject(text: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw malformed()
  }
  if (!isObject(parsed)) throw malformed()
  return parsed
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function malformed(): PermError {
  return new PermError('mail/malformed', 'not the envelope of held mail')
}
