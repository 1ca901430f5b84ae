import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { seal } from '../../lib/container/container.ts'
import { pskRecipient } from '../../lib/container/psk.ts'
import type { Suite } from '../../lib/container/suite.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { TempError } from '../../lib/errors.ts'
import { collect, messageBytes, readMessage, type Message } from '../../lib/mail/message.ts'
import { formatEncrypted, freshBoundary } from '../../lib/mail/multipart-encrypted.ts'
import { PEEK_BYTES, protectionOf } from '../../lib/mail/protected-content.ts'
import type { Opening, Scheme, SchemeSettings } from '../../lib/mail/scheme.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import { receive } from '../../lib/protection/incoming.ts'
import type { SharedKey } from '../../lib/shared-key/key-store.ts'
import { createSharedKeyScheme } from '../../lib/shared-key/mail-scheme.ts'
import { SHARED_KEY } from '../../lib/shared-key/settings.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'

const LETTER = 'From: alice@a.example\r\nTo: bob@b.example\r\nSubject: s\r\n\r\nthe secret\r\n'
const BOB = 'bob@b.example'

function key(id: string, day: number, more: Partial<SharedKey> = {}): SharedKey {
  const bytes = new Uint8Array(32).fill(id.codePointAt(id.length - 1) ?? 0)
  return { id, key: new SecretBytes(bytes), created: `2026-11-0${day}T00:00:00Z`, ...more }
}

type Vault = Readonly<Record<string, readonly SharedKey[]>>

interface Gateway {
  readonly scheme: Scheme
  /** What stands in the file, from now on. */
  write(vault: Vault): void
  /** The gateway has read it. */
  readAgain(): void
}

function gateway(vault: Vault, settings: SchemeSettings = {}): Gateway {
  const mapOf = (sites: Vault) =>
    new Map(Object.entries(sites).map(([site, shared]) => [site, { shared }]))
  let [held, file] = [mapOf(vault), mapOf(vault)]
  return {
    scheme: createSharedKeyScheme({
      keys: { contents: async () => held, latest: async () => (held = file) },
      settingsOf: () => settings,
    }),
    write: (sites) => void (file = mapOf(sites)),
    readAgain: () => void (held = file),
  }
}

async function sealed(
  { scheme }: Gateway,
  text = LETTER,
  { settings = {} }: { readonly settings?: SchemeSettings } = {},
): Promise<string> {
  const offer = await scheme.offer({ domain: 'b.example', addresses: [], trust: [], settings })
  assert.ok(offer)
  const message = await readMessage([bytesOf(text)])
  return latin1(await collect(messageBytes(offer.seal([BOB], message, { author: undefined }))))
}

async function opened({ scheme }: Gateway, text: string, to = [BOB]): Promise<Opening> {
  return scheme.open(await readMessage([bytesOf(text)]), to)
}

async function textOf(opening: Opening): Promise<string> {
  if (opening.status === 'closed') return `closed: ${opening.reason}`
  return latin1(await collect(messageBytes(opening.message)))
}

/** A short message shows its damage at once, a long one while it is read. */
function throwIfClosed(text: string): void {
  if (text.startsWith('closed: ')) throw new Error(text)
}

describe('a key that two sites share', () => {
  const atA = gateway({ 'b.example': [key('k1', 1)] })
  const atB = gateway({ 'a.example': [key('k1', 1)] })

  it('seals on one side and opens on the other, byte for byte, and says which key and whose', async () => {
    const text = await sealed(atA)
    assert.doesNotMatch(text, /secret/)
    const opening = await opened(atB, text)
    assert.equal(await textOf(opening), LETTER)
    assert.ok(opening.status === 'opened')
    assert.equal(opening.description, 'shared-key; key="k1"; suite=aes-256-gcm')
    assert.equal(opening.site, 'a.example')
    assert.deepEqual(opening.addresses, [BOB])
  })

  it('is trusted: it has nothing that could be forged, and satisfies required', async () => {
    const offer = await atA.scheme.offer({
      domain: 'b.example',
      addresses: [],
      trust: [],
      settings: {},
    })
    assert.equal(offer?.untrusted, undefined)
    assert.equal(offer?.description, 'shared-key k1 (aes-256-gcm)')
    assert.equal(
      await atA.scheme.offer({ domain: 'c.example', addresses: [], trust: [], settings: {} }),
      undefined,
    )
  })

  it('its messages are known as ours and as ciphertext, whichever the suite', async () => {
    for (const suite of ['chacha20-poly1305', 'camellia-256-cbc-hmac-sha256'] as const) {
      const text = await sealed(atA, LETTER, { settings: { suite } })
      const message = await readMessage([bytesOf(text)])
      const start = (await collect(message.body)).subarray(0, PEEK_BYTES)
      assert.equal(atA.scheme.detect(message.fields, start), true)
      assert.equal(protectionOf(message, start), 'hisho')
      assert.equal(atA.scheme.detect(message.fields, new Uint8Array(0)), false)
    }
  })

  it('opens for nobody but those it was sealed for', async () => {
    const text = await sealed(atA)
    const stranger = await opened(atB, text, ['mallory@b.example'])
    assert.match(await textOf(stranger), /^closed: container\/no-match.*sealed for others/)
    const both = await opened(atB, text, ['mallory@b.example', BOB])
    assert.deepEqual(both.status === 'opened' && both.addresses, [BOB])
  })

  it('a message that is sent back to its sender’s site does not open there', async () => {
    const text = await sealed(atA)
    assert.equal((await opened(atA, text, ['alice@a.example'])).status, 'closed')
  })

  it('a file that names nobody opens for nobody', async () => {
    const file = seal([pskRecipient('k1', key('k1', 1).key.bytes)], [bytesOf(LETTER)])
    const text = latin1(await collect(messageBytes(formatEncrypted([], file, freshBoundary()))))
    assert.equal((await opened(atB, text)).status, 'closed')
  })

  it('another key under the same id, and any damage, does not open, and no text of it gets out', async () => {
    const wrong = gateway({ 'a.example': [{ ...key('k2', 1), id: 'k1' }] })
    const text = await sealed(atA)
    assert.match(await textOf(await opened(wrong, text)), /^closed: container\/no-match/)
    const at = text.lastIndexOf('\r\n--') - 6
    const letter = text[at] === 'A' ? 'B' : 'A'
    const damaged = text.slice(0, at) + letter + text.slice(at + 1)
    await assert.rejects(
      opened(atB, damaged).then(textOf).then(throwIfClosed),
      /container\/damaged/,
    )
  })

  it('a key that is not here, or is retired, makes the mail wait at its sender’s site', async () => {
    const text = await sealed(atA)
    for (const [vault, why] of [
      [{}, /"k1" is not in the vault/],
      [{ 'a.example': [key('k1', 1, { retired: '2026-11-05T00:00:00Z' })] }, /"k1" is retired/],
    ] as const) {
      await assert.rejects(opened(gateway(vault), text), (error) => {
        assert.ok(error instanceof TempError)
        assert.equal(error.code, 'protection/no-key')
        assert.match(error.message, why)
        return true
      })
      // For others it is no matter of ours.
      assert.equal((await opened(gateway(vault), text, ['x@b.example'])).status, 'closed')
    }
  })

  it('a key that was put into the vault a moment ago is found', async () => {
    const late = gateway({})
    late.write({ 'a.example': [key('k1', 1)], 'b.example': [key('k9', 1)] })
    assert.equal(await textOf(await opened(late, await sealed(atA))), LETTER)
    const sender = gateway({})
    sender.write({ 'b.example': [key('k9', 1)] })
    assert.equal(
      (await sender.scheme.offer({ domain: 'b.example', addresses: [], trust: [], settings: {} }))
        ?.description,
      'shared-key k9 (aes-256-gcm)',
    )
  })

  it('a locked vault is a failure that may pass, to seal and to open', async () => {
    const locked = async (): Promise<never> => {
      throw new TempError('vault/locked', 'locked')
    }
    const scheme = createSharedKeyScheme({
      keys: { contents: locked, latest: locked },
      settingsOf: () => ({}),
    })
    await assert.rejects(
      scheme.offer({ domain: 'b.example', addresses: [], trust: [], settings: {} }),
      { code: 'vault/locked' },
    )
    const message = await readMessage([bytesOf(await sealed(atA))])
    await assert.rejects(scheme.open(message, [BOB]), { code: 'vault/locked' })
  })
})

describe('several keys of a site', () => {
  const keys = [
    key('k1', 1),
    key('k3', 3),
    key('k2', 2),
    key('k4', 4, { retired: '2026-11-05T00:00:00Z' }),
  ]
  const atA = gateway({ 'b.example': keys, 'c.example': [key('c1', 1)] })
  const description = async (settings: SchemeSettings): Promise<string | undefined> =>
    (await atA.scheme.offer({ domain: 'b.example', addresses: [], trust: [], settings }))
      ?.description

  it('the newest that is not retired sends, or the one that the table names', async () => {
    assert.equal(await description({}), 'shared-key k3 (aes-256-gcm)')
    assert.equal(await description({ key: 'k1' }), 'shared-key k1 (aes-256-gcm)')
    assert.equal(
      await description({ key: 'c1', suite: 'chacha20-poly1305' }),
      'shared-key c1 (chacha20-poly1305)',
    )
  })

  it('one that the table names and that cannot be used is an error, not another key', async () => {
    await assert.rejects(description({ key: 'k4' }), {
      code: 'protection/no-key',
      message: /k4 is retired/,
    })
    await assert.rejects(description({ key: 'k7' }), {
      code: 'protection/no-key',
      message: /not in the vault/,
    })
  })

  it('all that are not retired open', async () => {
    const atB = gateway({ 'a.example': keys })
    for (const id of ['k1', 'k2', 'k3']) {
      const opening = await opened(atB, await sealed(atA, LETTER, { settings: { key: id } }))
      assert.match(
        opening.status === 'opened' ? opening.description : '',
        new RegExp(`key="${id}"`),
      )
    }
  })
})

describe('a weak cipher', () => {
  const suite: Suite = 'des-ede3-cbc-hmac-sha256'
  const atA = gateway({ 'b.example': [key('k1', 1)] })

  it('opens only where the table says legacy, and is marked', async () => {
    const text = await sealed(atA, LETTER, { settings: { suite, legacy: true } })
    const strict = gateway({ 'a.example': [key('k1', 1)] })
    assert.match(
      await textOf(await opened(strict, text)),
      /^closed: crypto\/unsupported: des-ede3.* is weak, .* legacy: true for a\.example$/,
    )
    const opening = await opened(gateway({ 'a.example': [key('k1', 1)] }, { legacy: true }), text)
    assert.equal(
      opening.status === 'opened' && opening.description,
      `shared-key; key="k1"; suite=${suite}; strength=weak`,
    )
    assert.equal(await textOf(opening), LETTER)
  })
})

describe('what a shared key says about the author', () => {
  const atA = gateway({ 'b.example': [key('k1', 1)] })
  const atB = gateway({ 'a.example': [key('k1', 1)] })
  const markOf = async (from: string): Promise<string> => {
    const text = await sealed(atA, LETTER.replace('From: alice@a.example\r\n', from))
    const message: Message = await readMessage([bytesOf(text)])
    const recipients = [{ address: BOB, domain: 'b.example' }]
    const arrival = await receive(message, recipients, {
      schemes: [atB.scheme],
      normalizeAddress: (address) => address,
      authservIds: new Set(),
      limits: { layers: 3, headerBytes: 100_000, bytes: 1_000_000 },
      allowsUnproven: () => false,
      tags: [],
      activeContent: 'text',
      reference: 'REF',
    })
    assert.ok(arrival.status === 'opened')
    const result = latin1(await collect(messageBytes(arrival.message)))
    return /^Hisho-Decrypted: (.*)\r$/m.exec(result)?.[1] ?? ''
  }

  for (const [what, from, found] of [
    ['its own user', 'From: Alice <alice@A.example>\r\n', 'site'],
    ['a user of another domain', 'From: eve@c.example\r\n', 'unproven'],
    ['a user of a domain below it', 'From: alice@sub.a.example\r\n', 'unproven'],
    ['two authors', 'From: alice@a.example, eve@c.example\r\n', 'unproven'],
    ['two From fields', 'From: alice@a.example\r\nFrom: eve@c.example\r\n', 'unproven'],
    ['nobody', '', 'unproven'],
    ['the site in the name only', 'From: "alice@a.example" <eve@c.example>\r\n', 'unproven'],
  ] as const) {
    it(`${what}: from=${found}`, async () => {
      assert.equal(
        await markOf(from),
        `shared-key; key="k1"; suite=aes-256-gcm; site="a.example"; from=${found}; integrity=ok; signature=unchecked`,
      )
    })
  }
})

describe('shared-key in the domain table', () => {
  const rule = (text: string) =>
    parseDomainTable(`domains:\n  b.example: { ${text} }\n`, 't', [
      { name: 'ibe' },
      SHARED_KEY,
    ]).ruleFor('b.example')

  it('takes scheme as a list of one, and its own keys', () => {
    const found = rule('scheme: shared-key, key: k1, suite: aes-256-gcm, legacy: false')
    assert.deepEqual(found.schemes, ['shared-key'])
    assert.deepEqual(found.settings, { key: 'k1', suite: 'aes-256-gcm', legacy: false })
    assert.deepEqual(rule('schemes: [shared-key, ibe]').schemes, ['shared-key', 'ibe'])
  })

  for (const [text, reason] of [
    ['scheme: shared-key, schemes: [ibe]', /b\.example\.scheme: stands for a list of one/],
    ['scheme: rot13', /scheme: must be one of ibe, shared-key/],
    ['scheme: [ibe]', /scheme: must be one of/],
    ['key: 5', /key: must be the id/],
    ['suite: rc4', /suite: must be one of chacha20-poly1305, aes-256-gcm/],
    ['suite: des-ede3-cbc-hmac-sha256', /suite: .* is weak: it needs legacy: true/],
    ['suite: aes-256-gcm, legacy: yes please', /legacy: must be true or false/],
    ['sweet: x', /sweet: no such key \(.*, key, suite, legacy\)/],
  ] as const) {
    it(`refuses ${text}`, () => {
      assert.throws(() => rule(text), { code: 'table/malformed', message: reason })
    })
  }

  it('a cipher that this Node has not is refused with the way to have it', () => {
    assert.throws(() => rule('legacy: true, suite: idea-cbc-hmac-sha256'), {
      code: 'table/malformed',
      message:
        /t:2:\d+: .*suite: this Node has no idea-cbc: .* NODE_OPTIONS=--openssl-legacy-provider/,
    })
    assert.equal(rule('legacy: true, suite: des-ede3-cbc-hmac-sha256').settings['legacy'], true)
  })
})
