import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import {
  createMessage,
  encrypt,
  Message,
  PacketList,
  readKey,
  readMessage as readPgp,
  type AnyPacket,
  type EncryptOptions,
} from 'openpgp'
import { PermError, TempError } from '../../lib/errors.ts'
import { collect, readMessage } from '../../lib/mail/message.ts'
import { protectionOf } from '../../lib/mail/protected-content.ts'
import { readArmor, writeArmor } from '../../lib/openpgp/armor.ts'
import { readEncrypted } from '../../lib/openpgp/mime.ts'
import { LARGEST_PLAINTEXT_BYTES } from '../../lib/openpgp/limits.ts'
import { createOpenPgpPool, type OpenPgpPool } from '../../lib/openpgp/openpgp.ts'
import { OPENPGP } from '../../lib/openpgp/settings.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'
import { newKey, ownKey, schemeOf, startPool, statusOf, type TestKey } from './world.ts'
import { ALICE, BOB, letter, opened, sealed, textOf } from '../support/scheme-mail.ts'

const CLOSED = 'closed: openpgp/decrypt: the message does not open'

let pool: OpenPgpPool
let alice: TestKey
let bob: TestKey
let site: TestKey
let other: TestKey
before(async () => {
  pool = startPool()
  alice = await newKey(pool, ALICE)
  bob = await newKey(pool, BOB)
  site = await newKey(pool, '*@b.example')
  other = await newKey(pool, 'mallory@b.example')
})
after(() => pool.close())

/** What anybody can make who has Bob's certificate: not signed, and as they like. */
async function wireOf(
  content: string,
  recipients: readonly TestKey[],
  options: Partial<EncryptOptions> = {},
): Promise<string> {
  const message = await createMessage({ binary: bytesOf(content) })
  return wrapped(
    await encrypt({
      message,
      ...options,
      encryptionKeys: await certificates(recipients),
      format: 'binary',
    }),
  )
}

function certificates(keys: readonly TestKey[]) {
  return Promise.all(keys.map(({ certificate }) => readKey({ binaryKey: certificate })))
}

function wrapped(packets: Uint8Array, fields = `From: ${ALICE}\r\nTo: ${BOB}\r\n`): string {
  const armor = Buffer.concat([...writeArmor('MESSAGE', packets)]).toString('latin1')
  return (
    `${fields}Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=x\r\n\r\n` +
    `--x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n` +
    `--x\r\nContent-Type: application/octet-stream\r\n\r\n${armor}\r\n--x--\r\n`
  )
}

const sender = () =>
  schemeOf({
    pool,
    known: { [BOB]: [{ key: bob }], 'b.example': [{ key: site }] },
    own: { 'a.example': [ownKey('alice', alice)] },
  })
const receiver = () =>
  schemeOf({
    pool,
    known: { [ALICE]: [{ key: alice }] },
    own: { 'b.example': [ownKey('bob', bob), ownKey('*', site)] },
  })
const packetsIn = async (wire: Uint8Array | string): Promise<Uint8Array> =>
  readEncrypted(await readMessage([typeof wire === 'string' ? bytesOf(wire) : wire]))

describe('OpenPGP as a scheme', () => {
  it('seals and signs inside, and opens byte for byte', async () => {
    const body = 'Grüße, \xff\x00 and a lone\nline end\r\n.\r\n\r\n'
    const message = letter({ To: 'bob@b.example, carol@c.example', 'X-Own': 'stays' }, body)
    const wire = await sealed(sender(), message, { author: ALICE })
    const opening = await opened(receiver(), wire)
    assert.equal(await textOf(opening), message)
    assert.ok(opening.status === 'opened')
    assert.deepEqual(opening.addresses, [BOB])
    assert.equal(opening.description, `openpgp; key="${bob.fingerprint}"; cipher=aes256`)
    assert.deepEqual(opening.signature, {
      method: 'x-openpgp',
      result: { status: 'pass', identity: ALICE, domain: 'a.example' },
    })
  })

  it('C16: outside there is no subject and no field of the content, and the shape is that of RFC 3156', async () => {
    const wire = latin1(await sealed(sender(), letter({ 'X-Originating-IP': '192.0.2.1' })))
    assert.doesNotMatch(wire, /secret|192\.0\.2\.1/)
    assert.match(wire, /^Subject: \[\.\.\.\]\r$/m)
    assert.match(
      wire,
      /\r\n\r\n--(=_\S+)\r\nContent-Type: application\/pgp-encrypted\r\nContent-Description: [^\r]+\r\n\r\nVersion: 1\r\n\r\n--\1\r\nContent-Type: application\/octet-stream; name="encrypted.asc"\r\nContent-Description: [^\r]+\r\nContent-Disposition: inline; filename="encrypted.asc"\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\n[^-]+-----END PGP MESSAGE-----\r\n\r\n--\1--\r\n$/,
    )
    const message = await readMessage([bytesOf(wire)])
    const start = await collect(message.body)
    assert.equal(sender().detect(message.fields, start), true)
    assert.equal(protectionOf(message, start), 'pgp-mime')
  })

  it('signs with the domain’s key for users without their own, and not at all without an author', async () => {
    const own = {
      'a.example': [
        ownKey('*', alice),
        ownKey('old', bob),
        ownKey('*', other, { revoked: '2026-11-22T00:00:00Z', created: '2027' }),
      ],
    }
    const scheme = schemeOf({ pool, known: { [BOB]: [{ key: bob }] }, own })
    const signed = await opened(
      receiver(),
      await sealed(scheme, letter(), { author: 'alice+x@a.example' }),
    )
    assert.equal(statusOf(signed), 'pass')
    assert.equal(statusOf(await opened(receiver(), await sealed(scheme, letter()))), 'none')
    const none = await sealed(scheme, letter(), { author: 'x@c.example' })
    assert.equal(statusOf(await opened(receiver(), none)), 'none')
  })

  it('does not sign with a key that has expired', async () => {
    const brief = await newKey(pool, ALICE, { expiresSeconds: 1 })
    while ((await pool.run('problemWith', { certificates: [brief.certificate] })) === undefined);
    const scheme = schemeOf({
      pool,
      known: { [BOB]: [{ key: bob }] },
      own: { 'a.example': [ownKey('alice', brief)] },
    })
    assert.equal(
      statusOf(await opened(receiver(), await sealed(scheme, letter(), { author: ALICE }))),
      'none',
    )
    // C25: and yet it opens what was sealed for it.
    await assert.rejects(sealed(schemeOf({ pool, known: { [BOB]: [{ key: brief }] } }), letter()), {
      code: 'openpgp/key',
      message: /it has expired/,
    })
  })

  it('one whose user has no key gets it under the domain’s', async () => {
    const scheme = sender()
    const to = [BOB, 'carol@b.example']
    const wire = await sealed(scheme, letter({ To: to.join(', ') }), { to })
    const opening = await opened(receiver(), wire, to)
    assert.ok(opening.status === 'opened')
    assert.deepEqual(opening.addresses, to)
    assert.match(opening.description, new RegExp(`key="${bob.fingerprint}","${site.fingerprint}"`))
  })

  it('there is no offer without keys, and one for those that have some', async () => {
    const scheme = schemeOf({ pool, known: { [BOB]: [{ key: bob }] } })
    const request = { domain: 'b.example', trust: [], settings: {} }
    assert.equal(await scheme.offer({ ...request, addresses: ['carol@b.example'] }), undefined)
    assert.equal(await scheme.offer({ ...request, addresses: [] }), undefined)
    const offer = await scheme.offer({ ...request, addresses: [BOB, 'carol@b.example'] })
    assert.deepEqual(offer?.addresses, [BOB])
    assert.match(
      offer?.description ?? '',
      new RegExp(`^openpgp ${bob.fingerprint} \\(operator\\)$`),
    )
    assert.equal((await sender().offer({ ...request, addresses: [] }))?.addresses, undefined)
  })

  it('settings are checked', () => {
    assert.equal(
      OPENPGP.problemWith?.({ key_sources: ['wkd', 'operator'], legacy: true }),
      undefined,
    )
    assert.equal(OPENPGP.problemWith?.({ key_sources: [] })?.key, 'key_sources')
    assert.equal(OPENPGP.problemWith?.({ key_sources: 'wkd' }), undefined)
    assert.equal(OPENPGP.problemWith?.({ key_sources: 'web' })?.key, 'key_sources')
    assert.equal(OPENPGP.problemWith?.({ key_sources: ['friends'] })?.key, 'key_sources')
    assert.equal(OPENPGP.problemWith?.({ legacy: 'yes' })?.key, 'legacy')
  })
})

describe('keys that are not good enough', () => {
  const offered = (known: Parameters<typeof schemeOf>[0]['known'], settings = {}) =>
    schemeOf({ pool, known: known ?? {} }).offer({
      domain: 'b.example',
      addresses: [BOB],
      trust: [],
      settings,
    })

  it('C19: a key that came with mail counts only where the table names the source, and never as trusted', async () => {
    const known = { [BOB]: [{ key: bob, source: 'harvested' as const }] }
    assert.equal(await offered(known), undefined)
    const offer = await offered(known, { key_sources: ['harvested'] })
    assert.match(offer?.untrusted ?? '', /came with mail/)
    const both = { [BOB]: [{ key: bob, untrusted: 'another key is pinned' }] }
    assert.equal((await offered(both))?.untrusted, 'another key is pinned')
  })

  it('C19: a certificate that was looked up must name the address; the operator’s need not', async () => {
    const wkd = { [BOB]: [{ key: bob, source: 'wkd' as const, addresses: ['mallory@b.example'] }] }
    await assert.rejects(offered(wkd), {
      code: 'openpgp/key',
      message: /does not name the address/,
    })
    const operator = { [BOB]: [{ key: bob, addresses: [] }] }
    assert.ok(await offered(operator))
  })

  it('C17 C25: a revoked key, one without an encryption key, and RSA of 1024 bits are no keys, and no reason for clear text', async () => {
    const revoked = await pool.run('revoke', { secretKey: bob.secret, reason: 'retired' })
    const { found } = await pool.run('readKeys', { keys: revoked })
    assert.equal(found[0]?.isRevoked, true)
    await assert.rejects(
      offered({ [BOB]: [{ key: { ...bob, certificate: found[0].certificate } }] }),
      {
        code: 'openpgp/key',
        message: /it is revoked/,
      },
    )
    const { generateKey } = await import('openpgp')
    const weak = await generateKey({
      type: 'rsa',
      rsaBits: 1024,
      userIDs: { email: BOB },
      format: 'binary',
      config: { minRSABits: 1024 },
    })
    await assert.rejects(offered({ [BOB]: [{ key: { ...bob, certificate: weak.publicKey } }] }), {
      message: /too weak|no valid key/,
    })
    const mute = await generateKey({
      userIDs: { email: BOB },
      subkeys: [{ sign: true }],
      format: 'binary',
    })
    await assert.rejects(offered({ [BOB]: [{ key: { ...bob, certificate: mute.publicKey } }] }), {
      message: /no valid key to encrypt with/,
    })
    await assert.rejects(
      offered({ [BOB]: [{ key: { ...bob, certificate: randomBytes(100) } }] }),
      PermError,
    )
  })

  it('of several keys the one that can be used is taken', async () => {
    const revoked = await pool.run('revoke', { secretKey: other.secret, reason: 'compromised' })
    const { found } = await pool.run('readKeys', { keys: revoked })
    const offer = await offered({
      [BOB]: [{ key: { ...other, certificate: found[0]!.certificate } }, { key: bob }],
    })
    assert.match(offer?.description ?? '', new RegExp(bob.fingerprint))
  })
})

describe('whom a ciphertext opens for', () => {
  const vault = () => ({
    'b.example': [ownKey('bob', bob), ownKey('mallory', other), ownKey('*', site)],
  })

  it('C7: a user’s key opens for that user alone, whatever is named inside', async () => {
    const wire = await sealed(sender(), letter({ To: 'mallory@b.example' }))
    const scheme = schemeOf({ pool, own: vault() })
    assert.equal(await textOf(await opened(scheme, wire, ['mallory@b.example'])), CLOSED)
    const both = await opened(scheme, wire, ['mallory@b.example', 'bob+list@b.example'])
    assert.ok(both.status === 'opened')
    assert.deepEqual(both.addresses, ['bob+list@b.example'])
  })

  it('C7: a ciphertext for alice that is sent to mallory stays closed, under the key of their domain', async () => {
    const scheme = schemeOf({ pool, own: { 'b.example': [ownKey('*', site)] } })
    const seal = schemeOf({ pool, known: { 'b.example': [{ key: site }] } })
    const wire = await sealed(seal, letter())
    assert.equal(await textOf(await opened(scheme, wire, ['mallory@b.example'])), CLOSED)
    assert.equal(await textOf(await opened(scheme, wire)), letter())
    // A Bcc recipient, whom only our own list inside names.
    const hidden = await sealed(seal, letter(), { to: ['carol@b.example'] })
    assert.equal(await textOf(await opened(scheme, hidden, ['carol@b.example'])), letter())
    assert.equal(await textOf(await opened(scheme, hidden, ['mallory@b.example'])), CLOSED)
  })

  it('C7: a packet that names mallory’s key, and does not hold the session key, opens nothing for them', async () => {
    const forBob = await packetsIn(await sealed(sender(), letter()))
    const forMallory = await packetsIn(await wireOf('x', [other]))
    const end = 2 + forMallory[1]! // a packet of one octet of length
    const forged = Buffer.concat([forMallory.subarray(0, end), forBob])
    const scheme = schemeOf({ pool, own: vault() })
    const opening = await opened(scheme, wrapped(forged), [BOB, 'mallory@b.example'])
    assert.ok(opening.status === 'opened')
    assert.deepEqual(opening.addresses, [BOB])
  })

  it('C7: what names nobody inside opens for the domain’s key only where the settings say so', async () => {
    const wire = await wireOf('Content-Type: text/plain\r\n\r\nhello\r\n', [site])
    const own = { 'b.example': [ownKey('*', site)] }
    assert.equal(await textOf(await opened(schemeOf({ pool, own }), wire)), CLOSED)
    const unbound = schemeOf({ pool, own, opensUnbound: true })
    assert.match(await textOf(await opened(unbound, wire)), /\r\n\r\nhello\r\n$/)
    const personal = await wireOf('Content-Type: text/plain\r\n\r\nhello\r\n', [bob])
    assert.match(
      await textOf(await opened(schemeOf({ pool, own: vault() }), personal)),
      /\r\n\r\nhello\r\n$/,
    )
  })

  it('C25: superseded and revoked keys still open, retired ones do not', async () => {
    const wire = await sealed(sender(), letter())
    for (const [date, expected] of [
      ['superseded', letter()],
      ['revoked', letter()],
      ['retired', CLOSED],
    ] as const) {
      const own = { 'b.example': [ownKey('bob', bob, { [date]: '2026-11-22T00:00:00Z' })] }
      assert.equal(await textOf(await opened(schemeOf({ pool, own }), wire)), expected, date)
    }
  })

  it('C11: packets that do not say for whom they are are tried with few keys', async () => {
    const message = 'Content-Type: text/plain\r\n\r\nhello\r\n'
    const wire = await wireOf(message, [bob], { wildcard: true })
    assert.match(await textOf(await opened(schemeOf({ pool, own: vault() }), wire)), /hello/)
    const many = await wireOf(message, [...Array.from({ length: 20 }, () => other), bob], {
      wildcard: true,
    })
    assert.equal(
      await textOf(
        await opened(schemeOf({ pool, own: { 'b.example': [ownKey('bob', bob)] } }), many),
      ),
      CLOSED,
    )
  })

  it('C8: the name of the sealed key is the same for a copy, and another for another message', async () => {
    const idOf = async (wire: Uint8Array | string): Promise<string> => {
      const opening = await opened(receiver(), wire)
      assert.ok(opening.status === 'opened')
      return opening.sealedKeyId ?? ''
    }
    const wire = await sealed(sender(), letter())
    assert.match(await idOf(wire), /^[0-9a-f]{64}$/)
    assert.equal(await idOf(wire), await idOf(wrapped(await packetsIn(wire))))
    assert.notEqual(await idOf(wire), await idOf(await sealed(sender(), letter())))
  })
})

/** A compressed packet, ZIP (RFC 9580 section 5.6), as it is: the library would look into it. */
async function wireOfCompressed(zipped: Uint8Array): Promise<string> {
  class Raw {
    static readonly tag = 8
    write(): Uint8Array {
      return Buffer.concat([Buffer.from([1]), zipped])
    }
  }
  const list = new PacketList()
  list.push(new Raw() as unknown as AnyPacket)
  const message = new Message<Uint8Array>(list)
  const encryptionKeys = await certificates([bob])
  return wrapped(await encrypt({ message, encryptionKeys, format: 'binary' }))
}

describe('what does not open', () => {
  it('C1 C5: no octet can be changed, cut off or added, and all that fails has one text', async () => {
    const packets = await packetsIn(await sealed(sender(), letter()))
    // The session key's packet in front may change in places that do not count: its padding, a point's highest bit.
    const first = (2 + packets[1]!) * 8
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: first, max: packets.length * 8 - 1 }), async (at) => {
        const changed = Uint8Array.from(packets)
        changed[at >> 3]! ^= 1 << (at & 7)
        assert.equal(await textOf(await opened(receiver(), wrapped(changed))), CLOSED)
      }),
      { numRuns: 40 },
    )
    for (const bad of [
      packets.subarray(0, -1),
      Buffer.concat([packets, Buffer.from([0])]),
      Buffer.concat([packets, packets]),
    ])
      assert.equal(await textOf(await opened(receiver(), wrapped(bad))), CLOSED)
    assert.equal(
      await textOf(
        await opened(
          schemeOf({ pool, own: { 'b.example': [ownKey('bob', other)] } }),
          wrapped(packets),
        ),
      ),
      CLOSED,
    )
    assert.equal(await textOf(await opened(schemeOf({ pool }), wrapped(packets))), CLOSED)
  })

  it('C1: a packet without integrity protection is not even tried', async () => {
    const packets = await packetsIn(await sealed(sender(), letter()))
    const end = 2 + packets[1]!
    const body = packets.subarray(end + (packets[end + 1]! < 192 ? 3 : 4))
    const sed = Buffer.concat([
      packets.subarray(0, end),
      Buffer.from([0xc9, 255, 0, 0, body.length >> 8, body.length & 255]),
      body,
    ])
    assert.equal(await textOf(await opened(receiver(), wrapped(sed))), CLOSED)
  })

  it('C3: only a root is opened: no part, no text with armor in it', async () => {
    const wire = latin1(await sealed(sender(), letter()))
    const scheme = receiver()
    for (const text of [
      `Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n${wire}\r\n--y--\r\n`,
      `Content-Type: text/plain\r\n\r\n${wire.slice(wire.indexOf('-----BEGIN'))}`,
      `Content-Type: message/rfc822\r\n\r\n${wire}`,
    ]) {
      const { fields, body } = await readMessage([bytesOf(text)])
      assert.equal(scheme.detect(fields, await collect(body)), false)
    }
  })

  it('C24: weak ciphers open only for a domain that may, and are marked; IDEA never', async () => {
    const message = 'Content-Type: text/plain\r\n\r\nhello\r\n'
    for (const algorithm of ['tripledes', 'cast5'] as const) {
      const data = randomBytes(algorithm === 'cast5' ? 16 : 24)
      const wire = await wireOf(message, [bob], { sessionKey: { data, algorithm } })
      assert.equal(await textOf(await opened(receiver(), wire)), CLOSED)
      const own = { 'b.example': [ownKey('bob', bob)] }
      const opening = await opened(schemeOf({ pool, own, settings: { legacy: true } }), wire)
      assert.ok(opening.status === 'opened', algorithm)
      assert.match(opening.description, new RegExp(`cipher=${algorithm}; strength=weak$`))
    }
  })

  it('C23: what we send is AES-256 with its integrity protected', async () => {
    const message = await readPgp({
      binaryMessage: await packetsIn(await sealed(sender(), letter())),
    })
    const tags = message.packets.map((packet) =>
      'tag' in packet.constructor ? packet.constructor.tag : 0,
    )
    assert.deepEqual([...tags], [1, 18])
  })

  it('C27: more than 200 recipients are refused', async () => {
    const packets = await packetsIn(await sealed(sender(), letter()))
    const end = 2 + packets[1]!
    const many = Buffer.concat([
      ...Array.from({ length: 201 }, () => packets.subarray(0, end)),
      packets.subarray(end),
    ])
    assert.equal(await textOf(await opened(receiver(), wrapped(many))), CLOSED)
    const few = Buffer.concat([
      ...Array.from({ length: 3 }, () => packets.subarray(0, end)),
      packets.subarray(end),
    ])
    assert.equal(await textOf(await opened(receiver(), wrapped(few))), letter())
  })

  it('C27: a message of kilobytes that inflates to more than we keep is refused, in little time and memory', async () => {
    const zeros = deflateRawSync(Buffer.alloc(LARGEST_PLAINTEXT_BYTES + 1))
    assert.ok(zeros.length < 200_000)
    const wire = await wireOfCompressed(zeros)
    const threads = pool.threadIds
    assert.equal(await textOf(await opened(receiver(), wire)), CLOSED)
    assert.deepEqual(pool.threadIds, threads, 'it lives')
  })

  it('C28: a thread that is lost is no answer: the mail waits', async () => {
    const wire = await sealed(sender(), letter())
    const slow = createOpenPgpPool({ size: 1, queueLimit: 1, jobTimeoutMs: 1 })
    try {
      const scheme = schemeOf({ pool: slow, own: { 'b.example': [ownKey('bob', bob)] } })
      await assert.rejects(
        opened(scheme, wire),
        (error) => error instanceof TempError && error.code === 'crypto/worker',
      )
    } finally {
      await slow.close()
    }
  })
})

describe('armor', () => {
  it('any bytes come back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const text = Buffer.concat([...writeArmor('MESSAGE', bytes)])
        assert.deepEqual(Buffer.from(readArmor('MESSAGE', text)), Buffer.from(bytes))
      }),
    )
  })

  it('takes headers, a checksum and bare line ends, and no text around it', () => {
    const block =
      '-----BEGIN PGP MESSAGE-----\nVersion: x\nComment: y\n\naGVsbG8=\n=AAAA\n-----END PGP MESSAGE-----\n'
    assert.equal(latin1(readArmor('MESSAGE', bytesOf(`\n${block}\n`))), 'hello')
    for (const bad of [
      `hi\n${block}`,
      `${block}hi`,
      block.replace('-----END', '----END'),
      block.replace('\n\n', '\n'),
      block.replace('aGVs', 'a*Vs'),
      block.replace('aGVsbG8=\n', ''),
      '',
    ])
      assert.throws(() => readArmor('MESSAGE', bytesOf(bad)), PermError, bad)
  })
})
