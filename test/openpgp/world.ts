// What the tests of OpenPGP share: a pool, keys of ours and of others, and a scheme over them.
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import type { CorrespondentKeys, FoundKey } from '../../lib/mail/correspondent-keys.ts'
import { collect, messageBytes, readMessage } from '../../lib/mail/message.ts'
import type { Opening, Scheme, SchemeSettings } from '../../lib/mail/scheme.ts'
import { createOpenPgpScheme } from '../../lib/openpgp/mail-scheme.ts'
import { createOpenPgpPool, type OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import type { OpenPgpKeySource, OwnKey } from '../../lib/openpgp/own-keys.ts'
import type { KeyType } from '../../lib/openpgp/key-types.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'

export const ALICE = 'alice@a.example'
export const BOB = 'bob@b.example'

export function startPool(): OpenPgpPool {
  return createOpenPgpPool({ size: 1, queueLimit: 100 })
}

/** A key with both its halves. */
export interface TestKey {
  readonly fingerprint: string
  readonly secret: Uint8Array
  readonly certificate: Uint8Array
}

export async function newKey(
  pool: OpenPgpPool,
  address: string,
  {
    type = 'curve25519',
    expiresSeconds = 86_400,
  }: { type?: KeyType; expiresSeconds?: number } = {},
): Promise<TestKey> {
  const secret = await pool.run('generate', { type, name: 'test', address, expiresSeconds })
  return keyOf(pool, secret)
}

export async function keyOf(pool: OpenPgpPool, secret: Uint8Array): Promise<TestKey> {
  const { found } = await pool.run('readKeys', { keys: secret })
  const [facts] = found
  if (!facts) throw new Error('no key')
  return { fingerprint: facts.fingerprint, secret, certificate: facts.certificate }
}

export function ownKey(user: string, key: TestKey, more: Partial<OwnKey> = {}): OwnKey {
  return {
    id: key.fingerprint,
    user,
    secret: new SecretBytes(Uint8Array.from(key.secret)),
    created: '2026-11-22T00:00:00.000Z',
    ...more,
  }
}

function vaultOf(sites: Readonly<Record<string, readonly OwnKey[]>>): OpenPgpKeySource {
  const held = new Map(Object.entries(sites).map(([name, openpgp]) => [name, { openpgp }]))
  return { contents: async () => held, latest: async () => held }
}

/** By address, or by domain. */
export type Known = Readonly<Record<string, readonly Found[]>>
type Found = Partial<FoundKey> & { readonly key: TestKey }

function directoryOf(known: Known): CorrespondentKeys {
  return {
    async find(_kind, name, sources) {
      const domain = name.slice(name.lastIndexOf('@') + 1)
      const own = known[name] ?? []
      return (own.length > 0 ? own : (known[domain] ?? []))
        .map(({ key, ...more }) => ({
          fingerprint: key.fingerprint,
          bytes: key.certificate,
          addresses: [name],
          source: 'operator' as const,
          isOfDomain: own.length === 0,
          ...more,
        }))
        .filter(({ source }) => sources.includes(source))
    },
    harvest: async () => {},
  }
}

export interface SchemeWorld {
  readonly pool: OpenPgpPool
  readonly known?: Known
  readonly own?: Readonly<Record<string, readonly OwnKey[]>>
  readonly settings?: SchemeSettings
  readonly opensUnbound?: boolean
}

export function schemeOf({ pool, known = {}, own = {}, ...more }: SchemeWorld): Scheme {
  return createOpenPgpScheme({
    pool,
    keys: vaultOf(own),
    correspondentKeys: directoryOf(known),
    settingsOf: () => more.settings ?? {},
    normalizeAddress,
    opensUnbound: () => more.opensUnbound ?? false,
  })
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
): Promise<Uint8Array> {
  const [first = ''] = to
  const domain = first.slice(first.lastIndexOf('@') + 1)
  const offer = await scheme.offer({ domain, addresses: to, trust: [], settings })
  if (!offer) throw new Error('no offer')
  const bytes = typeof message === 'string' ? bytesOf(message) : message
  return collect(messageBytes(offer.seal(to, await readMessage([bytes]), { author })))
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

export function statusOf(opening: Opening): string | undefined {
  return opening.status === 'opened' ? opening.signature?.result.status : opening.reason
}
