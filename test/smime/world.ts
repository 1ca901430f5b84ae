// What the tests of S/MIME as a scheme share: a pool, certificates of ours and of others, and a scheme over them.
import { createHash, createPrivateKey } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import type { CorrespondentKeys, FoundKey } from '../../lib/mail/correspondent-keys.ts'
import { collect, messageBytes, readMessage } from '../../lib/mail/message.ts'
import type { Opening, Scheme, SchemeSettings } from '../../lib/mail/scheme.ts'
import { createSmimeScheme } from '../../lib/smime/mail-scheme.ts'
import type { OwnSmimeKey } from '../../lib/smime/own-keys.ts'
import { createSmimePool, type SmimePool } from '../../lib/smime/pool.ts'
import type { Trust } from '../../lib/smime/trust/trust.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'
import type { Certified } from '../support/certificates.ts'
import {
  mailAuthority,
  mailCertificate,
  trusting,
  type MailCertificateOptions,
} from '../support/mail-certificates.ts'

export const ALICE = 'alice@a.example'
export const BOB = 'bob@b.example'

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
    correspondentKeys: directoryOf(known, more.harvested ?? []),
    settingsOf: () => more.settings ?? {},
    normalizeAddress,
    trust: more.trust ?? trust,
    clock,
    log: (_level, line) => void more.logged?.push(line),
    opensUnbound: () => more.opensUnbound ?? false,
  })
}

function directoryOf(
  known: Known,
  harvested: { address: string; bytes: Uint8Array }[],
): CorrespondentKeys {
  return {
    async find(_kind, name, sources) {
      const own = known[name] ?? []
      const found = own.length > 0 ? own : (known[name.slice(name.lastIndexOf('@') + 1)] ?? [])
      return found
        .map(({ certificate, ...more }) => ({
          fingerprint: fingerprintOf(certificate),
          bytes: certificate.der,
          addresses: [name],
          source: 'operator' as const,
          isOfDomain: own.length === 0,
          ...more,
        }))
        .filter(({ source }) => sources.includes(source))
    },
    harvest: async (_kind, address, bytes) => void harvested.push({ address, bytes }),
  }
}

export function letter(
  fields: Readonly<Record<string, string>> = {},
  body = 'the secret\r\n',
): string {
  const header = {
    From: `Alice <${ALICE}>`,
    To: BOB,
    Subject: 'about the secret',
    Date: 'Sun, 22 Nov 2026 05:00:00 +0000',
    'Message-ID': '<1@a.example>',
    ...fields,
  }
  const lines = Object.entries(header).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${lines.join('')}\r\n${body}`
}

export interface SealOptions {
  readonly to?: readonly string[]
  readonly author?: string | undefined
  readonly settings?: SchemeSettings
}

/** The message on the wire. */
export async function sealed(
  scheme: Scheme,
  message: string | Uint8Array,
  { to = [BOB], author, settings = {} }: SealOptions = {},
): Promise<string> {
  const [first = ''] = to
  const domain = first.slice(first.lastIndexOf('@') + 1)
  const offer = await scheme.offer({ domain, addresses: to, trust: [], settings })
  if (!offer) throw new Error('no offer')
  const bytes = typeof message === 'string' ? bytesOf(message) : message
  return latin1(await collect(messageBytes(offer.seal(to, await readMessage([bytes]), { author }))))
}

export async function opened(
  scheme: Scheme,
  wire: string | Uint8Array,
  to: readonly string[] = [BOB],
): Promise<Opening> {
  const bytes = typeof wire === 'string' ? bytesOf(wire) : wire
  return scheme.open(await readMessage([bytes]), to)
}

export async function textOf(opening: Opening): Promise<string> {
  if (opening.status === 'closed') return `closed: ${opening.reason}`
  return latin1(await collect(messageBytes(opening.message)))
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
