// What schemes open, and what becomes of it: layers, limits, what is not proven, what came before.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createAgeScheme } from '../../lib/age/mail-scheme.ts'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { ageRecipientOf, generateAgeIdentity } from '../../lib/container/native-keys.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { PermError, TempError } from '../../lib/errors.ts'
import { collect, messageBytes, readMessage } from '../../lib/mail/message.ts'
import type { ContentSignature, Opening, Scheme } from '../../lib/mail/scheme.ts'
import { receive, type Arrival, type IncomingOptions } from '../../lib/protection/incoming.ts'
import { createReplayMemory, type Envelope } from '../../lib/protection/replay.ts'
import { createSharedKeyScheme } from '../../lib/shared-key/mail-scheme.ts'
import { fakeClock } from '../ibe/fake-clock.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'

const LETTER =
  'From: ann@a.example\r\nTo: alice@b.example\r\nMessage-ID: <1@a.example>\r\nSubject: s\r\n\r\nsecret\r\n'
const ALICE = 'alice@b.example'
const BOB = 'bob@b.example'

const identity = generateAgeIdentity('x25519')
const age = createAgeScheme({
  identities: (() => {
    const entry = { id: 'one', identity: new SecretBytes(new TextEncoder().encode(identity)) }
    const held = new Map([['b.example', { age: [entry] }]])
    return { contents: async () => held, latest: async () => held }
  })(),
})
const sharedKey = createSharedKeyScheme({
  keys: (() => {
    const key = { id: 'k1', key: new SecretBytes(new Uint8Array(32).fill(7)), created: '2026' }
    const held = new Map([['b.example', { shared: [key] }]])
    return { contents: async () => held, latest: async () => held }
  })(),
  settingsOf: () => ({}),
})

async function sealWith(
  scheme: Scheme,
  text: string,
  to: readonly string[] = [ALICE],
): Promise<string> {
  const settings = scheme === age ? { age: [ageRecipientOf(identity)] } : {}
  const offer = await scheme.offer({ domain: 'b.example', addresses: [], trust: [], settings })
  assert.ok(offer)
  const message = offer.seal(to, await readMessage([bytesOf(text)]), { author: undefined })
  return latin1(await collect(messageBytes(message)))
}

type Result = Arrival<{ readonly address: string; readonly domain: string }>

async function arrive(
  text: string,
  { to = [ALICE], ...more }: Partial<IncomingOptions> & { readonly to?: readonly string[] } = {},
): Promise<Result> {
  const recipients = to.map((address) => ({ address, domain: 'b.example' }))
  return receive(await readMessage([bytesOf(text)]), recipients, {
    schemes: [sharedKey, age],
    normalizeAddress: (address) => address,
    authservIds: new Set(['mx.b.example']),
    limits: { layers: 3, headerBytes: 20_000, bytes: 1_000_000 },
    allowsUnproven: () => false,
    tags: [],
    activeContent: 'text',
    reference: 'REF',
    ...more,
  })
}

async function textOf(arrival: Result): Promise<string> {
  assert.ok(arrival.status === 'opened', JSON.stringify(arrival))
  return latin1(await collect(messageBytes(arrival.message)))
}

function closedAs(arrival: Result, why: string): void {
  assert.ok(arrival.status === 'closed', arrival.status)
  assert.equal(arrival.why, why, arrival.reason)
}

const AGE = 'Hisho-Decrypted: age; key="one"; kem=x25519; '
const KEY =
  'Hisho-Decrypted: shared-key; key="k1"; suite=aes-256-gcm; site="b.example"; from=unproven; '

describe('a message that was encrypted more than once', () => {
  it('is opened layer by layer, with a mark for each, the innermost on top', async () => {
    const twice = await sealWith(sharedKey, await sealWith(age, LETTER))
    assert.equal(
      await textOf(await arrive(twice)),
      `Ibemail-Decrypted: true\r\n${AGE}layer=2/2; integrity=ok; signature=unchecked\r\n` +
        `${KEY}layer=1/2; integrity=ok\r\n${LETTER}`,
    )
  })

  it('C27: three times is opened, four times is too much', async () => {
    let text = LETTER
    for (let layers = 1; layers <= 3; layers++) text = await sealWith(age, text)
    const opened = await textOf(await arrive(text))
    assert.equal(opened.match(/^Hisho-Decrypted: /gm)?.length, 3)
    assert.ok(opened.endsWith(LETTER))
    const arrival = await arrive(await sealWith(age, text))
    closedAs(arrival, 'limit')
  })

  it('C7: is opened for those alone whom every layer names', async () => {
    const inner = await sealWith(age, LETTER, [BOB])
    const arrival = await arrive(await sealWith(age, inner, [ALICE, BOB]), { to: [ALICE, BOB] })
    assert.ok(arrival.status === 'opened')
    assert.deepEqual(
      arrival.recipients.map(({ address }) => address),
      [BOB],
    )
    assert.deepEqual(
      arrival.others.map(({ address }) => address),
      [ALICE],
    )
  })

  it('what is inside for somebody else stays as it is, and is marked', async () => {
    const inner = await sealWith(age, LETTER, [BOB])
    const arrival = await arrive(await sealWith(sharedKey, inner))
    assert.equal(
      await textOf(arrival),
      `Ibemail-Decrypted: true\r\nHisho-Not-Decrypted: closed; ref="REF"\r\n` +
        `${KEY}integrity=ok; signature=unchecked\r\n${inner}`,
    )
    assert.ok(arrival.status === 'opened')
    assert.equal(arrival.inside, 'closed')
  })

  it('what is inside for a key that a user of ours has himself stays as it is', async () => {
    const inner =
      'From: ann@a.example\r\nContent-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=b\r\n\r\n' +
      '--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nx\r\n--b--\r\n'
    const text = await textOf(await arrive(await sealWith(age, inner)))
    assert.ok(text.endsWith(inner))
    assert.match(text, /^Hisho-Not-Decrypted: closed; /m)
  })

  it('an outer layer that was altered behind its first chunk opens nothing of what is inside', async () => {
    const long = await sealWith(age, `${LETTER}${'x'.repeat(200_000)}\r\n`)
    const text = await sealWith(age, long)
    const at = text.lastIndexOf('\r\n--') - 1_000
    const altered = `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`
    closedAs(await arrive(altered), 'closed')
  })
})

describe('limits of what is opened', () => {
  const limits = { layers: 3, headerBytes: 2_000, bytes: 5_000 }

  it('C27: a header that is too large is not opened, outside or inside', async () => {
    const filler = `X-Filler: ${'x'.repeat(3_000)}\r\n`
    closedAs(await arrive(`${filler}${await sealWith(age, LETTER)}`, { limits }), 'limit')
    closedAs(await arrive(await sealWith(age, filler + LETTER), { limits }), 'limit')
  })

  it('C27: more inside than may be fails before the end, in each layer', async () => {
    const large = `${LETTER}${'x'.repeat(8_000)}\r\n`
    const arrival = await arrive(await sealWith(age, large), { limits })
    assert.ok(arrival.status === 'opened')
    await assert.rejects(
      collect(arrival.message.body),
      (error) => error instanceof PermError && error.code === 'protection/limit',
    )
    const nested = await sealWith(age, await sealWith(age, large))
    closedAs(await arrive(nested, { limits }), 'limit')
  })

  it('C33: what is encrypted in a way that nobody opens is told from clear mail', async () => {
    const smime =
      'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n' +
      `${Buffer.from('3080060b2a864886f70d0109100117a080', 'hex').toString('base64')}\r\n`
    closedAs(await arrive(smime), 'closed')
    assert.equal((await arrive(LETTER)).status, 'none')
  })
})

/** A way of encrypting whose results a test can choose; in its messages nothing is hidden. */
function openingAs(more: Partial<Extract<Opening, { status: 'opened' }>>): Scheme {
  return {
    name: 'open',
    offer: async () => undefined,
    detect: (fields) => fields.some(({ name }) => name === 'x-open'),
    open: async (message, addresses) => ({
      status: 'opened',
      addresses,
      description: 'open',
      message: await readMessage([await collect(message.body)]),
      ...more,
    }),
  }
}

describe('what the encryption does not prove', () => {
  const text = `X-Open: 1\r\n\r\n${LETTER}`
  const schemes = [openingAs({ integrity: 'unproven' })]

  it('C2: is not released, unless the table says so for its author’s domain, and then it is marked', async () => {
    closedAs(await arrive(text, { schemes }), 'policy')
    const asked: string[] = []
    const allowsUnproven = (domain: string): boolean => asked.push(domain) > 0
    const opened = await textOf(await arrive(text, { schemes, allowsUnproven }))
    assert.match(opened, /^Hisho-Decrypted: open; integrity=unproven; signature=unchecked\r$/m)
    assert.deepEqual(asked, ['a.example'])
  })

  const HTML = 'MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<b>secret</b>\r\n'
  const letter = LETTER.slice(0, LETTER.indexOf('\r\n\r\n') + 2)

  it('C2: shows HTML as text unless it is to be kept, and says so', async () => {
    const read = async (more: Partial<IncomingOptions>): Promise<string> =>
      textOf(
        await arrive(`X-Open: 1\r\n\r\n${letter}${HTML}`, { allowsUnproven: () => true, ...more }),
      )
    const shown = await read({ schemes })
    assert.ok(shown.endsWith(`${letter}${HTML.replace('html', 'plain')}`), shown)
    const mark = 'integrity=unproven; active_content=text; signature=unchecked\r'
    assert.match(shown, new RegExp(`^Hisho-Decrypted: open; ${mark}$`, 'm'))
    for (const more of [
      { schemes, activeContent: 'keep' },
      { schemes: [openingAs({})] },
    ] as const) {
      const kept = await read(more)
      assert.ok(kept.endsWith(letter + HTML), kept)
      assert.doesNotMatch(kept, /active_content/)
    }
  })

  it('C2: shows it as text also where only the layer around it proves nothing', async () => {
    const inner = await sealWith(age, letter + HTML)
    const shown = await textOf(
      await arrive(`X-Open: 1\r\n\r\n${inner}`, {
        schemes: [age, sharedKey, openingAs({ integrity: 'unproven' })].toReversed(),
        allowsUnproven: () => true,
      }),
    )
    assert.match(shown, /^Hisho-Decrypted: age; .*; integrity=ok; active_content=text; /m)
    assert.ok(shown.endsWith(HTML.replace('html', 'plain')), shown)
  })

  it('C2 C27: is not opened where it has too many parts', async () => {
    const type = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n'
    const parts = '--b\r\nX: 1\r\n\r\n'.repeat(1001)
    const many = `X-Open: 1\r\n\r\n${letter}${type}${parts}`
    closedAs(await arrive(many, { schemes, allowsUnproven: () => true }), 'limit')
  })

  it('C2: one of several authors does not choose the mildest rule', async () => {
    const allowsUnproven = (domain: string): boolean => domain === 'a.example'
    for (const from of [
      'From: ann@a.example, eve@c.example\r\n',
      'From: ann@a.example\r\nFrom: eve@c.example\r\n',
      '',
    ]) {
      const other = text.replace('From: ann@a.example\r\n', from)
      closedAs(await arrive(other, { schemes, allowsUnproven }), 'policy')
    }
  })
})

describe('a signature that a scheme has found inside', () => {
  const text = `X-Open: 1\r\n\r\n${LETTER}`
  const markOf = async (signature: ContentSignature): Promise<string> => {
    const opened = await textOf(await arrive(text, { schemes: [openingAs({ signature })] }))
    return /^Hisho-Decrypted: open; integrity=ok; (.*)\r$/m.exec(opened)?.[1] ?? opened
  }

  it('C13: stands in our mark with its method, its signer and what is wrong', async () => {
    const names = { domain: 'a.example', identity: 'ann@a.example' }
    assert.equal(
      await markOf({ method: 'smime', result: { status: 'pass', ...names } }),
      'signature=pass; method=smime; signer="ann@a.example"',
    )
    assert.equal(
      await markOf({
        method: 'x-openpgp',
        result: { status: 'neutral', reason: 'not the author', ...names },
      }),
      'signature=neutral; method=x-openpgp; signer="ann@a.example"; reason="not the author"',
    )
    assert.equal(
      await markOf({ method: 'smime', result: { status: 'none' } }),
      'signature=none; method=smime',
    )
  })

  it('C13: no name of a signer ends the field or begins another word of ours', async () => {
    const identity2 = 'x"; signature=pass\r\nHisho-Decrypted: y'
    const mark = await markOf({
      method: 'smime',
      result: { status: 'fail', reason: identity2, domain: 'x', identity: identity2 },
    })
    assert.doesNotMatch(mark.replaceAll(/"[^"]*"/g, ''), /pass|Hisho/)
  })
})

describe('what was opened before', () => {
  const clock = fakeClock()
  const checkFor = (replays: ReturnType<typeof createReplayMemory>, envelope: Envelope) => ({
    isReplay: async (key: string) => (await replays.meet(key, envelope, 1000)) === 'replay',
  })
  const newMemory = () =>
    createReplayMemory({ store: createMemoryCache({ clock, maxEntries: 100 }), clock })
  const FIRST = { sender: 'ann@a.example', messageId: '<1@a.example>' }
  const FORGED = { sender: 'eve@c.example', messageId: '<1@a.example>' }

  for (const scheme of [age, sharedKey]) {
    it(`C8: ${scheme.name}: is opened for the other recipients it names, and for nobody under another envelope`, async () => {
      const replays = newMemory()
      const text = await sealWith(scheme, LETTER, [ALICE, BOB])
      const as = (envelope: Envelope, to: string) =>
        arrive(text, { to: [to], ...checkFor(replays, envelope) })
      assert.equal((await as(FIRST, ALICE)).status, 'opened')
      assert.equal((await as(FIRST, BOB)).status, 'opened')
      assert.equal((await as(FIRST, ALICE)).status, 'opened')
      closedAs(await as(FORGED, ALICE), 'replay')
      closedAs(await as({ ...FIRST, messageId: '<2>' }, BOB), 'replay')
    })
  }

  it('C8: the same letter sealed again is another one', async () => {
    const replays = newMemory()
    for (const envelope of [FIRST, FORGED]) {
      const arrival = await arrive(await sealWith(age, LETTER), checkFor(replays, envelope))
      assert.equal(arrival.status, 'opened')
    }
  })

  it('C8: is known inside of another ciphertext, too', async () => {
    const replays = newMemory()
    const text = await sealWith(age, LETTER)
    assert.equal((await arrive(text, checkFor(replays, FIRST))).status, 'opened')
    closedAs(await arrive(await sealWith(age, text), checkFor(replays, FORGED)), 'replay')
  })

  it('C8: what is not for the recipient is not remembered', async () => {
    const replays = newMemory()
    const text = await sealWith(age, LETTER)
    closedAs(await arrive(text, { to: [BOB], ...checkFor(replays, FORGED) }), 'closed')
    assert.equal((await arrive(text, checkFor(replays, FIRST))).status, 'opened')
  })

  it('C8: while nobody can say, it waits', async () => {
    const isReplay = async (): Promise<boolean> => {
      throw new TempError('cache/unreachable', 'away')
    }
    await assert.rejects(arrive(await sealWith(age, LETTER), { isReplay }), TempError)
  })
})
