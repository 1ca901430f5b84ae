// What the tests of OpenPGP share: a pool, keys of ours and of others, and a scheme over them.
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { normalizeAddress } from '../../lib/ibe/identity.ts'
import type { FoundKey } from '../../lib/mail/correspondent-keys.ts'
import type { Opening, Scheme, SchemeSettings } from '../../lib/mail/scheme.ts'
import { createOpenPgpScheme } from '../../lib/openpgp/mail-scheme.ts'
import { createOpenPgpPool, type OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import type { OpenPgpKeySource, OwnKey } from '../../lib/openpgp/own-keys.ts'
import type { KeyType } from '../../lib/openpgp/key-types.ts'
import { correspondentsIn } from '../support/scheme-mail.ts'

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
    correspondentKeys: correspondentsIn(known, ({ key, ...more }) => ({
      fingerprint: key.fingerprint,
      bytes: key.certificate,
      ...more,
    })),
    settingsOf: () => more.settings ?? {},
    normalizeAddress,
    opensUnbound: () => more.opensUnbound ?? false,
  })
}

export function statusOf(opening: Opening): string | undefined {
  return opening.status === 'opened' ? opening.signature?.result.status : opening.reason
}
