// What the tests of S/MIME as a scheme share: a pool, certificates of ours and of others, and a scheme over them.
import { createHash, createPrivateKey } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import type { FoundKey } from '../../lib/mail/correspondent-keys.ts'
import type { Scheme, SchemeSettings } from '../../lib/mail/scheme.ts'
import { createSmimeScheme } from '../../lib/smime/mail-scheme.ts'
import type { OwnSmimeKey } from '../../lib/smime/own-keys.ts'
import { createSmimePool, type SmimePool } from '../../lib/smime/pool.ts'
import type { Trust } from '../../lib/smime/trust/trust.ts'
import { latin1 } from '../mail/pieces.ts'
import type { Certified } from '../support/certificates.ts'
import {
  mailAuthority,
  mailCertificate,
  trusting,
  type MailCertificateOptions,
} from '../support/mail-certificates.ts'
import { ALICE, BOB, correspondentsIn, sealed } from '../support/scheme-mail.ts'

export const authority = mailAuthority()
export const trust = trusting(authority)

export function startPool(): SmimePool {
  return createSmimePool({ size: 1, queueLimit: 100 })
}

export function certificateOf(address: string, options: MailCertificateOptions = {}): Certified {
  return mailCertificate(authority, { address, subject: `/CN=${address}`, ...options })
}

export function fingerprintOf({ der }: Certified): string {
  return createHash('sha256').update(der).digest('hex')
}

export function ownKey(user: string, key: Certified, more: Partial<OwnSmimeKey> = {}): OwnSmimeKey {
  const secret = createPrivateKey(key.privateKey).export({ type: 'pkcs8', format: 'der' })
  return {
    id: fingerprintOf(key),
    user,
    secret: new SecretBytes(Uint8Array.from(secret)),
    certificates: [key.der],
    created: '2026-11-22T00:00:00.000Z',
    ...more,
  }
}

type Own = Readonly<Record<string, readonly OwnSmimeKey[]>>

/** By address, or by domain. */
export type Known = Readonly<
  Record<string, readonly (Partial<FoundKey> & { readonly certificate: Certified })[]>
>

export interface SchemeWorld {
  readonly pool: SmimePool
  readonly known?: Known
  readonly own?: Own
  /** What is in the vault's file by now. */
  readonly latest?: Own
  readonly settings?: SchemeSettings
  readonly opensUnbound?: boolean
  readonly trust?: Trust
  /** Gets what was harvested. */
  readonly harvested?: { address: string; bytes: Uint8Array }[]
  readonly logged?: string[]
}

/** A quarter of an hour from now: behind the moment in which the certificates are made. */
const NOW_MS = Date.now() + 900_000
export const clock: Clock = { nowMs: () => NOW_MS }

export function schemeOf({
  pool,
  known = {},
  own = {},
  latest = own,
  ...more
}: SchemeWorld): Scheme {
  const mapOf = (sites: Own) =>
    new Map(Object.entries(sites).map(([name, smime]) => [name, { smime }]))
  const [held, file] = [mapOf(own), mapOf(latest)]
  return createSmimeScheme({
    pool,
    keys: { contents: async () => held, latest: async () => (latest === own ? held : file) },
    correspondentKeys: correspondentsIn(
      known,
      ({ certificate, ...rest }) => ({
        fingerprint: fingerprintOf(certificate),
        bytes: certificate.der,
        ...rest,
      }),
      more.harvested,
    ),
    settingsOf: () => more.settings ?? {},
    normalizeAddress,
    trust: more.trust ?? trust,
    clock,
    log: (_level, line) => void more.logged?.push(line),
    opensUnbound: () => more.opensUnbound ?? false,
  })
}

/** The message on the wire. */
export async function sealedText(...given: Parameters<typeof sealed>): Promise<string> {
  return latin1(await sealed(...given))
}

/** A CMS message as mail of somebody's. */
export function asMail(cms: Uint8Array, fields: Readonly<Record<string, string>> = {}): string {
  const header = {
    From: ALICE,
    To: BOB,
    Subject: '[...]',
    'MIME-Version': '1.0',
    'Content-Type': 'application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"',
    'Content-Transfer-Encoding': 'base64',
    ...fields,
  }
  const lines = Object.entries(header).map(([name, value]) => `${name}: ${value}\r\n`)
  const base64 = Buffer.from(cms)
    .toString('base64')
    .replaceAll(/.{1,76}/g, '$&\r\n')
  return `${lines.join('')}\r\n${base64}`
}
