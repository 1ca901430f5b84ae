// The post-quantum recipient type of age, against files that another program made, and with npm's age-encryption both ways.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { bech32 } from '@scure/base'
import { Decrypter, Encrypter } from 'age-encryption'
import fc from 'fast-check'
import { hybridIdentity, hybridRecipient, hybridRecipientOf } from '../../lib/container/hybrid.ts'
import { ageKindOf, ageRecipientOf, generateAgeIdentity } from '../../lib/container/native-keys.ts'
import { assertRefused, opened, sealed, utf8 } from './files.ts'

interface Vectors {
  readonly age: { readonly identity: string; readonly recipient: string }
  readonly cases: readonly {
    readonly name: string
    readonly expect: 'opens' | 'no match' | 'malformed'
    readonly identity: string
    readonly recipient: string
    readonly plaintext: string
    readonly file: string
  }[]
}

const file = join(process.cwd(), 'test', 'vectors', 'container-hybrid.json')
const { age, cases } = JSON.parse(readFileSync(file, 'utf8')) as Vectors

describe('mlkem768x25519, by its vectors', () => {
  for (const vector of cases) {
    it(`${vector.name}: ${vector.expect}`, async () => {
      assert.equal(hybridRecipientOf(vector.identity), vector.recipient)
      const bytes = Uint8Array.from(Buffer.from(vector.file, 'base64'))
      const work = opened(hybridIdentity(vector.identity), [bytes])
      if (vector.expect !== 'opens')
        return assertRefused(work, vector.expect === 'malformed' ? 'header' : 'match')
      assert.equal(Buffer.from(await work).toString('hex'), vector.plaintext)
    })
  }

  it('the key pair of age itself', () => {
    assert.equal(hybridRecipientOf(age.identity), age.recipient)
    assert.equal(age.recipient.length, 1959)
  })
})

describe('mlkem768x25519', () => {
  const identity = generateAgeIdentity('mlkem768x25519')
  const recipient = ageRecipientOf(identity)

  it('what we seal npm’s age-encryption opens, and the other way round', async () => {
    const decrypter = new Decrypter()
    decrypter.addIdentity(identity)
    const ours = await sealed(hybridRecipient(recipient), utf8('from us'))
    assert.equal(await decrypter.decrypt(ours, 'text'), 'from us')
    const encrypter = new Encrypter()
    encrypter.addRecipient(recipient)
    const theirs = await encrypter.encrypt('from them')
    assert.deepEqual(await opened(hybridIdentity(identity), [theirs]), utf8('from them'))
  })

  it('one flipped bit anywhere never opens', async () => {
    const short = await sealed(hybridRecipient(recipient), utf8('the secret'))
    await fc.assert(
      fc.asyncProperty(fc.nat(short.length * 8 - 1), async (bit) => {
        const changed = Uint8Array.from(short)
        changed[bit >> 3]! ^= 1 << (bit & 7)
        await assertRefused(opened(hybridIdentity(identity), [changed]))
      }),
      { numRuns: 50 },
    )
  })

  it('takes its keys in their one form, and tells the kinds apart', () => {
    for (const wrong of [
      recipient.toUpperCase(),
      recipient.slice(0, -1),
      identity,
      ageRecipientOf(generateAgeIdentity('x25519')),
      '',
    ])
      assert.throws(() => hybridRecipient(wrong), { code: 'container/malformed', part: 'key' })
    for (const wrong of [identity.toLowerCase(), generateAgeIdentity('x25519'), recipient])
      assert.throws(
        () => hybridIdentity(wrong),
        (error) => !String(error).includes(wrong),
      )
    assert.equal(ageKindOf(recipient), 'mlkem768x25519')
    assert.equal(ageKindOf(generateAgeIdentity('x25519')), 'x25519')
  })

  it('an ML-KEM key with a number that is not below q is refused: FIPS 203 section 7.2', () => {
    const bytes = Uint8Array.from(
      bech32.fromWords(bech32.decode(recipient as `${string}1${string}`, false).words),
    )
    const withNumber = (number: number): string => {
      const changed = Uint8Array.from(bytes)
      changed[1149] = number & 0xff
      changed[1150] = (changed[1150]! & 0xf0) | (number >> 8)
      return bech32.encode('age1pq', bech32.toWords(changed), false)
    }
    hybridRecipient(withNumber(3328))
    assert.throws(() => hybridRecipient(withNumber(3329)), { part: 'key' })
    assert.throws(() => hybridRecipient(withNumber(4095)), { part: 'key' })
  })
})
