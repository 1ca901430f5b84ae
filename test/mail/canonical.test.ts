import assert from 'node:assert/strict'
import { createHash, createVerify, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  fieldsSigned,
  RelaxedBody,
  relaxedBodyHash,
  relaxedField,
} from '../../lib/mail/canonical.ts'
import { parseFields } from '../../lib/mail/header.ts'
import { readMessage } from '../../lib/mail/message.ts'
import { anyBytes, bytesOf, cut, latin1, places } from './pieces.ts'
import { processorTime } from '../support/processor-time.ts'

const relaxedHeader = (text: string): string =>
  parseFields(bytesOf(text))
    .map((field) => latin1(relaxedField(field)))
    .join('')

function relaxedBody(pieces: readonly Uint8Array[]): string {
  let out = ''
  const body = new RelaxedBody((bytes) => (out += latin1(bytes)))
  for (const piece of pieces) body.push(piece)
  body.end()
  return out
}

/** RFC 6376 section 3.4.4 word for word, the whole body at once. */
function slowBody(text: string): string {
  const lines = text.split('\r\n').map((line) => line.replaceAll(/[ \t]+/g, ' ').replace(/ $/, ''))
  while (lines.at(-1) === '') lines.pop()
  return lines.map((line) => `${line}\r\n`).join('')
}

describe('the relaxed header', () => {
  it('is that of the example of RFC 6376 section 3.4.5', () => {
    assert.equal(relaxedHeader('A: X\r\nB : Y\t\r\n\tZ  \r\n'), 'a:X\r\nb:Y Z\r\n')
  })

  for (const [text, expected] of [
    ['SUBJect: AbC\r\n', 'subject:AbC\r\n'],
    ['Subject \t :\t  x  y\t \tz\t\r\n', 'subject:x y z\r\n'],
    ['Subject:\r\n x\r\n\ty\r\n \r\n', 'subject:x y\r\n'],
    ['Subject:x:y : z\r\n', 'subject:x:y : z\r\n'],
    ['Subject:\r\n', 'subject:\r\n'],
    ['Subject: \xe9\xff\x80 \xa0\r\n', 'subject:\xe9\xff\x80 \xa0\r\n'],
    ['Subject: no end', 'subject:no end\r\n'],
    ['Subject: bare\n line\n', 'subject:bare line\r\n'],
    ['Subject: a\rb\0c\r\n', 'subject:a\rb\0c\r\n'],
  ] as const) {
    it(`of ${JSON.stringify(text)} is ${JSON.stringify(expected)}`, () => {
      assert.equal(relaxedHeader(text), expected)
    })
  }

  it('is the same for a field that was canonical already', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const [field] = parseFields(Buffer.concat([bytesOf('X: '), bytes]))
        const once = relaxedField(field!)
        const [again] = parseFields(once)
        assert.equal(latin1(relaxedField(again!)), latin1(once))
      }),
    )
  })
})

describe('the relaxed body', () => {
  it('is that of the example of RFC 6376 section 3.4.5', () => {
    assert.equal(relaxedBody([bytesOf(' C \r\nD \t E\r\n\r\n\r\n')]), ' C\r\nD E\r\n')
  })

  for (const [text, expected] of [
    ['', ''],
    ['\r\n', ''],
    [' \t\r\n\r\n \r\n', ''],
    [' ', ''],
    ['x', 'x\r\n'],
    ['x \t', 'x\r\n'],
    ['\r\n\r\nx\r\n', '\r\n\r\nx\r\n'],
    ['x\r\n \r\n\t\r\ny\r\n\r\n', 'x\r\n\r\n\r\ny\r\n'],
    ['x\ny\n', 'x\ny\n\r\n'],
    ['x \n y', 'x \n y\r\n'],
    ['x\ry', 'x\ry\r\n'],
    ['x \r', 'x \r\r\n'],
    ['\r\r\n', '\r\r\n'],
    ['x \r\r\n', 'x \r\r\n'],
    ['\r \r', '\r \r\r\n'],
    ['\r \r\n', '\r\r\n'],
    ['\0\xff \xa0', '\0\xff \xa0\r\n'],
  ] as const) {
    it(`of ${JSON.stringify(text)} is ${JSON.stringify(expected)}`, () => {
      assert.equal(relaxedBody([bytesOf(text)]), expected)
      const single = Array.from(bytesOf(text), (byte) => Uint8Array.of(byte))
      assert.equal(relaxedBody(single), expected)
    })
  }

  it('is the same however the body is cut into pieces, and what the RFC’s words say', () => {
    fc.assert(
      fc.property(anyBytes, places, (bytes, at) => {
        const expected = slowBody(latin1(bytes))
        assert.equal(relaxedBody([bytes]), expected)
        assert.equal(relaxedBody(cut(bytes, at)), expected)
      }),
      { numRuns: 2000 },
    )
  })

  it('is the same after it was made once', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const once = relaxedBody([bytes])
        assert.equal(relaxedBody([bytesOf(once)]), once)
      }),
    )
  })

  it('is hashed as a stream: a body of 30 MB, and of very many empty lines', async () => {
    const line = bytesOf(`${'The quick brown fox  jumps. '.repeat(3)} \r\n`)
    const block = Buffer.concat(Array.from({ length: 700 }, () => line))
    const blank = bytesOf('\r\n'.repeat(300_000))
    async function* body(): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < 500; count++) yield block
      yield blank
      yield bytesOf('end')
      yield blank
    }
    const expected = createHash('sha256')
    const relaxedBlock = slowBody(latin1(block))
    for (let count = 0; count < 500; count++) expected.update(relaxedBlock)
    expected.update(blank).update('end\r\n')
    assert.equal(Buffer.from(await relaxedBodyHash(body())).toString('hex'), expected.digest('hex'))
  })

  it('of nothing has the hash of nothing, as RFC 6376 section 3.4.4 gives it', async () => {
    const hash = Buffer.from(await relaxedBodyHash([bytesOf('\r\n')])).toString('base64')
    assert.equal(hash, '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')
  })
})

describe('the fields that a list of names stands for', () => {
  const fields = parseFields(bytesOf('A: 1\r\nB: 1\r\nA: 2\r\nno field\r\nA: 3\r\n'))
  const pick = (...names: string[]): string =>
    fieldsSigned(fields, names)
      .map(({ raw }) => latin1(raw).trim())
      .join(', ')

  it('are taken from the last up, RFC 6376 section 5.4.2', () => {
    assert.equal(pick('a', 'a', 'b'), 'A: 3, A: 2, B: 1')
    assert.equal(pick('b', 'a'), 'B: 1, A: 3')
  })

  it('are none where there are no more', () => {
    assert.equal(pick('a', 'a', 'a', 'a', 'c', 'b', 'b'), 'A: 3, A: 2, A: 1, B: 1')
    assert.equal(pick(), '')
  })

  it('are found in no time that grows with the square of their number', () => {
    const many = parseFields(bytesOf('X: 1\r\n'.repeat(300_000)))
    const took = processorTime()
    assert.equal(fieldsSigned(many, ['x', 'x']).length, 2)
    assert.ok(took() < 3_000)
  })
})

interface SignStream {
  write(bytes: Buffer): void
  end(): void
}
type SignStreamClass = new (
  settings: object,
  header: { get_all(name: string): string[] },
  done: (error: Error | null, field: string) => void,
) => SignStream

describe('another implementation of DKIM', () => {
  const require = createRequire(__filename)
  const { DKIMSignStream } = require('haraka-plugin-dkim/lib/dkim.js') as {
    DKIMSignStream: SignStreamClass
  }
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

  /** The value of the DKIM-Signature that it makes of this message. */
  async function theirs(bytes: Uint8Array, names: readonly string[]): Promise<string> {
    const { fields } = await readMessage([bytes])
    const header = {
      get_all: (name: string) =>
        fields
          .filter((field) => field.name === name)
          .map(({ raw }) =>
            Buffer.from(raw)
              .toString('utf8')
              .slice(name.length + 1)
              .trimStart(),
          ),
    }
    return new Promise((resolve, reject) => {
      const settings = {
        selector: 's',
        domain: 'a.example',
        private_key: pem(privateKey),
        headers: names,
        body_canon: 'relaxed',
      }
      const stream = new DKIMSignStream(settings, header, (error, field) =>
        error ? reject(error) : resolve(field),
      )
      stream.write(Buffer.from(bytes))
      stream.end()
    })
  }

  const words = fc
    .array(fc.constantFrom('a', 'Bc', '=', ' ', '  ', '\t', ' \t ', ':', '\u00e9'), {
      maxLength: 12,
    })
    .map((parts) => parts.join(''))
  const lines = fc.array(fc.oneof(words, fc.constant('')), { maxLength: 12 })

  it('hashes the same bodies and signs the same fields', async () => {
    const property = fc.asyncProperty(lines, words, words, async (body, one, other) => {
      // It differs for empty bodies and for a last line without its end, where RFC 6376 section 3.4.4 is with us.
      const text = ['x', ...body, ''].join('\r\n')
      const head = `from: A ${one}\r\n\t x${other}\r\nto: z\r\nsubject: ${other}x\r\n`
      const value = await theirs(Buffer.from(`${head}\r\n${text}`), ['from', 'to', 'subject'])
      const tags = new Map(
        value
          .replaceAll(/\s/g, '')
          .split(';')
          .map((tag) => [tag.slice(0, tag.indexOf('=')), tag.slice(tag.indexOf('=') + 1)]),
      )
      const hash = await relaxedBodyHash([Buffer.from(text)])
      assert.equal(Buffer.from(hash).toString('base64'), tags.get('bh'))
      const verifier = createVerify('RSA-SHA256')
      const fields = parseFields(Buffer.from(head))
      for (const field of fieldsSigned(fields, tags.get('h')!.split(':')))
        verifier.update(relaxedField(field))
      const own = `DKIM-Signature: ${value.slice(0, value.indexOf('b=', value.indexOf('bh=') + 3) + 2)}`
      const [field] = parseFields(Buffer.from(own))
      verifier.update(relaxedField(field!).subarray(0, -2))
      assert.ok(verifier.verify(publicKey, tags.get('b')!, 'base64'), JSON.stringify([head, value]))
    })
    await fc.assert(property, { numRuns: 60 })
  })
})

function pem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}
