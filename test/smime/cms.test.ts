// CMS by ourselves, without peers: what opens, what must not, and that nothing tells why. The peers: test/interop/smime*.
import assert from 'node:assert/strict'
import {
  constants,
  createPrivateKey,
  createPublicKey,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../lib/errors.ts'
import { readBer } from '../../lib/smime/cms/ber.ts'
import { readRecipientKey } from '../../lib/smime/cms/certificate-key.ts'
import { isWeak, parseEncryptedContent } from '../../lib/smime/cms/enveloped-data.ts'
import { openContent, type OwnKey } from '../../lib/smime/cms/open.ts'
import { openTransportedKey } from '../../lib/smime/cms/rsa-transport.ts'
import { sealContent, type Profile } from '../../lib/smime/cms/seal.ts'
import { element, integer, sequence, startOf } from '../../lib/x509/der-writer.ts'
import { KEY_KINDS, smimeKey } from '../support/smime-keys.ts'
import { fromHex } from '../support/vectors.ts'

const PROFILES: readonly Profile[] = ['compat', 'modern']
const rsa = smimeKey('RSA-2048')
const ec = smimeKey('P-256')
const text = Uint8Array.from(Buffer.from('the secret\r\n'.repeat(40)))

const opened = (message: Uint8Array, ...keys: readonly OwnKey[]) =>
  openContent(parseEncryptedContent(message), keys)

const outcome = (message: Uint8Array, ...keys: readonly OwnKey[]): string => {
  try {
    return opened(message, ...keys) ? 'opened' : 'for others'
  } catch (error) {
    assert.ok(error instanceof PermError, String(error))
    return `${error.code}: ${error.message}`
  }
}

const CLOSED = 'smime/decrypt: it does not open with our key'

/** The place of some octets, which are there once. */
function placeOf(message: Uint8Array, part: Uint8Array): number {
  const at = Buffer.from(message).indexOf(part)
  assert.notEqual(at, -1)
  return at
}

function changed(message: Uint8Array, at: number, bits = 1): Uint8Array {
  const copy = Uint8Array.from(message)
  copy[at]! ^= bits
  return copy
}

describe('CMS encryption', () => {
  for (const profile of PROFILES) {
    for (const kind of KEY_KINDS) {
      it(`${profile}, ${kind}: what was sealed opens, and not with another key`, () => {
        const key = smimeKey(kind)
        const message = sealContent(text, [key.certificate], profile)
        const found = opened(message, ec, key)
        assert.deepEqual(found?.plaintext, text)
        assert.deepEqual(found?.keyIndexes, kind === 'P-256' ? [0, 1] : [1])
        assert.equal(outcome(message, smimeKey('P-521'), rsa), 'for others')
      })
    }

    it(`${profile}: several recipients, each with their key`, () => {
      const keys = [rsa, ec, smimeKey('P-384'), smimeKey('P-521')]
      const message = sealContent(
        text,
        keys.map(({ certificate }) => certificate),
        profile,
      )
      const ids = keys.map((key) => {
        const found = opened(message, key)
        assert.deepEqual(found?.plaintext, text)
        return found?.sealedKeyId
      })
      assert.equal(new Set(ids).size, 1) // of the content key
      assert.deepEqual(opened(message, ...keys)?.keyIndexes, [0, 1, 2, 3])
    })

    it(`${profile}: an empty content, and lengths around the block’s`, () => {
      for (const length of [0, 1, 15, 16, 17, 127, 128, 4096]) {
        const plain = randomBytes(length)
        const message = sealContent(plain, [ec.certificate], profile)
        if (length === 0 && profile === 'modern') assert.equal(outcome(message, ec), EMPTY)
        else assert.deepEqual(opened(message, ec)?.plaintext, Uint8Array.from(plain))
      }
    })
  }

  it('modern: any one bit changed in what belongs to the recipient does not open', () => {
    const message = sealContent(text, [ec.certificate], 'modern')
    fc.assert(
      fc.property(fc.nat(message.length * 8 - 1), (bit) => {
        const found = outcome(changed(message, bit >> 3, 1 << (bit & 7)), ec)
        assert.ok(found !== 'opened' || isIdle(message, bit >> 3), `bit ${bit}: ${found}`)
      }),
      { numRuns: 400 },
    )
  })

  it('whatever the bytes are, it throws nothing but a PermError', () => {
    const seeds = PROFILES.map((profile) =>
      sealContent(text, [rsa.certificate, ec.certificate], profile),
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.option(fc.nat()),
        (seed, edits, cut) => {
          const bytes = Uint8Array.from(seed)
          for (const [at, octet] of edits) bytes[at % 200] = octet
          outcome(cut === null ? bytes : bytes.subarray(0, cut % bytes.length), ec)
        },
      ),
      { numRuns: 300 },
    )
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void outcome(bytes, ec)))
  })
})

const EMPTY = 'mail/malformed: CMS: there is no encrypted content'

/** The values of the two versions say nothing that is used. */
function isIdle(message: Uint8Array, at: number): boolean {
  return ['020100', '020103'].some((version) => at === placeOf(message, fromHex(version)) + 2)
}

describe('what does not open', () => {
  const pkcs1 = (key: Uint8Array | undefined, block?: Uint8Array): Uint8Array => {
    const message = sealContent(text, [rsa.certificate], 'compat')
    const publicKey = createPublicKey(rsa.keyPem)
    const sealed = block
      ? publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, block)
      : publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, key!)
    const out = Uint8Array.from(message)
    // The encrypted key is the first OCTET STRING of 256 octets.
    out.set(sealed, placeOf(message, fromHex('04820100')) + 4)
    return out
  }
  const block = (edit: (bytes: Uint8Array) => void): Uint8Array => {
    const bytes = new Uint8Array(256).fill(0x5a)
    bytes.set([0, 2])
    bytes[256 - 33] = 0
    edit(bytes)
    return bytes
  }

  it('C5: bad RSA padding, key wrap, point, GCM tag and CBC padding have one outcome and one text', () => {
    const rsaOaep = sealContent(text, [rsa.certificate], 'modern')
    const agreed = sealContent(text, [ec.certificate], 'modern')
    const cbc = sealContent(text, [rsa.certificate], 'compat')
    const point = placeOf(agreed, fromHex('03420004')) + 4
    const wrapped =
      point + 64 + Buffer.from(agreed.subarray(point + 64)).indexOf(fromHex('0428')) + 2
    const cases: Readonly<Record<string, readonly [Uint8Array, OwnKey]>> = {
      'a key of the right length that is another': [pkcs1(randomBytes(32)), rsa],
      'a key that is too short': [pkcs1(randomBytes(24)), rsa],
      'a key that is too long': [pkcs1(randomBytes(48)), rsa],
      'no leading zero': [
        pkcs1(
          undefined,
          block((bytes) => bytes.set([0x40, 2])),
        ),
        rsa,
      ],
      'block type 1': [
        pkcs1(
          undefined,
          block((bytes) => bytes.set([0, 1])),
        ),
        rsa,
      ],
      'no separator': [
        pkcs1(
          undefined,
          block((bytes) => void (bytes[256 - 33] = 9)),
        ),
        rsa,
      ],
      'a zero in the padding': [
        pkcs1(
          undefined,
          block((bytes) => void (bytes[40] = 0)),
        ),
        rsa,
      ],
      'all zeros': [pkcs1(undefined, new Uint8Array(256)), rsa],
      'a number beyond the modulus': [
        overwritten(cbc, fromHex('04820100'), new Uint8Array(256).fill(255)),
        rsa,
      ],
      'OAEP damaged': [changed(rsaOaep, placeOf(rsaOaep, fromHex('04820100')) + 90), rsa],
      'key wrap damaged': [changed(agreed, wrapped), ec],
      'a point that is on no curve': [changed(agreed, point + 40), ec],
      'the point at infinity': [overwritten(agreed, fromHex('03420004'), new Uint8Array(64)), ec],
      'GCM tag damaged': [changed(agreed, agreed.length - 1), ec],
      'GCM ciphertext damaged': [changed(agreed, agreed.length - 40), ec],
    }
    for (const [name, [message, key]] of Object.entries(cases))
      assert.equal(outcome(message, key), CLOSED, name)
    // The last block is padding, and each of these makes another octet of it wrong.
    const outcomes = Array.from({ length: 8 }, (_, at) =>
      outcome(changed(cbc, cbc.length - 17 - at, 0x80), rsa),
    )
    assert.deepEqual(new Set(outcomes), new Set([CLOSED]))
  })

  it('C5: the key that stands for a bad padding is secret, and the same each time', () => {
    const keyOf = (encryptedKey: Uint8Array, rejectionSecret: Uint8Array): string =>
      Buffer.from(
        openTransportedKey({
          privateKey: createPrivateKey(rsa.keyPem),
          rejectionSecret,
          encryptedKey,
          keyBytes: 32,
          oaep: undefined,
        }),
      ).toString('hex')
    const [one, other] = [new Uint8Array(256).fill(1), new Uint8Array(256).fill(2)]
    assert.equal(keyOf(one, text), keyOf(one, text))
    assert.notEqual(keyOf(one, text), keyOf(other, text))
    assert.notEqual(keyOf(one, text), keyOf(one, one))
  })

  it('C5: takes as long for a bad padding as for a wrong key', () => {
    const messages = {
      good: pkcs1(randomBytes(32)),
      bad: pkcs1(
        undefined,
        block((bytes) => bytes.set([0, 1])),
      ),
    }
    const times = { good: [] as bigint[], bad: [] as bigint[] }
    for (let at = 0; at < 60; at++) {
      for (const name of ['good', 'bad'] as const) {
        const start = process.hrtime.bigint()
        outcome(messages[name], rsa)
        times[name].push(process.hrtime.bigint() - start)
      }
    }
    const median = (list: readonly bigint[]): number =>
      Number(list.toSorted((a, b) => Number(a - b))[30])
    const ratio = median(times.good) / median(times.bad)
    assert.ok(ratio > 0.7 && ratio < 1.43, `ratio ${ratio}`)
  })

  const gcm = sealContent(text, [ec.certificate], 'modern')
  /** The tag cut to so many octets, and the length of it said to be `declared`. */
  const withTag = (bytes: number, declared: number): Uint8Array => {
    const body = Uint8Array.from(gcm.subarray(0, gcm.length - 18))
    // AES-256-GCM, then a SEQUENCE of the nonce (OCTET STRING of 12) and the length of the tag.
    const at = placeOf(body, fromHex('060960864801650304012e')) + 11 + 2 + 14
    body[at + 2] = declared
    const tag = gcm.subarray(gcm.length - 16, gcm.length - 16 + bytes)
    return reframed(Buffer.concat([body, element(0x04, tag)]))
  }

  it('C6: a GCM tag of 12 octets is weak, shorter ones and lengths that differ are refused', () => {
    assert.equal(isWeak(parseEncryptedContent(gcm)), false)
    assert.equal(isWeak(parseEncryptedContent(withTag(12, 12))), true)
    assert.equal(isWeak(parseEncryptedContent(withTag(15, 15))), true)
    assert.equal(outcome(withTag(12, 12), ec), 'opened')
    for (const [bytes, declared] of [
      [11, 11],
      [4, 4],
      [0, 0],
      [12, 16],
      [16, 12],
      [17, 17],
    ] as const)
      assert.match(
        outcome(withTag(bytes, declared), ec),
        /^crypto\/unsupported: CMS: GCM with a tag/,
      )
  })

  it('C6: GCM in EnvelopedData and CBC in AuthEnvelopedData are refused', () => {
    const swap = (message: Uint8Array, from: string, to: string): Uint8Array =>
      overwritten(message, fromHex(from), fromHex(to), 0)
    const AES_GCM = '60864801650304012e'
    const AES_CBC = '60864801650304012a'
    assert.match(outcome(swap(gcm, AES_GCM, AES_CBC), ec), /aes-256-cbc in AuthEnvelopedData/)
    const cbc = sealContent(text, [ec.certificate], 'compat')
    assert.match(outcome(swap(cbc, AES_CBC, AES_GCM), ec), /aes-256-gcm in EnvelopedData/)
  })

  it('C24: DES, RC2, RC4 and IDEA are closed with their name; triple DES is weak', () => {
    const message = sealContent(text, [ec.certificate], 'compat')
    const named = (oid: string): Uint8Array => {
      const name = element(0x06, fromHex(oid))
      const iv = element(0x04, new Uint8Array(8))
      return withAlgorithm(message, Buffer.concat([name, iv]))
    }
    assert.match(outcome(named('2a864886f70d0302'), ec), /encrypted with RC2/)
    assert.match(outcome(named('2a864886f70d0304'), ec), /encrypted with RC4/)
    assert.match(outcome(named('2b0e030207'), ec), /encrypted with DES/)
    assert.match(outcome(named('2b06010401813c07010102'), ec), /encrypted with IDEA/)
    assert.equal(isWeak(parseEncryptedContent(named('2a864886f70d0307'))), true)
  })

  it('content that is not there is refused', () => {
    assert.equal(outcome(sealContent(new Uint8Array(0), [ec.certificate], 'modern'), ec), EMPTY)
  })
})

describe('limits', () => {
  it('C27: more than 200 recipients, too many levels, a length beyond the end', () => {
    const many = sealContent(
      text,
      Array.from({ length: 201 }, () => ec.certificate),
      'compat',
    )
    assert.match(outcome(many, ec), /more than 200 recipients/)
    let deep: Uint8Array = integer(1)
    for (let at = 0; at < 25; at++) deep = sequence(deep)
    assert.throws(() => readBer(deep), /too deep/)
    const endless = Buffer.concat(Array.from({ length: 25 }, () => Uint8Array.of(0x30, 0x80)))
    assert.throws(() => readBer(endless), /too deep/)
    assert.throws(() => readBer(startOf(0x30, 2 ** 40)), /cut short/)
    const crowd = Buffer.alloc(2 * 100_001, Uint8Array.of(5, 0))
    assert.throws(() => readBer(element(0x30, crowd)), /too many elements/)
  })

  it('C23 C26: nothing is sealed for RSA below 2048 bits, and for no certificate that is none', () => {
    const weak = smimeKey('RSA-1024')
    assert.throws(() => sealContent(text, [weak.certificate], 'compat'), {
      code: 'smime/certificate',
      message: /RSA with 1024 bits/,
    })
    for (const bytes of [new Uint8Array(0), text, ec.secret, ec.certificate.subarray(1)])
      assert.throws(() => readRecipientKey(bytes), { code: 'smime/certificate' })
  })
})

function overwritten(
  message: Uint8Array,
  mark: Uint8Array,
  bytes: Uint8Array,
  skip = mark.length,
): Uint8Array {
  const copy = Uint8Array.from(message)
  copy.set(bytes, placeOf(message, mark) + skip)
  return copy
}

/** A message whose end was changed: all lengths that reached to the old end reach to the new one. */
function reframed(message: Uint8Array): Uint8Array {
  const [type, wrapper] = typeAndFields(message)
  return sequence(type, element(0xa0, sequence(wrapper)))
}

/** ContentInfo's type, and all that stands in its content's SEQUENCE, whatever the lengths around say. */
function typeAndFields(message: Uint8Array): [Uint8Array, Uint8Array] {
  let at = headBytes(message, 0)
  const type = message.subarray(at, at + 2 + message[at + 1]!)
  at += type.length
  at += headBytes(message, at)
  at += headBytes(message, at)
  return [type, message.subarray(at)]
}

function headBytes(message: Uint8Array, at: number): number {
  const first = message[at + 1]!
  return first < 0x80 ? 2 : 2 + first - 0x80
}

/** With another AlgorithmIdentifier of the content. */
function withAlgorithm(message: Uint8Array, algorithm: Uint8Array): Uint8Array {
  const [type, fields] = typeAndFields(message)
  const found = readBer(sequence(fields)).children
  const [version, infos, info] = found
  const [contentType, , content] = info!.children
  return sequence(
    type,
    element(
      0xa0,
      sequence(
        version!.bytes,
        infos!.bytes,
        sequence(contentType!.bytes, sequence(algorithm), content!.bytes),
      ),
    ),
  )
}
