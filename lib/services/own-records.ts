// What our own domains publish: a record for each generation in the vault that is neither withdrawn nor retired.
import { createHash } from 'node:crypto'
import { formatLegacy, parametersOf as legacyParametersOf } from '../ibe/bb2/parameters.ts'
import type { Ibe } from '../ibe/ibe.ts'
import {
  formatParameters,
  withoutSignatures,
  type AnyParameters,
  type Parameters,
} from '../ibe/parameters.ts'
import { activeEntries, type MasterKeyEntry, type VaultContents } from '../vault/contents.ts'

/** Senders that were away for some rotations still find a generation that they remember. */
const SIGNERS_MAX = 4

export interface OwnRecord {
  readonly entry: MasterKeyEntry
  /** The text of the TXT record. Nothing of it is secret. */
  readonly text: string
}

/** In the order of their serials, a scheme after the other. */
export async function ownRecords(
  ibe: Pick<Ibe, 'signRecord'>,
  contents: VaultContents,
  domain: string,
): Promise<OwnRecord[]> {
  const entries = (['bf', 'cc', 'bb2'] as const)
    .flatMap((scheme) => activeEntries(contents, domain, scheme).toReversed())
    .filter((entry) => entry.withdrawn === undefined)
  return Promise.all(
    entries.map(async (entry) => ({ entry, text: await recordText(ibe, contents, domain, entry) })),
  )
}

/** The record of one generation, signed by the older ones of its scheme: docs/formats.md, "Signatures of records". */
export async function recordText(
  ibe: Pick<Ibe, 'signRecord'>,
  contents: VaultContents,
  domain: string,
  entry: MasterKeyEntry,
): Promise<string> {
  const parameters = parametersOf(entry)
  if (parameters.version === '1.0') return formatLegacy(parameters)
  const signers = activeEntries(contents, domain, entry.scheme)
    .filter(({ n, leaked }) => n < entry.n && leaked === undefined)
    .slice(0, SIGNERS_MAX)
  const signatures = await Promise.all(
    signers.map(async ({ n, masterKey }) => ({
      n,
      signature: await ibe.signRecord(masterKey, domain, parameters),
    })),
  )
  return formatParameters({ ...parameters, ...(signatures.length > 0 && { signatures }) })
}

export function parametersOf(
  entry: MasterKeyEntry,
): Parameters | ReturnType<typeof legacyParametersOf> {
  const publicKey = new Uint8Array(Buffer.from(entry.publicKey, 'base64'))
  const { scheme, n, period } = entry
  return scheme === 'bb2'
    ? legacyParametersOf(n, publicKey)
    : { version: '2.0', scheme, n, period, publicKey }
}

/** Two records with the same text here are the same parameters, whoever vouches for them. */
export function bareRecord(parameters: AnyParameters): string {
  return parameters.version === '1.0'
    ? formatLegacy(parameters)
    : formatParameters(withoutSignatures(parameters))
}

const FINGERPRINT_HEX_DIGITS = 24

/** For two operators to compare by telephone: the beginning of the bare record's SHA-256, `3f2a 91bc ...`. */
export function fingerprintOf(parameters: AnyParameters): string {
  const hex = createHash('sha256').update(bareRecord(parameters)).digest('hex')
  return (hex.slice(0, FINGERPRINT_HEX_DIGITS).match(/.{4}/g) ?? []).join(' ')
}
