// Domains that have keys of BB2, and a gateway that knows some of them.
import { randomBytes } from 'node:crypto'
import type { WorkerPool } from '../../../lib/crypto/pool.ts'
import type { SecretBytes } from '../../../lib/crypto/secret-bytes.ts'
import { createBb2, createBb2Pool, type Bb2 } from '../../../lib/ibe/bb2/bb2.ts'
import type { Bb2Jobs } from '../../../lib/ibe/bb2/jobs.ts'
import { createBb2Scheme } from '../../../lib/ibe/bb2/mail-scheme.ts'
import type { LegacyParameters } from '../../../lib/ibe/bb2/parameters.ts'
import { createMasterKeySource, type MasterKeySource } from '../../../lib/ibe/key-source.ts'
import { readMessage } from '../../../lib/mail/message.ts'
import type { Offer, Opening, Scheme } from '../../../lib/mail/scheme.ts'
import { fakeClock, type FakeClock } from '../fake-clock.ts'
import { bytesOf, latin1, whole } from '../../mail/pieces.ts'

export interface KeyPair {
  readonly n: number
  readonly masterKey: SecretBytes
  readonly parameters: LegacyParameters
}

export interface World {
  readonly pool: WorkerPool<Bb2Jobs>
  readonly bb2: Bb2
  readonly clock: FakeClock
  /** What the vault has, by domain, the newest first. */
  readonly vault: Map<string, KeyPair[]>
  /** What DNS says. */
  readonly published: Map<string, { parameters: LegacyParameters; untrusted?: string }>
  readonly keys: MasterKeySource
  readonly scheme: Scheme
  readonly settings: { allowed: boolean }
  newKeys(domain: string, n: number): Promise<KeyPair>
  close(): Promise<void>
}

export function createWorld(): World {
  const pool = createBb2Pool({ size: 1, queueLimit: 1000 })
  const bb2 = createBb2({ pool })
  const clock = fakeClock()
  const vault: World['vault'] = new Map()
  const published: World['published'] = new Map()
  const settings = { allowed: true }
  const extract = (key: SecretBytes, identity: string): Promise<SecretBytes> =>
    bb2.extract(key, identity)
  const keys = createMasterKeySource({
    clock,
    extract: { bf: extract, cc: extract, bb2: extract },
    masterKeys: async (domain, scheme) =>
      scheme === 'bb2'
        ? (vault.get(domain) ?? []).map(({ n, masterKey }) => ({ n, masterKey, period: 'none' }))
        : [],
  })
  const scheme = createBb2Scheme({
    bb2,
    clock,
    keys,
    directory: { legacyParameters: async (domain) => published.get(domain) },
    isAllowed: () => settings.allowed,
  })
  return {
    pool,
    bb2,
    clock,
    vault,
    published,
    keys,
    scheme,
    settings,
    async newKeys(domain, n) {
      const { masterKey, publicKey } = await bb2.generate()
      const pair = { n, masterKey, parameters: bb2.parametersOf(n, publicKey) }
      vault.set(domain, [pair, ...(vault.get(domain) ?? [])])
      published.set(domain, { parameters: pair.parameters })
      return pair
    },
    async close() {
      keys.held.clear()
      await pool.close()
    },
  }
}

export async function offerFor(world: World, domain: string): Promise<Offer> {
  const offer = await world.scheme.offer({ domain, addresses: [], trust: ['dnssec'], settings: {} })
  if (offer === undefined) throw new Error(`${domain} has no offer`)
  return offer
}

export async function seal(world: World, address: string, text: string): Promise<string> {
  const offer = await offerFor(world, address.slice(address.lastIndexOf('@') + 1))
  return latin1(
    await whole(offer.seal([address], await readMessage([bytesOf(text)]), { author: undefined })),
  )
}

export async function open(
  world: World,
  text: string | readonly Uint8Array[],
  addresses: readonly string[],
): Promise<Opening> {
  const pieces = typeof text === 'string' ? [bytesOf(text)] : text
  return world.scheme.open(await readMessage(pieces), addresses)
}

/** What was opened, as text; an error of the body is thrown. */
export async function plaintextOf(opening: Opening): Promise<string> {
  if (opening.status === 'closed') return `closed: ${opening.reason}`
  return latin1(await whole(opening.message))
}

/** The octets that a message of version 1 carries. */
export function payloadOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'base64'))
}

/** The message with another payload. */
export function withPayload(text: string, payload: Uint8Array): string {
  const base64 = Buffer.from(payload).toString('base64')
  const lines = base64.replaceAll(/.{1,76}/g, '$&\r\n')
  return text.slice(0, text.indexOf('\r\n\r\n') + 4) + lines
}

/** A mail of about this size that no compression and no pattern helps with. */
export function mailOf(sizeBytes: number): string {
  const noise = randomBytes(Math.ceil((sizeBytes * 3) / 4)).toString('base64')
  return `From: a@a.example\r\nTo: alice@b.example\r\nSubject: secret\r\n\r\n${noise}\r\n`
}
