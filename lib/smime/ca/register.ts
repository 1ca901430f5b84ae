// What our CA has issued and revoked: kept in the vault beside its key, so that neither is there without the other.
import { PermError } from '../../errors.ts'
import { REASONS, type RevocationReason } from '../trust/revocation-reasons.ts'

export interface Register {
  /** For which it may issue. */
  readonly domains: readonly string[]
  /** Where its list of revoked certificates lies: it stands in each certificate. */
  readonly listUrl?: string
  /** Of the last list. */
  readonly listNumber: number
  readonly issued: readonly Issued[]
}

export interface Issued {
  /** SHA-256 of the certificate, hexadecimal. */
  readonly id: string
  /** Hexadecimal. */
  readonly serialNumber: string
  readonly domain: string
  /** Local part in lower case, or `*`. */
  readonly user: string
  /** ISO 8601, UTC. */
  readonly created: string
  readonly expires: string
  readonly revoked?: string
  readonly reason?: RevocationReason
}

export function formatRegister(register: Register): string {
  return JSON.stringify(register)
}

/** PermError vault/malformed. */
export function parseRegister(text: string): Register {
  const root = record(parseJson(text))
  const { domains, listUrl, listNumber, issued } = root
  if (!Array.isArray(domains) || !Array.isArray(issued) || typeof listNumber !== 'number')
    throw malformed()
  return {
    domains: domains.map(textOf),
    ...(listUrl !== undefined && { listUrl: textOf(listUrl) }),
    listNumber,
    issued: issued.map(parseIssued),
  }
}

function parseIssued(value: unknown): Issued {
  const entry = record(value)
  const { revoked, reason } = entry
  const known = REASONS.find((one) => one === reason)
  if (reason !== undefined && known === undefined) throw malformed()
  return {
    id: textOf(entry['id']),
    serialNumber: textOf(entry['serialNumber']),
    domain: textOf(entry['domain']),
    user: textOf(entry['user']),
    created: textOf(entry['created']),
    expires: textOf(entry['expires']),
    ...(revoked !== undefined && { revoked: textOf(revoked) }),
    ...(known !== undefined && { reason: known }),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw malformed()
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed()
  return value as Readonly<Record<string, unknown>>
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw malformed()
  return value
}

function malformed(): PermError {
  return new PermError('vault/malformed', 'the register of a CA cannot be read')
}
