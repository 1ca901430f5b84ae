import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError, TempError } from '../../../lib/errors.ts'
import { createBb2Scheme } from '../../../lib/ibe/bb2/mail-scheme.ts'
import type { KeySource } from '../../../lib/ibe/key-source.ts'
import { parseFields } from '../../../lib/mail/header.ts'
import { collect, peekBody, readMessage } from '../../../lib/mail/message.ts'
import { PEEK_BYTES, protectionOf } from '../../../lib/mail/protected-content.ts'
import { bytesOf, cut, latin1, places } from '../../mail/pieces.ts'
import {
  createWorld,
  mailOf,
  offerFor,
  open,
  payloadOf,
  plaintextOf,
  seal,
  withPayload,
  type World,
} from './world.ts'

const ALICE = 'alice@b.example'
const MAIL = [
  'From: Bob <bob@a.example>',
  'To: alice@b.example',
  'Cc: J\xc3\xb6rg <j@b.example>',
  'Bcc: hidden@b.example',
  'Subject: the secret',
  'Date: Mon, 28 Jan 2019 10:47:11 +0900',
  'Message-ID: <1@a.example>',
  'X-Other: x',
  '',
  'It is a test mail.',
  '',
].join('\r\n')

const CLOSED = 'closed: ibe/decrypt: the message does not open'

describe('mail of version 1', () => {
  let world: World
  let sealed = ''
  before(async () => {
    world = createWorld()
    await world.newKeys('b.example', 1)
    sealed = await seal(world, ALICE, MAIL)
  })
  after(() => world.close())

  it('is opened for its recipient, byte for byte, and says how', async () => {
    const opening = await open(world, sealed, [ALICE])
    assert.equal(opening.status, 'opened')
    assert.deepEqual(opening.addresses, [ALICE])
    assert.equal(opening.description, 'ibe-bb2; n=1; identity="alice"')
    assert.equal(await plaintextOf(opening), MAIL)
  })

  it('looks as in figure 5 of the paper, and shows no more of the original than version 2', () => {
    const end = sealed.indexOf('\r\n\r\n')
    assert.deepEqual(sealed.slice(0, end).split('\r\n'), [
      'From: Bob <bob@a.example>',
      'To: alice@b.example',
      'Cc: J??rg <j@b.example>',
      'Date: Mon, 28 Jan 2019 10:47:11 +0900',
      'Message-ID: <1@a.example>',
      'Subject: encrypted mail',
      'MIME-Version: 1.0',
      'Content-Type: application/ibemail-encrypted',
      'Content-Disposition: attachment; filename="ibemail.cipher"',
      'Content-Transfer-Encoding: base64',
    ])
    assert.match(sealed.slice(end + 4), /^(?:[A-Za-z0-9+/]{76}\r\n)*[A-Za-z0-9+/]+={0,2}\r\n$/)
    assert.equal(payloadOf(sealed).length, 508 + MAIL.length)
  })

  it('has the time in front of its nonce', () => {
    const iv = Buffer.from(payloadOf(sealed).subarray(448, 460))
    assert.equal(iv.readBigUInt64BE() * 1000n, BigInt(world.clock.nowMs()))
  })

  it('is known by its root, and as ciphertext by its first bytes', async () => {
    const { start, message } = await peekBody(await readMessage([bytesOf(sealed)]), PEEK_BYTES)
    assert.equal(world.scheme.detect(message.fields, new Uint8Array(0)), true)
    assert.equal(protectionOf(message, start), 'ibemail')
    const other = parseFields(bytesOf('Content-Type: multipart/encrypted\r\n'))
    assert.equal(world.scheme.detect(other, new Uint8Array(0)), false)
  })

  it('is never the same twice', async () => {
    const again = payloadOf(await seal(world, ALICE, MAIL))
    const first = payloadOf(sealed)
    for (const [from, to] of [
      [0, 32],
      [32, 64],
      [64, 448],
      [456, 460],
      [460, 492],
      [492, 508],
      [508, first.length],
    ] as const) {
      assert.notDeepEqual(again.subarray(from, to), first.subarray(from, to))
    }
  })

  it('is for the local part as the table of identities writes it', async () => {
    const quoted = '"a b"@b.example'
    const text = await seal(world, quoted, MAIL)
    const opening = await open(world, text, [quoted])
    assert.equal(await plaintextOf(opening), MAIL)
    assert.equal(
      opening.status === 'opened' && opening.description,
      'ibe-bb2; n=1; identity="?a b?"',
    )
  })

  describe('any bit of it that is another', () => {
    it('keeps it shut', async () => {
      const payload = payloadOf(sealed)
      const property = fc.asyncProperty(fc.nat(payload.length * 8 - 1), async (bit) => {
        const changed = Uint8Array.from(payload)
        changed[bit >> 3]! ^= 0x80 >> (bit & 7)
        const opening = await open(world, withPayload(sealed, changed), [ALICE])
        assert.equal(await plaintextOf(opening), CLOSED)
      })
      await fc.assert(property, { numRuns: 120 })
    })

    it('of a long one is found out at the end of its body', async () => {
      const long = await seal(world, ALICE, mailOf(300_000))
      const payload = payloadOf(long)
      for (const at of [465, 500, 509, 70_000, payload.length - 1]) {
        const changed = Uint8Array.from(payload)
        changed[at]! ^= 1
        const opening = await open(world, withPayload(long, changed), [ALICE])
        assert.equal(opening.status, 'opened')
        await assert.rejects(
          plaintextOf(opening),
          (error: unknown) => error instanceof PermError && error.code === 'ibe/decrypt',
        )
      }
    })
  })

  it('cut off anywhere, with more behind it, empty or rubbish it stays shut', async () => {
    const payload = payloadOf(sealed)
    const more = Buffer.concat([payload, Uint8Array.of(0)])
    for (const bytes of [
      ...[0, 1, 63, 64, 447, 448, 507, 508, payload.length - 1].map((end) =>
        payload.subarray(0, end),
      ),
      more,
      new Uint8Array(508),
      new Uint8Array(600).fill(0xff),
    ]) {
      const opening = await open(world, withPayload(sealed, bytes), [ALICE])
      assert.equal(await plaintextOf(opening), CLOSED)
    }
  })

  it('in another encoding, or none, it stays shut', async () => {
    for (const [from, to] of [
      ['Content-Transfer-Encoding: base64', 'Content-Transfer-Encoding: 8bit'],
      ['Content-Transfer-Encoding: base64\r\n', ''],
      [/\r\n\r\n/, '\r\n\r\n%'],
      [/\r\n\r\n/, '\r\n\r\n-_'],
    ] as const) {
      const text = sealed.replace(from, to)
      assert.notEqual(text, sealed)
      const opening = await open(world, text, [ALICE])
      assert.match(await plaintextOf(opening), /^closed: mail\/malformed: /)
    }
  })

  it('whatever the body is, nothing but a PermError is thrown and nothing opens', async () => {
    const head = sealed.slice(0, sealed.indexOf('\r\n\r\n') + 4)
    const bodies = fc.oneof(
      fc.string({ unit: 'binary-ascii' }),
      fc.base64String({ maxLength: 2000 }),
      fc.uint8Array({ maxLength: 900 }).map((bytes) => Buffer.from(bytes).toString('base64')),
    )
    const property = fc.asyncProperty(bodies, async (body) => {
      assert.equal((await open(world, head + body, [ALICE])).status, 'closed')
    })
    await fc.assert(property, { numRuns: 60 })
  })

  it('opens however its pieces come and its base64 is wrapped', async () => {
    const [head = '', body = ''] = sealed.split('\r\n\r\n')
    const property = fc.asyncProperty(
      places,
      fc.integer({ min: 1, max: 200 }),
      async (at, width) => {
        const lines = body
          .replaceAll(/\s/g, '')
          .replaceAll(new RegExp(`.{1,${width}}`, 'g'), '$& \r\n')
        const pieces = cut(bytesOf(`${head}\r\n\r\n${lines}`), at)
        assert.equal(await plaintextOf(await open(world, pieces, [ALICE])), MAIL)
      },
    )
    await fc.assert(property, { numRuns: 15 })
  })

  for (const [title, text] of [
    ['of 5 MB', mailOf(5_000_000)],
    ['of 64 KiB less its header', mailOf(65_000)],
    ['without a body', 'Subject: x\r\n'],
    ['of nothing', ''],
    ['that is no message', '\0\x01\x02'],
  ] as const) {
    it(`a message ${title} comes back`, async () => {
      const opening = await open(world, await seal(world, ALICE, text), [ALICE])
      assert.equal(await plaintextOf(opening), text)
    })
  }

  it('has 64 MiB at most, since it is sealed in memory', async () => {
    const offer = await offerFor(world, 'b.example')
    let closed = false
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield new Uint8Array(1024 * 1024)
      } finally {
        closed = true
      }
    }
    const { body } = offer.seal(
      [ALICE],
      { fields: [], separator: bytesOf('\r\n'), body: endless() },
      { author: undefined },
    )
    await assert.rejects(
      collect(body),
      (error: unknown) =>
        error instanceof PermError &&
        error.code === 'protection/refused' &&
        error.peerText === 'more than 64 MiB cannot be encrypted in the format of version 1.0',
    )
    assert.equal(closed, true)
  })
})

describe('whose key opens mail of version 1', () => {
  let world: World
  before(async () => {
    world = createWorld()
    for (const n of [1, 2, 3]) await world.newKeys('b.example', n)
    await world.newKeys('c.example', 1)
  })
  after(() => world.close())

  for (const size of [500, 200_000]) {
    it(`the one recipient's of several, whatever its generation: ${size} octets`, async () => {
      const addresses = ['bob@b.example', ALICE, 'alice@c.example']
      for (const pair of world.vault.get('b.example')!) {
        world.published.set('b.example', { parameters: pair.parameters })
        const text = mailOf(size)
        const opening = await open(world, await seal(world, ALICE, text), addresses)
        assert.equal(await plaintextOf(opening), text)
        assert.equal(opening.status, 'opened')
        assert.deepEqual(opening.addresses, [ALICE])
        assert.equal(opening.description, `ibe-bb2; n=${pair.n}; identity="alice"`)
      }
    })

    it(`nobody else's: ${size} octets`, async () => {
      const sealed = await seal(world, ALICE, mailOf(size))
      for (const addresses of [['bob@b.example'], ['alice@c.example', 'ALICE@b.example']]) {
        const outcome = await open(world, sealed, addresses)
          .then(plaintextOf)
          .catch((error: unknown) => `closed: ${(error as PermError).code}: ${String(error)}`)
        assert.match(outcome, /^closed: ibe\/decrypt/)
      }
    })
  }

  it('none at all is said', async () => {
    const sealed = await seal(world, ALICE, MAIL)
    for (const addresses of [[], ['alice@unknown.example']]) {
      assert.equal(
        await plaintextOf(await open(world, sealed, addresses)),
        'closed: no key of bb2 for these recipients',
      )
    }
  })

  it('at most eight are tried, the newest of each recipient first', async () => {
    const asked: string[] = []
    const keys: KeySource = {
      generations: async () => [3, 2, 1].map((n) => ({ n, period: 'none' })),
      identityKey: async ({ scheme, domain, n, identity }) => {
        asked.push(`${scheme} ${identity}@${domain} ${n}`)
        return undefined
      },
    }
    const { bb2, clock } = world
    const directory = { legacyParameters: async () => undefined }
    const scheme = createBb2Scheme({ bb2, clock, keys, directory, isAllowed: () => false })
    const sealed = await readMessage([bytesOf(await seal(world, ALICE, MAIL))])
    await scheme.open(sealed, ['a@b.example', 'b@b.example', 'c@b.example', 'd@b.example'])
    assert.deepEqual(
      asked,
      [3, 2].flatMap((n) => ['a', 'b', 'c', 'd'].map((who) => `bb2 ${who}@b.example ${n}`)),
    )
  })

  it('a vault that is locked or damaged makes it wait', async () => {
    const sealed = await seal(world, ALICE, MAIL)
    const { bb2, clock } = world
    const directory = { legacyParameters: async () => undefined }
    for (const error of [
      new TempError('vault/locked', 'locked'),
      new PermError('vault/malformed', 'damaged'),
    ]) {
      const keys: KeySource = {
        generations: async () => [{ n: 1, period: 'none' }],
        identityKey: () => Promise.reject(error),
      }
      const scheme = createBb2Scheme({ bb2, clock, keys, directory, isAllowed: () => true })
      await assert.rejects(
        async () => scheme.open(await readMessage([bytesOf(sealed)]), [ALICE]),
        (it: unknown) => it instanceof TempError && it.code === error.code,
      )
    }
  })
})

describe('an offer of version 1', () => {
  let world: World
  before(async () => {
    world = createWorld()
    await world.newKeys('b.example', 4)
  })
  after(() => world.close())

  it('names its serial, has one recipient a message, and is trusted if its source is', async () => {
    const { parameters } = world.published.get('b.example')!
    const offer = await offerFor(world, 'b.example')
    assert.equal(offer.description, 'ibe-bb2 n=4')
    assert.equal(offer.oneRecipient, true)
    assert.equal('untrusted' in offer, false)
    world.published.set('d.example', { parameters, untrusted: 'changed' })
    assert.equal((await offerFor(world, 'd.example')).untrusted, 'changed')
    const message = await readMessage([bytesOf(MAIL)])
    assert.throws(
      () => offer.seal(['a@b.example', 'b@b.example'], message, { author: undefined }),
      /one recipient/,
    )
  })

  it('is not made where it is not allowed or nothing is published', async () => {
    world.settings.allowed = false
    assert.equal(
      await world.scheme.offer({ domain: 'b.example', addresses: [], trust: [], settings: {} }),
      undefined,
    )
    world.settings.allowed = true
    assert.equal(
      await world.scheme.offer({ domain: 'none.example', addresses: [], trust: [], settings: {} }),
      undefined,
    )
  })

  it('is a PermError that names the tag, where a point is none', async () => {
    const { parameters } = world.published.get('b.example')!
    const x = [parameters.x[0], parameters.g[1]] as const
    world.published.set('bad.example', { parameters: { ...parameters, x } })
    await assert.rejects(
      world.scheme.offer({ domain: 'bad.example', addresses: [], trust: [], settings: {} }),
      (error: unknown) =>
        error instanceof PermError &&
        error.code === 'ibe/parameters' &&
        error.message === 'X is not a point of BN254',
    )
  })

  it('what arrives is opened though sending is not allowed', async () => {
    const sealed = await seal(world, ALICE, MAIL)
    world.settings.allowed = false
    assert.equal(await plaintextOf(await open(world, sealed, [ALICE])), MAIL)
    world.settings.allowed = true
    assert.equal(latin1(payloadOf(sealed)).includes('secret'), false)
  })
})
