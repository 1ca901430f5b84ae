// Mail under age against Debian's age, in both directions: the rows of test/support/interop-age.ts.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createAgeScheme } from '../../lib/age/mail-scheme.ts'
import { open } from '../../lib/container/container.ts'
import {
  ageIdentity,
  ageRecipientOf,
  generateAgeIdentity,
  type AgeKind,
} from '../../lib/container/native-keys.ts'
import {
  formatEncrypted,
  freshBoundary,
  parseEncrypted,
} from '../../lib/mail/multipart-encrypted.ts'
import { collect, messageBytes, readMessage } from '../../lib/mail/message.ts'
import { bytesOf } from '../mail/pieces.ts'
import { AGE_FEATURES, AGE_ROWS, type AgeFeature } from '../support/interop-age.ts'
import { peer } from '../support/peers.ts'

const BOB = 'bob@b.example'
const HEADER = `From: alice@a.example\r\nTo: ${BOB}\r\nSubject: s\r\n\r\n`
const LETTER = bytesOf(`${HEADER}Gr\xc3\xbc\xc3\x9fe, 8-bit \xff\xfe\r\n.\r\nbye\r\n`)

describe('mail under age, and age', { skip: peer('age', 'age') }, () => {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-age-'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  const path = (name: string): string => join(folder, name)
  const keyOf = (kind: AgeKind = 'x25519', name = 'key') => {
    const identity = generateAgeIdentity(kind)
    writeFileSync(path(name), `${identity}\n`, { mode: 0o600 })
    return { identity, recipient: ageRecipientOf(identity), file: path(name) }
  }
  const age = (...args: string[]): Buffer =>
    execFileSync('age', args, { maxBuffer: 100 * 1024 * 1024, stdio: ['ignore', 'pipe', 'pipe'] })

  /** The file within the mail that hisho sends. */
  async function fromUs(recipients: readonly string[], letter: Uint8Array): Promise<Uint8Array> {
    const nobody = new Map()
    const scheme = createAgeScheme({
      identities: { contents: async () => nobody, latest: async () => nobody },
    })
    const offer = await scheme.offer({
      domain: 'b.example',
      addresses: [BOB],
      trust: [],
      settings: { age: recipients },
    })
    assert.ok(offer)
    const sealed = offer.seal([BOB], await readMessage([letter]), { author: undefined })
    return collect(parseEncrypted(await readMessage(messageBytes(sealed))))
  }

  /** What hisho makes of a file of the peer's in a mail. It names nobody, and so is opened as a file is. */
  async function byUs(file: Uint8Array, identity: string): Promise<Uint8Array> {
    const mail = formatEncrypted([], stream(file), freshBoundary())
    const { plaintext } = await open([ageIdentity(identity)], parseEncrypted(mail))
    return collect(plaintext)
  }

  async function* stream(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    yield bytes
  }

  function sealedByAge(recipients: readonly string[], letter: Uint8Array): Uint8Array {
    writeFileSync(path('letter'), letter)
    age(...recipients.flatMap((one) => ['-r', one]), '-o', path('sealed'), path('letter'))
    return readFileSync(path('sealed'))
  }
  function openedByAge(file: Uint8Array, key: string): Buffer {
    writeFileSync(path('sealed'), file)
    return age('-d', '-i', key, path('sealed'))
  }

  const large = (): Uint8Array =>
    Buffer.concat([bytesOf(HEADER), Buffer.alloc(26_000_000, 'x\r\n')])
  const changed = (file: Uint8Array): Uint8Array => {
    const copy = Uint8Array.from(file)
    copy[copy.length - 20]! ^= 1
    return copy
  }

  const TO_THE_PEER: Record<AgeFeature, () => Promise<void>> = {
    async mail() {
      const [one, other] = [keyOf('x25519', 'one'), keyOf('x25519', 'other')]
      const file = await fromUs([one.recipient, other.recipient], LETTER)
      for (const { file: key } of [one, other])
        assert.deepEqual(openedByAge(file, key), Buffer.from(LETTER))
    },
    async large() {
      const key = keyOf()
      assert.ok(openedByAge(await fromUs([key.recipient], large()), key.file).equals(large()))
    },
    async wrongKey() {
      const file = await fromUs([keyOf().recipient], LETTER)
      const { file: other } = keyOf('x25519', 'other')
      assert.throws(() => openedByAge(file, other), /no identity matched/)
    },
    async tampered() {
      const key = keyOf()
      const file = changed(await fromUs([key.recipient], LETTER))
      assert.throws(() => openedByAge(file, key.file), /failed to decrypt|authenticate/)
    },
    async hybrid() {
      const key = keyOf('mlkem768x25519')
      const file = await fromUs([key.recipient], LETTER)
      assert.throws(
        () => openedByAge(file, key.file),
        /unknown identity type|malformed|no identity/,
      )
    },
  }

  const FROM_THE_PEER: Partial<Record<AgeFeature, () => Promise<void>>> = {
    async mail() {
      const [one, other] = [keyOf('x25519', 'one'), keyOf('x25519', 'other')]
      const file = sealedByAge([one.recipient, other.recipient], LETTER)
      for (const { identity } of [one, other])
        assert.deepEqual(Buffer.from(await byUs(file, identity)), Buffer.from(LETTER))
    },
    async large() {
      const key = keyOf()
      const opened = await byUs(sealedByAge([key.recipient], large()), key.identity)
      assert.ok(Buffer.from(opened).equals(large()))
    },
    async wrongKey() {
      const file = sealedByAge([keyOf().recipient], LETTER)
      await assert.rejects(byUs(file, keyOf().identity), { code: 'container/no-match' })
    },
    async tampered() {
      const key = keyOf()
      const file = changed(sealedByAge([key.recipient], LETTER))
      await assert.rejects(byUs(file, key.identity), { code: 'container/damaged' })
    },
  }

  for (const { direction, feature, result, key } of AGE_ROWS) {
    it(`${direction}, ${key}: ${feature}: ${result}`, async () => {
      const name = (Object.keys(AGE_FEATURES) as AgeFeature[]).find(
        (one) => AGE_FEATURES[one] === feature,
      )
      const check = name && (direction === 'to the peer' ? TO_THE_PEER : FROM_THE_PEER)[name]
      assert.ok(check)
      await check()
    })
  }
})
