// Identities: a normalised mail address, with a period of time if the domain's parameters say so.
// docs/formats.md, "Identities".
import { PermError } from '../errors.ts'
import { normalizeDomain } from './mail-domain.ts'
import { isPeriod, periodAt } from './period.ts'
import type { PeriodKind } from './period.ts'

const LOCAL_MAX_BYTES = 64 // RFC 5321 section 4.5.3.1.1
// RFC 5322 section 3.2.3, and RFC 6531 section 3.3 for what is not ASCII.
const DOT_ATOM =
  /^[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}-]+)*$/iu
// What addresses of mobile carriers look like, against RFC 5322: dots in a row, or at an end. The quoted form stands for them.
const LOOSE_DOTS = /^[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\u{10ffff}.-]+$/iu
const QUOTED = /^"(?:[^"\\]|\\.)*"$/su

export interface MailIdentity {
  readonly address: string
  readonly domain: string
  /** Such as `2026-11`, `2026-W47` or `2026-11-22`. */
  readonly period?: string
}

/** `local@domain` in the one form that stands for this mailbox. PermError mail/malformed for what is no address. */
export function normalizeAddress(address: string): string {
  const at = address.lastIndexOf('@')
  if (at < 1) throw malformed('has no local part')
  return `${normalizeLocal(address.slice(0, at))}@${normalizeDomain(address.slice(at + 1))}`
}

function normalizeLocal(text: string): string {
  if (/\p{Surrogate}/u.test(text)) throw malformed('has a lone surrogate')
  const quoted = QUOTED.test(text)
  if (!quoted && !LOOSE_DOTS.test(text)) throw malformed('has a local part that needs quotes')
  const bare = quoted ? text.slice(1, -1).replaceAll(/\\(.)/gsu, '$1') : text
  // NFC makes ASCII letters of some signs (the kelvin sign), and lower case makes new pairs to compose (j, caron).
  const local = lowerAscii(bare.normalize('NFC')).normalize('NFC')
  if (hasControl(local)) throw malformed('has a control character')
  const written = DOT_ATOM.test(local) ? local : `"${local.replaceAll(/["\\]/g, '\\$&')}"`
  if (new TextEncoder().encode(written).length > LOCAL_MAX_BYTES) {
    throw malformed('has a local part of more than 64 octets')
  }
  return written
}

function lowerAscii(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
}

function hasControl(text: string): boolean {
  return /\p{Cc}/u.test(text)
}

/** The identity that H1 hashes. The address is normalised here; `period` is what `periodAt` gave. */
export function formatIdentity(address: string, period?: string): string {
  const normal = normalizeAddress(address)
  if (period === undefined) return normal
  if (!isPeriod(period)) throw malformed('has no such period')
  return `${normal}#${period}`
}

/** The identity of an address under parameters with this kind of period, at this time. */
export function identityAt(address: string, period: PeriodKind, ms: number): string {
  return formatIdentity(address, periodAt(period, ms))
}

/** Takes only what `formatIdentity` writes: the same mailbox and period are always the same text. */
export function parseIdentity(text: string): MailIdentity {
  const mark = text.lastIndexOf('#')
  // A domain has no '#', so one behind the last '@' begins a period; any other belongs to the local part.
  const hasPeriod = mark > text.lastIndexOf('@')
  const address = hasPeriod ? text.slice(0, mark) : text
  if (normalizeAddress(address) !== address) throw malformed('is not in its normal form')
  const domain = address.slice(address.lastIndexOf('@') + 1)
  if (!hasPeriod) return { address, domain }
  const period = text.slice(mark + 1)
  if (!isPeriod(period)) throw malformed('has no such period')
  return { address, domain, period }
}

function malformed(what: string): PermError {
  return new PermError('mail/malformed', `address ${what}`)
}
