import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createAgeScheme, type OwnIdentity } from '../../lib/age/mail-scheme.ts'
import { AGE } from '../../lib/age/settings.ts'
import { addressees } from '../../lib/container/addressees.ts'
import { seal } from '../../lib/container/container.ts'
import {
  ageRecipient,
  ageRecipientOf,
  generateAgeIdentity,
} from '../../lib/container/native-keys.ts'
import { SecretBytes } from '../../lib/crypto/secret-bytes.ts'
import { TempError } from '../../lib/errors.ts'
import { collect, messageBytes, readMessage } from '../../lib/mail/message.ts'
import {
  formatEncrypted,
  freshBoundary,
  parseEncrypted,
} from '../../lib/mail/multipart-encrypted.ts'
import { PEEK_BYTES, protectionOf } from '../../lib/mail/protected-content.ts'
import type { Opening, Scheme } from '../../lib/mail/scheme.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import { bytesOf, latin1 } from '../mail/pieces.ts'
import { peer } from '../support/peers.ts'

const LETTER = 'From: alice@a.example\r\nTo: bob@b.example\r\nSubject: s\r\n\r\nthe secret\r\n'
const BOB = 'bob@b.example'

interface Key {
  readonly entry: OwnIdentity
  readonly recipient: string
}

function newKey(id: string, kind: 'x25519' | 'mlkem768x25519' = 'x25519'): Key {
  const identity = generateAgeIdentity(kind)
  const bytes = new SecretBytes(new TextEncoder().encode(identity))
  return { entry: { id, identity: bytes }, recipient: ageRecipientOf(identity) }
}

type Vault = Readonly<Record<string, readonly OwnIdentity[]>>

function schemeWith(vault: Vault, file: Vault = vault): Scheme {
  const mapOf = (sites: Vault) =>
    new Map(Object.entries(sites).map(([name, age]) => [name, { age }]))
  const [held, latest] = [mapOf(vault), mapOf(file)]
  return createAgeScheme({ identities: { contents: async () => held, latest: async () => latest } })
}

async function sealed(age: unknown, to: readonly string[] = [BOB]): Promise<string> {
  const offer = await schemeWith({}).offer({
    domain: 'b.example',
    addresses: [],
    trust: [],
    settings: { age },
  })
  assert.ok(offer)
  return latin1(
    await collect(
      messageBytes(offer.seal(to, await readMessage([bytesOf(LETTER)]), { author: undefined })),
    ),
  )
}

async function opened(
  scheme: Scheme,
  text: string,
  to: readonly string[] = [BOB],
): Promise<Opening> {
  return scheme.open(await readMessage([bytesOf(text)]), to)
}

async function textOf(opening: Opening): Promise<string> {
  if (opening.status === 'closed') return `closed: ${opening.reason}`
  return latin1(await collect(messageBytes(opening.message)))
}

describe('age as a scheme', () => {
  const [one, two, pq] = [newKey('one'), newKey('two'), newKey('pq', 'mlkem768x25519')]

  for (const [key, kem] of [
    [one, 'x25519'],
    [pq, 'mlkem768x25519'],
  ] as const) {
    it(`seals for a recipient of the table and opens with the identity of the vault: ${kem}`, async () => {
      const text = await sealed([key.recipient])
      assert.doesNotMatch(text, /secret/)
      const opening = await opened(schemeWith({ 'b.example': [two.entry, key.entry] }), text)
      assert.equal(await textOf(opening), LETTER)
      assert.ok(opening.status === 'opened')
      assert.equal(opening.description, `age; key="${key.entry.id}"; kem=${kem}`)
      assert.equal(opening.site, undefined, 'anybody can seal for it')
      assert.deepEqual(opening.addresses, [BOB])
      const message = await readMessage([bytesOf(text)])
      const start = (await collect(message.body)).subarray(0, PEEK_BYTES)
      assert.equal(schemeWith({}).detect(message.fields, start), true)
      assert.equal(protectionOf(message, start), 'hisho')
    })
  }

  it('there is no offer without recipients, and with them it satisfies required', async () => {
    assert.equal(
      await schemeWith({}).offer({ domain: 'b.example', addresses: [], trust: [], settings: {} }),
      undefined,
    )
    const offer = await schemeWith({}).offer({
      domain: 'b.example',
      addresses: [],
      trust: [],
      settings: { age: [one.recipient] },
    })
    assert.deepEqual([offer?.untrusted, offer?.description], [undefined, 'age (x25519)'])
  })

  it('opens for nobody but those it was sealed for, and with no key of another domain', async () => {
    const text = await sealed([one.recipient], [BOB, 'carol@b.example'])
    const scheme = schemeWith({ 'b.example': [one.entry] })
    const some = await opened(scheme, text, [BOB, 'mallory@b.example'])
    assert.deepEqual(some.status === 'opened' && some.addresses, [BOB])
    assert.match(
      await textOf(await opened(scheme, text, ['mallory@b.example'])),
      /closed: .*sealed for others/,
    )
    assert.equal((await opened(schemeWith({ 'c.example': [one.entry] }), text)).status, 'closed')
    const both = await sealed([one.recipient], [BOB, 'dave@c.example'])
    const shared = await opened(scheme, both, [BOB, 'dave@c.example'])
    assert.deepEqual(shared.status === 'opened' && shared.addresses, [BOB])
  })

  it('a file that names nobody opens for nobody', async () => {
    const file = seal([ageRecipient(one.recipient)], [bytesOf(LETTER)])
    const text = latin1(await collect(messageBytes(formatEncrypted([], file, freshBoundary()))))
    assert.equal((await opened(schemeWith({ 'b.example': [one.entry] }), text)).status, 'closed')
  })

  it('a user has recipients of their own, and all others those of the site', async () => {
    const age = { '*': [one.recipient], Bob: [two.recipient] }
    const opens = async (to: readonly string[], key: Key) =>
      (await opened(schemeWith({ 'b.example': [key.entry] }), await sealed(age, to), to)).status
    assert.deepEqual(
      [await opens([BOB], two), await opens([BOB], one), await opens(['carol@b.example'], one)],
      ['opened', 'closed', 'opened'],
    )
    const both = [BOB, 'carol@b.example']
    assert.deepEqual([await opens(both, one), await opens(both, two)], ['opened', 'opened'])
  })

  it('a retired identity opens nothing, and one that was put into the vault a moment ago does', async () => {
    const text = await sealed([one.recipient])
    const retired = { ...one.entry, retired: '2026-11-22T00:00:00Z' }
    assert.match(
      await textOf(await opened(schemeWith({ 'b.example': [retired] }), text)),
      /closed: container\/no-match/,
    )
    const late = schemeWith({}, { 'b.example': [one.entry] })
    assert.equal(await textOf(await opened(late, text)), LETTER)
  })

  it('damage does not open, and a locked vault is a failure that may pass', async () => {
    const text = await sealed([one.recipient])
    const at = text.lastIndexOf('\r\n--') - 6
    const damaged = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
    const scheme = schemeWith({ 'b.example': [one.entry] })
    assert.match(await textOf(await opened(scheme, damaged)), /^closed: container\/damaged/)
    const locked = async (): Promise<never> => {
      throw new TempError('vault/locked', 'locked')
    }
    const without = createAgeScheme({ identities: { contents: locked, latest: locked } })
    await assert.rejects(opened(without, text), { code: 'vault/locked' })
  })

  it(
    'Debian’s age opens the attachment with the identity alone',
    { skip: peer('age', 'age') },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'hisho-age-'))
      try {
        writeFileSync(join(folder, 'key.txt'), one.entry.identity.bytes, { mode: 0o600 })
        const message = await readMessage([bytesOf(await sealed([two.recipient, one.recipient]))])
        writeFileSync(join(folder, 'encrypted.hisho'), await collect(parseEncrypted(message)))
        const args = ['-d', '-i', join(folder, 'key.txt'), join(folder, 'encrypted.hisho')]
        assert.equal(execFileSync('age', args).toString('latin1'), LETTER)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  )

  it('a header full of hybrid stanzas does not stop the server', async () => {
    const { recipient } = newKey('x', 'mlkem768x25519')
    const strangers = Array.from({ length: 60 }, () => ageRecipient(recipient))
    const file = seal([...strangers, addressees([BOB])], [bytesOf('x')])
    const text = latin1(await collect(messageBytes(formatEncrypted([], file, freshBoundary()))))
    let turns = 0
    const turn = (): void => {
      turns++
      next = setImmediate(turn)
    }
    let next = setImmediate(turn)
    const opening = await opened(schemeWith({ 'b.example': [pq.entry] }), text)
    clearImmediate(next)
    assert.equal(opening.status, 'closed')
    assert.ok(turns >= 60, String(turns))
  })
})

describe('age in the domain table', () => {
  const [{ recipient }, { recipient: pq }] = [newKey('x'), newKey('p', 'mlkem768x25519')]
  const rule = (value: unknown) =>
    parseDomainTable(
      `domains:\n  b.example: ${JSON.stringify({ scheme: 'age', age: value })}\n`,
      't',
      [AGE],
    ).ruleFor('b.example')

  it('takes one recipient, a list, and lists for users', () => {
    for (const good of [recipient, [recipient], [pq], { '*': [pq], bob: [pq, pq] }])
      assert.deepEqual(rule(good).settings, { age: good })
  })

  for (const [what, value, reason] of [
    ['no recipient', ['age1nonsense'], /age: must hold age recipients/],
    ['an identity', generateAgeIdentity('x25519'), /must hold age recipients/],
    ['a number', 5, /must be a list of age1/],
    ['a user without a list', { '*': [recipient], bob: recipient }, /must be a list/],
    ['an empty list', [], /at least one recipient for \*/],
    ['nothing for all others', { bob: [recipient] }, /needs a list under '\*'/],
    ['both kinds', [recipient, pq], /must not mix/],
    ['both kinds, by user', { '*': [recipient], bob: [pq] }, /must not mix/],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => rule(value), { code: 'table/malformed', message: reason })
    })
  }
})
