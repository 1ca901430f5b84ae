// The schemes with keys of their own, and the programs they are measured against.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAgeScheme } from '../lib/age/mail-scheme.ts'
import { ageRecipientOf, generateAgeIdentity, type AgeKind } from '../lib/container/native-keys.ts'
import { SecretBytes } from '../lib/crypto/secret-bytes.ts'
import { createSharedKeyScheme } from '../lib/shared-key/mail-scheme.ts'
import * as openpgp from '../test/openpgp/world.ts'
import * as smime from '../test/smime/world.ts'
import { ALICE, BOB } from '../test/support/scheme-mail.ts'
import { gpg, opensslCms } from './peers.ts'
import type { Contender } from './schemes.ts'

export type MakeContender = (folder: string) => Promise<Contender>

const CREATED = '2026-11-22T00:00:00.000Z'

const sharedKey: MakeContender = async () => {
  const key = new SecretBytes(new Uint8Array(32).fill(7))
  const vault = new Map([
    ['a.example', { shared: [] }],
    ['b.example', { shared: [{ id: 'k', key, created: CREATED }] }],
  ])
  const keys = { contents: async () => vault, latest: async () => vault }
  const secret = ['-K', '07'.repeat(32), '-iv', '00'.repeat(16)]
  const cbc = ['openssl', 'enc', '-aes-256-cbc', ...secret]
  return {
    name: 'shared-key (aes-256-gcm)',
    scheme: createSharedKeyScheme({ keys, settingsOf: () => ({}) }),
    settings: {},
    peer: {
      name: 'openssl enc',
      seal: (plain) => [...cbc, '-in', plain],
      sealInto: (plain, sealed) => [...cbc, '-in', plain, '-out', sealed],
      open: (sealed) => [...cbc, '-d', '-in', sealed],
    },
  }
}

const age =
  (kind: AgeKind): MakeContender =>
  async (folder) => {
    const identity = generateAgeIdentity(kind)
    const recipient = ageRecipientOf(identity)
    const file = join(folder, `identity-${kind}`)
    writeFileSync(file, `${identity}\n`)
    const entry = { id: 'k', identity: new SecretBytes(new TextEncoder().encode(identity)) }
    const own = new Map([['b.example', { age: [entry] }]])
    return {
      name: `age (${kind})`,
      scheme: createAgeScheme({
        identities: { contents: async () => own, latest: async () => own },
      }),
      settings: { age: [recipient] },
      // Debian's age has no recipients of the newer kind.
      ...(kind === 'x25519' && {
        peer: {
          name: 'age',
          seal: (plain: string) => ['age', '-r', recipient, plain],
          sealInto: (plain: string, sealed: string) => [
            'age',
            '-r',
            recipient,
            '-o',
            sealed,
            plain,
          ],
          open: (sealed: string) => ['age', '-d', '-i', file, sealed],
        },
      }),
    }
  }

/** Signed and sealed, opened and verified. */
const openPgp: MakeContender = async (folder) => {
  const pool = openpgp.startPool()
  const alice = await openpgp.newKey(pool, ALICE)
  const bob = await openpgp.newKey(pool, BOB)
  const peer = gpg(folder, alice, bob)
  return {
    name: 'openpgp (curve25519, signed)',
    scheme: openpgp.schemeOf({
      pool,
      known: { [ALICE]: [{ key: alice }], [BOB]: [{ key: bob }] },
      own: {
        'a.example': [openpgp.ownKey('alice', alice)],
        'b.example': [openpgp.ownKey('bob', bob)],
      },
    }),
    settings: {},
    peer,
    close: async () => {
      peer.close?.()
      await pool.close()
    },
  }
}

const smimeProfile =
  (profile: 'compat' | 'modern'): MakeContender =>
  async (folder) => {
    const pool = smime.startPool()
    const [alice, bob] = [ALICE, BOB].map((address) =>
      smime.certificateOf(address, { key: 'rsa3072' }),
    )
    if (!alice || !bob) throw new Error('no certificates')
    return {
      name: `smime (${profile}, RSA-3072, signed)`,
      scheme: smime.schemeOf({
        pool,
        known: { [ALICE]: [{ certificate: alice }], [BOB]: [{ certificate: bob }] },
        own: {
          'a.example': [smime.ownKey('alice', alice)],
          'b.example': [smime.ownKey('bob', bob)],
        },
      }),
      settings: { smime: profile },
      peer: opensslCms(folder, alice, bob, profile),
      close: () => pool.close(),
    }
  }

export const CONTENDERS: readonly MakeContender[] = [
  sharedKey,
  age('x25519'),
  age('mlkem768x25519'),
  openPgp,
  smimeProfile('compat'),
  smimeProfile('modern'),
]
