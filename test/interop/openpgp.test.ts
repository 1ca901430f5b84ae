// OpenPGP against other people's programs, in both directions: the rows of test/support/interop-openpgp.ts.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { generateKey, type KeyOptions } from 'openpgp'
import { readArmor, writeArmor } from '../../lib/openpgp/armor.ts'
import type { OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'
import { keyOf, ownKey, schemeOf, startPool, statusOf, type TestKey } from '../openpgp/world.ts'
import { ALICE, BOB, letter, opened, sealed, textOf } from '../support/scheme-mail.ts'
import {
  OPENPGP_FEATURES,
  OPENPGP_KEYS,
  OPENPGP_PEER_NAMES,
  OPENPGP_ROWS,
  type OpenPgpPeerName,
} from '../support/interop-openpgp.ts'
import {
  gpgPeer,
  rnpPeer,
  sopPeer,
  type OpenPgpPeer,
  type PeerKey,
} from '../support/openpgp-peers.ts'
import { peer as installed } from '../support/peers.ts'

type Kind = (typeof OPENPGP_KEYS)[number]

const OPTIONS: Readonly<Record<Kind | 'X25519', Partial<KeyOptions>>> = {
  'RSA-3072': { type: 'rsa', rsaBits: 3072 },
  'P-256': { type: 'ecc', curve: 'nistP256' },
  'P-384': { type: 'ecc', curve: 'nistP384' },
  curve25519: { type: 'ecc', curve: 'curve25519Legacy' },
  X25519: { type: 'curve25519', config: { v6Keys: true, aeadProtect: true } },
}

const PACKAGES: Readonly<Record<OpenPgpPeerName, string>> = {
  gpg: 'gnupg',
  sqop: 'sqop',
  gosop: 'gosop',
  'pgpainless-cli': 'pgpainless-cli',
  rnp: 'rnp',
}

function start(name: OpenPgpPeerName): OpenPgpPeer {
  if (name === 'gpg') return gpgPeer()
  return name === 'rnp' ? rnpPeer() : sopPeer(name, PACKAGES[name])
}

interface Pair {
  readonly alice: TestKey
  readonly bob: TestKey
}

const TEXT = letter({ 'Content-Type': 'text/plain; charset=utf-8' }, 'Gr\xc3\xbc\xc3\x9fe\r\n.\r\n')
const BYTES = letter({}, '8-bit \xff\xfe, NUL \x00, and a bare\nline end\r\n')
const ENTITY = `Content-Type: text/plain\r\n\r\nGr\xc3\xbc\xc3\x9fe, \xff\x00 and a bare\nline end\r\n`

let pool: OpenPgpPool
const pairs = new Map<string, Pair>()

function pairOf(kind: string): Pair {
  const pair = pairs.get(kind)
  assert.ok(pair)
  return pair
}

before(async () => {
  pool = startPool()
  const make = async (kind: Kind | 'X25519', email: string): Promise<TestKey> => {
    const userIDs = { name: 'test', email }
    const { privateKey } = await generateKey({ ...OPTIONS[kind], userIDs, format: 'binary' })
    return keyOf(pool, privateKey)
  }
  for (const kind of [...OPENPGP_KEYS, 'X25519' as const])
    pairs.set(kind, { alice: await make(kind, ALICE), bob: await make(kind, BOB) })
})
after(() => pool.close())

const armor = (type: Parameters<typeof writeArmor>[0], bytes: Uint8Array): string =>
  latin1(Buffer.concat([...writeArmor(type, bytes)]))

const forPeer = ({ fingerprint, secret, certificate }: TestKey): PeerKey => ({
  fingerprint,
  secret: armor('PRIVATE KEY BLOCK', secret),
  certificate: armor('PUBLIC KEY BLOCK', certificate),
})

/** The armored message of a mail that Alice sends to Bob, and to Alice too. */
async function fromUs(kind: string, message: string | Uint8Array): Promise<Uint8Array> {
  const { alice, bob } = pairOf(kind)
  const scheme = schemeOf({
    pool,
    known: { [BOB]: [{ key: bob }], 'carol@b.example': [{ key: alice }] },
    own: { 'a.example': [ownKey('alice', alice)] },
  })
  const wire = await sealed(scheme, message, { to: [BOB, 'carol@b.example'], author: ALICE })
  const at = Buffer.from(wire).indexOf('-----BEGIN PGP')
  return wire.subarray(at, Buffer.from(wire).lastIndexOf('\r\n\r\n--'))
}

/** What Bob's gateway makes of an armored message. */
async function atOurs(message: Uint8Array, bob: TestKey, alice: TestKey) {
  const scheme = schemeOf({
    pool,
    known: { [ALICE]: [{ key: alice }] },
    own: { 'b.example': [ownKey('bob', bob)] },
  })
  const wire = Buffer.concat([
    bytesOf(
      `From: ${ALICE}\r\nTo: ${BOB}\r\nContent-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=x\r\n\r\n` +
        `This is an OpenPGP/MIME encrypted message (RFC 4880 and 3156)\r\n--x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n` +
        `--x\r\nContent-Type: application/octet-stream\r\n\r\n`,
    ),
    message,
    bytesOf('\r\n--x--\r\n'),
  ])
  return opened(scheme, wire)
}

function withChangedOctet(message: Uint8Array): Uint8Array {
  const packets = Uint8Array.from(readArmor('MESSAGE', message))
  packets[packets.length - 40]! ^= 1
  return bytesOf(armor('MESSAGE', packets))
}

function testPeer(name: OpenPgpPeerName): void {
  const rows = OPENPGP_ROWS.filter((row) => row.peer === name)
  const holds = (direction: string, feature: keyof typeof OPENPGP_FEATURES, key = 'curve25519') => {
    const row = rows.find(
      (one) =>
        one.direction === direction && one.feature === OPENPGP_FEATURES[feature] && one.key === key,
    )
    assert.ok(row)
    return row.result
  }

  describe(name, { skip: installed(name, PACKAGES[name]) }, () => {
    let peer: OpenPgpPeer
    before(() => {
      peer = start(name)
    })
    after(() => peer.close())

    const openThere = (message: Uint8Array, { bob, alice }: Pair): Promise<Uint8Array> =>
      peer.open(message, forPeer(bob), forPeer(alice))

    it('opens and verifies ours', async () => {
      for (const kind of OPENPGP_KEYS) {
        const result = holds('to the peer', 'mail', kind)
        const content = latin1(await openThere(await fromUs(kind, TEXT), pairOf(kind)))
        const body = content.slice(content.indexOf('Gr'))
        assert.equal(
          body,
          result === 'yes' ? 'Gr\xc3\xbc\xc3\x9fe\r\n.\r\n' : 'Gr\xc3\xbc\xc3\x9fe\n.\n',
          kind,
        )
      }
    })

    it('opens octets of all kinds, and nothing that was changed or is for another', async () => {
      const { alice, bob } = pairOf('curve25519')
      const message = await fromUs('curve25519', BYTES)
      const content = latin1(await openThere(message, { alice, bob }))
      const isSame = content.endsWith('8-bit \xff\xfe, NUL \x00, and a bare\nline end\r\n')
      assert.equal(isSame, holds('to the peer', 'bytes') === 'yes')
      assert.equal(holds('to the peer', 'tampered'), 'yes')
      await assert.rejects(openThere(withChangedOctet(message), { alice, bob }))
      assert.equal(holds('to the peer', 'wrongKey'), 'yes')
      const another = start(name) // gpg remembers all keys that it has seen
      try {
        await assert.rejects(another.open(message, forPeer(pairOf('P-256').bob), forPeer(alice)))
      } finally {
        await another.close()
      }
    })

    it('does not open what is sealed for keys of RFC 9580', async () => {
      assert.match(holds('to the peer', 'v6', 'X25519'), /^no/)
      const pair = pairOf('X25519')
      await assert.rejects(openThere(await fromUs('X25519', TEXT), pair))
    })

    it('seals and signs what we open and verify', async () => {
      const all = OPENPGP_KEYS.map(pairOf)
      const sealThere = (signers: readonly Pair[]): Promise<Uint8Array> =>
        peer.seal(
          bytesOf(ENTITY),
          all.map(({ bob }) => forPeer(bob)),
          signers.map(({ alice }) => forPeer(alice)),
        )
      // It takes seconds to start; gosop signs with one key.
      const together = name === 'pgpainless-cli' ? await sealThere(all) : undefined
      for (const kind of OPENPGP_KEYS) {
        assert.equal(holds('from the peer', 'mail', kind), 'yes')
        assert.equal(holds('from the peer', 'bytes'), 'yes')
        const pair = pairOf(kind)
        const message = together ?? (await sealThere([pair]))
        const opening = await atOurs(message, pair.bob, pair.alice)
        assert.equal(statusOf(opening), 'pass', kind)
        const text = await textOf(opening)
        assert.equal(text.slice(text.indexOf('\r\n\r\n')), ENTITY.slice(ENTITY.indexOf('\r\n\r\n')))
        if (kind !== 'curve25519') continue
        assert.equal(holds('from the peer', 'tampered'), 'yes')
        const { status } = await atOurs(withChangedOctet(message), pair.bob, pair.alice)
        assert.equal(status, 'closed')
        assert.equal(holds('from the peer', 'wrongKey'), 'yes')
        assert.equal((await atOurs(message, pair.alice, pair.alice)).status, 'closed')
      }
    })

    if (name === 'gpg')
      it('a message of 26 MB goes both ways', async () => {
        const pair = pairOf('curve25519')
        const lines = randomBytes(20_000_000).toString('base64').replaceAll(/.{76}/g, '$&\r\n')
        const large = letter({}, `${lines}\r\n`)
        assert.ok(large.length > 26_000_000)
        assert.equal(holds('to the peer', 'large'), 'yes')
        const there = await openThere(await fromUs('curve25519', large), pair)
        assert.ok(
          Buffer.from(there)
            .subarray(-lines.length - 2)
            .equals(bytesOf(`${lines}\r\n`)),
        )
        assert.equal(holds('from the peer', 'large'), 'yes')
        const back = await peer.seal(there, [forPeer(pair.bob)], [forPeer(pair.alice)])
        const opening = await atOurs(back, pair.bob, pair.alice)
        assert.equal(statusOf(opening), 'pass')
        assert.ok((await textOf(opening)) === large)
      })
  })
}

// Each on its own: one of them takes seconds to start.
describe('OpenPGP with other programs', { concurrency: true }, () => {
  for (const name of OPENPGP_PEER_NAMES) testPeer(name)
})
