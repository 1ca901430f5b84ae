// S/MIME against other people's programs, in both directions: the rows of test/support/interop-smime.ts.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { decodeBase64 } from '../../lib/mail/base64-body.ts'
import { collect, readMessage } from '../../lib/mail/message.ts'
import { readTwoParts } from '../../lib/mail/two-parts.ts'
import { decoded } from '../../lib/smime/entity.ts'
import type { SmimePool } from '../../lib/smime/pool.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'
import {
  asMail,
  authority,
  certificateOf,
  ownKey,
  schemeOf,
  startPool,
  sealedText as sealed,
} from '../smime/world.ts'
import { ALICE, BOB, letter, opened, textOf } from '../support/scheme-mail.ts'
import type { Certified } from '../support/certificates.ts'
import {
  ALL_KEYS,
  FROM_THE_PEER,
  SMIME_KEYS,
  SMIME_ROWS,
  TO_THE_PEER,
  type SmimeKeyName,
  type SmimePeerName,
} from '../support/interop-smime.ts'
import { peer as installed } from '../support/peers.ts'
import { gpgsm, opensslCms, type Gpgsm, type OpensslCms } from '../support/smime-peers.ts'

const KEY_TYPES = { 'RSA-3072': 'rsa3072', 'P-256': 'p256', 'P-384': 'p384' } as const
const BODY = 'Gr\xc3\xbc\xc3\x9fe, 8-bit \xff\xfe\r\n.\r\nbye\r\n'
const ENTITY = `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${BODY}`

interface Pair {
  readonly alice: Certified
  readonly bob: Certified
  readonly address: string
}

let pool: SmimePool
const pairs = new Map<string, Pair>()
before(() => {
  pool = startPool()
  for (const kind of SMIME_KEYS) {
    const key = KEY_TYPES[kind]
    const address = `${key}@b.example`
    pairs.set(kind, {
      alice: certificateOf(ALICE, { key }),
      bob: certificateOf(address, { key }),
      address,
    })
  }
})
after(() => pool.close())

function pairOf(kind: string): Pair {
  const pair = pairs.get(kind)
  assert.ok(pair)
  return pair
}

const all = (): Pair[] => SMIME_KEYS.map(pairOf)

/** The mail that Alice sends, signed with her key of the first one's kind. */
function fromUs(to: readonly Pair[], profile: 'compat' | 'modern', body = BODY): Promise<string> {
  const scheme = schemeOf({
    pool,
    known: Object.fromEntries(to.map(({ address, bob }) => [address, [{ certificate: bob }]])),
    own: { 'a.example': [ownKey('alice', to[0]!.alice)] },
  })
  const addresses = to.map(({ address }) => address)
  const message = letter(
    { To: addresses.join(', '), 'Content-Type': 'text/plain; charset=utf-8' },
    body,
  )
  return sealed(scheme, message, { to: addresses, author: ALICE, settings: { smime: profile } })
}

function atOurs(wire: string | Uint8Array, { bob, address }: Pair, settings = {}) {
  const [user = ''] = address.split('@')
  const scheme = schemeOf({ pool, own: { 'b.example': [ownKey(user, bob)] }, settings })
  return opened(scheme, wire, [address])
}

const withHeader = (mail: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`From: ${ALICE}\r\nTo: ${BOB}\r\nSubject: about it\r\n`), mail])

function holds(
  peer: SmimePeerName,
  direction: 'to the peer' | 'from the peer',
  feature: keyof typeof TO_THE_PEER | keyof typeof FROM_THE_PEER,
  key: string,
): string {
  const text: Readonly<Record<string, string>> =
    direction === 'to the peer' ? TO_THE_PEER : FROM_THE_PEER
  const row = SMIME_ROWS.find(
    (one) =>
      one.peer === peer &&
      one.direction === direction &&
      one.feature === text[feature] &&
      one.key === key,
  )
  assert.ok(row, `${peer} ${direction} ${feature} ${key}`)
  return row.result
}

async function assertOpens(wire: string | Uint8Array, pair: Pair, settings = {}): Promise<void> {
  const opening = await atOurs(wire, pair, settings)
  assert.ok(opening.status === 'opened', JSON.stringify(opening))
  assert.equal(opening.signature?.result.status, 'pass', JSON.stringify(opening.signature))
  assert.equal(opening.integrity, 'ok')
  const text = await textOf(opening)
  assert.equal(text.slice(text.indexOf('\r\n\r\n') + 4), BODY)
}

/** A body of 26 MB. */
function largeBody(): string {
  const lines = randomBytes(19_500_000).toString('base64').replaceAll(/.{76}/g, '$&\r\n')
  return `${lines}\r\n`
}

describe('S/MIME with openssl cms', { skip: installed('openssl', 'openssl') }, () => {
  let openssl: OpensslCms
  before(() => {
    openssl = opensslCms()
  })
  after(() => openssl.close())

  const openThere = async (wire: string, key: Certified): Promise<string> =>
    latin1(await openssl.verify(await openssl.decrypt(wire, key), authority))
  const sealThere = async (
    pair: Pair,
    options: readonly string[],
    to: readonly Pair[] = [pair],
    form: 'clear' | 'opaque' = 'clear',
  ): Promise<Buffer> => {
    const signed = await openssl.sign(bytesOf(ENTITY), pair.alice, form)
    return withHeader(
      await openssl.encrypt(
        signed,
        to.map(({ bob }) => bob),
        options,
      ),
    )
  }

  for (const profile of ['compat', 'modern'] as const) {
    it(`opens and verifies ours: ${profile}`, async () => {
      for (const kind of SMIME_KEYS) {
        assert.equal(holds('openssl cms', 'to the peer', profile, kind), 'yes')
        const content = await openThere(await fromUs([pairOf(kind)], profile), pairOf(kind).bob)
        assert.ok(content.endsWith(`\r\n\r\n${BODY}`), kind)
        assert.match(content, /^Subject: about the secret\r$/m)
      }
      const several = profile === 'compat' ? 'several' : 'severalModern'
      assert.equal(holds('openssl cms', 'to the peer', several, ALL_KEYS), 'yes')
      const wire = await fromUs(all(), profile)
      for (const { bob } of all()) assert.ok((await openThere(wire, bob)).endsWith(BODY))
    })
  }

  it('does not open what was changed, or is for another', async () => {
    const { bob } = pairOf('P-256')
    const wire = await fromUs([pairOf('P-256')], 'modern')
    assert.equal(holds('openssl cms', 'to the peer', 'wrongKey', 'P-256'), 'yes')
    await assert.rejects(openssl.decrypt(wire, pairOf('P-384').bob))
    assert.equal(holds('openssl cms', 'to the peer', 'tampered', 'P-256'), 'yes')
    await assert.rejects(openssl.decrypt(changed(wire), bob))
  })

  it('seals and signs what we open and verify', async () => {
    for (const kind of SMIME_KEYS) {
      const pair = pairOf(kind)
      assert.equal(holds('openssl cms', 'from the peer', 'cbc', kind), 'yes')
      await assertOpens(await sealThere(pair, ['-aes-256-cbc']), pair)
      assert.equal(holds('openssl cms', 'from the peer', 'gcm', kind), 'yes')
      await assertOpens(await sealThere(pair, ['-aes-256-gcm']), pair)
      assert.equal(holds('openssl cms', 'from the peer', 'keyIdentifier', kind), 'yes')
      await assertOpens(await sealThere(pair, ['-aes-128-cbc', '-keyid']), pair)
    }
    assert.equal(holds('openssl cms', 'from the peer', 'several', ALL_KEYS), 'yes')
    const wire = await sealThere(pairOf('P-384'), ['-aes-256-cbc'], all())
    for (const pair of all()) await assertOpens(wire, pair)
    assert.equal(holds('openssl cms', 'from the peer', 'opaque', 'P-256'), 'yes')
    const p256 = pairOf('P-256')
    await assertOpens(await sealThere(p256, ['-aes-256-gcm'], [p256], 'opaque'), p256)
  })

  it('RSA-OAEP, and triple DES where the line says legacy', async () => {
    const rsa = pairOf('RSA-3072')
    assert.equal(holds('openssl cms', 'from the peer', 'oaep', 'RSA-3072'), 'yes')
    const oaep = ['-aes-256-gcm', '-keyopt', 'rsa_padding_mode:oaep']
    await assertOpens(await sealThere(rsa, oaep), rsa)
    await assertOpens(await sealThere(rsa, [...oaep, '-keyopt', 'rsa_oaep_md:sha256']), rsa)
    assert.equal(holds('openssl cms', 'from the peer', 'tripleDes', 'RSA-3072'), 'yes')
    const wire = await sealThere(rsa, ['-des3'])
    assert.equal((await atOurs(wire, rsa)).status, 'closed')
    await assertOpens(wire, rsa, { legacy: true })
  })

  it('what was changed, or is for another, does not open', async () => {
    const pair = pairOf('P-256')
    const wire = latin1(await sealThere(pair, ['-aes-256-gcm']))
    assert.equal(holds('openssl cms', 'from the peer', 'wrongKey', 'P-256'), 'yes')
    assert.equal((await atOurs(wire, pairOf('P-384'))).status, 'closed')
    assert.equal(holds('openssl cms', 'from the peer', 'tampered', 'P-256'), 'yes')
    assert.equal((await atOurs(changed(wire), pair)).status, 'closed')
  })

  it('a message of 26 MB goes both ways', async () => {
    const pair = pairOf('P-256')
    const body = largeBody()
    assert.ok(body.length > 26_000_000)
    assert.equal(holds('openssl cms', 'to the peer', 'large', 'P-256'), 'yes')
    const there = await openThere(await fromUs([pair], 'compat', body), pair.bob)
    assert.ok(there.endsWith(`\r\n\r\n${body}`))
    assert.equal(holds('openssl cms', 'from the peer', 'stream', 'P-256'), 'yes')
    const mail = await openssl.encrypt(
      bytesOf(`Content-Type: text/plain\r\n\r\n${body}`),
      [pair.bob],
      ['-aes-256-gcm', '-stream'],
    )
    const opening = await atOurs(withHeader(mail), pair)
    assert.ok((await textOf(opening)).endsWith(`\r\n\r\n${body}`))
  })
})

describe('S/MIME with gpgsm', { skip: installed('gpgsm', 'gpgsm') }, () => {
  let peer: Gpgsm
  before(async () => {
    peer = await gpgsm(authority)
    for (const { alice } of all()) await peer.importCertificate(alice)
    await peer.importKey(pairOf('RSA-3072').alice)
    await peer.importKey(pairOf('RSA-3072').bob)
  })
  after(() => peer.close())

  const openThere = async (wire: string): Promise<string> => {
    const { body } = await readMessage([bytesOf(wire)])
    const entity = await readMessage([await peer.decrypt(await collect(decodeBase64(body)))])
    const [content, signature] = await readTwoParts(entity, 100_000_000)
    await peer.verify(content.raw, await decoded(signature, signature.body))
    return latin1(content.raw)
  }

  it('opens and verifies ours for RSA, and takes no EC key', async () => {
    const rsa = pairOf('RSA-3072')
    assert.equal(holds('gpgsm', 'to the peer', 'compat', 'RSA-3072'), 'yes')
    assert.ok((await openThere(await fromUs([rsa], 'compat'))).endsWith(`\r\n\r\n${BODY}`))
    assert.match(holds('gpgsm', 'to the peer', 'several', ALL_KEYS), /^yes/)
    assert.ok((await openThere(await fromUs(all(), 'compat'))).endsWith(`\r\n\r\n${BODY}`))
    for (const kind of ['P-256', 'P-384'] satisfies SmimeKeyName[]) {
      assert.match(holds('gpgsm', 'to the peer', 'compat', kind), /^no/)
      await assert.rejects(peer.importKey(pairOf(kind).bob))
    }
  })

  it('does not know AES-GCM', async () => {
    assert.match(holds('gpgsm', 'to the peer', 'modern', 'RSA-3072'), /^no/)
    await assert.rejects(openThere(await fromUs([pairOf('RSA-3072')], 'modern')))
  })

  it('seals and signs what we open and verify, but for EC', async () => {
    const rsa = pairOf('RSA-3072')
    assert.equal(holds('gpgsm', 'from the peer', 'cbc', 'RSA-3072'), 'yes')
    const signed = await peer.sign(bytesOf(ENTITY), rsa.alice)
    const inner = `Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n${signed.toString('base64')}\r\n`
    await assertOpens(asMail(await peer.encrypt(bytesOf(inner), [rsa.address])), rsa)
    for (const kind of ['P-256', 'P-384'] satisfies SmimeKeyName[]) {
      assert.match(holds('gpgsm', 'from the peer', 'cbc', kind), /^no/)
      await peer.importCertificate(pairOf(kind).bob)
      await assert.rejects(peer.encrypt(bytesOf(ENTITY), [pairOf(kind).address]))
    }
  })
})

/** With one octet of the last quarter changed. */
function changed(wire: string): string {
  const at = wire.trimEnd().length - 40
  return `${wire.slice(0, at)}${wire[at] === 'A' ? 'B' : 'A'}${wire.slice(at + 1)}`
}
