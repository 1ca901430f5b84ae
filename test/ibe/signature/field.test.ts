import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PermError } from '../../../lib/errors.ts'
import {
  formatSignatureField,
  parseSignatureField,
  signedForm,
  type SignatureTags,
} from '../../../lib/ibe/signature/field.ts'
import { parseFields, type Field } from '../../../lib/mail/header.ts'
import { anyBytes, bytesOf, latin1 } from '../../mail/pieces.ts'

const fieldOf = (text: string): Field => parseFields(bytesOf(text))[0]!

const BYTES_96 = Buffer.alloc(96, 1).toString('base64')
const BYTES_32 = Buffer.alloc(32, 2).toString('base64')
const GOOD: Readonly<Record<string, string>> = {
  v: '2',
  a: 'cc-bls12-381',
  c: 'relaxed/relaxed',
  d: 'a.example',
  i: 'alice@a.example',
  n: '1',
  p: '2026-11',
  t: '1795300000',
  x: '1795904800',
  h: 'from:to:subject',
  bh: BYTES_32,
  b: BYTES_96,
}

/** With these tags in place of the good ones; undefined takes one away. */
const written = (changes: Readonly<Record<string, string | undefined>> = {}): Field => {
  const tags = Object.entries({ ...GOOD, ...changes }).filter(([, value]) => value !== undefined)
  return fieldOf(`IBE-Signature: ${tags.map(([tag, value]) => `${tag}=${value}`).join('; ')}\r\n`)
}

const refusal = (field: Field): string => {
  try {
    parseSignatureField(field)
  } catch (error) {
    assert.ok(error instanceof PermError)
    assert.equal(error.code, 'mail/malformed')
    return error.message.replace('IBE-Signature: ', '')
  }
  return 'none'
}

const PARSED: SignatureTags = {
  domain: 'a.example',
  address: 'alice@a.example',
  n: 1,
  period: '2026-11',
  timeSeconds: 1_795_300_000,
  expirySeconds: 1_795_904_800,
  signedFields: ['from', 'to', 'subject'],
  bodyHash: new Uint8Array(32).fill(2),
  signature: new Uint8Array(96).fill(1),
}

describe('the IBE-Signature field', () => {
  it('is read tag by tag', () => {
    assert.deepEqual(parseSignatureField(written()), PARSED)
  })

  it('may be folded and spaced wherever a tag list may, and have tags that nobody knows', () => {
    const text =
      'ibe-signature :v = 2 ;\r\n\ta=cc-bls12-381;c=relaxed/relaxed; d=A.EXAMPLE.;\r\n i=alice@\r\n a.ex=61mple;n=1;' +
      `p=2026-11 ; t=1795300000;x=1795904800; zz=; h = From :\r\n to\r\n :SUBJECT; bh=${BYTES_32.slice(0, 9)}\r\n ` +
      `${BYTES_32.slice(9)};b=\r\n\t${BYTES_96.slice(0, 50)} \t ${BYTES_96.slice(50)} ;\r\n`
    assert.deepEqual(parseSignatureField(fieldOf(text)), PARSED)
  })

  it('has no period where identities have none', () => {
    const { period: _, ...rest } = PARSED
    assert.deepEqual(parseSignatureField(written({ p: undefined })), rest)
  })

  for (const [changes, reason] of [
    [{ v: '1' }, 'v is not 2'],
    [{ v: undefined }, 'v is missing'],
    [{ a: 'rsa-sha256' }, 'a is not cc-bls12-381'],
    [{ c: 'simple/relaxed' }, 'c is not relaxed/relaxed'],
    [{ c: undefined }, 'c is missing'],
    [{ d: 'a_b' }, 'd is no domain'],
    [{ d: '' }, 'd is no domain'],
    [{ d: 'b.example' }, 'i is not of the domain d'],
    [{ i: 'alice@sub.a.example' }, 'i is not of the domain d'],
    [{ i: '@a.example' }, 'i is no address'],
    [{ i: 'al=ZZce@a.example' }, 'i is no address'],
    [{ i: 'al=FFce@a.example' }, 'i is no address'],
    [{ i: 'al=0Dce@a.example' }, 'i is no address'],
    [{ n: '01' }, 'n is not a decimal number of 32 bits'],
    [{ n: '4294967296' }, 'n is not a decimal number of 32 bits'],
    [{ p: '2026-13' }, 'p is no period'],
    [{ p: '' }, 'p is no period'],
    [{ t: '-1' }, 't is not a unix time'],
    [{ t: '1e9' }, 't is not a unix time'],
    [{ t: undefined }, 't is missing'],
    [{ x: undefined }, 'x is missing'],
    [{ x: '1795300000' }, 'x is not after t'],
    [{ x: '1' }, 'x is not after t'],
    [{ x: String(1_795_300_000 + 30 * 86_400 + 1) }, 'x is more than 30 days after t'],
    [{ h: 'to:subject' }, 'h does not hold from'],
    [{ h: 'from:' }, 'h is not a list of field names'],
    [{ h: 'from:a b' }, 'h is not a list of field names'],
    [{ h: '' }, 'h is not a list of field names'],
    [{ bh: BYTES_96 }, 'bh is not 32 bytes'],
    [{ bh: BYTES_32.replace('=', '') }, 'bh is not base64'],
    [{ b: BYTES_32 }, 'b is not 96 bytes'],
    [{ b: '' }, 'b is not 96 bytes'],
    [{ b: BYTES_96.replace('A', '*') }, 'b is not base64'],
    [{ b: undefined }, 'b is missing'],
    [{ b: `${BYTES_96}; b=${BYTES_96}` }, 'b is given twice'],
    [{ b: `${BYTES_96}; secret=1; secret=2` }, 'a tag is given twice'],
    [{ b: `${BYTES_96}; hello` }, 'the field is not a list of tag=value'],
    [{ b: `${BYTES_96}; z=${'x'.repeat(5000)}` }, 'the field is too long'],
  ] as const) {
    it(`is refused with ${JSON.stringify(changes).slice(0, 60)}: ${reason}`, () => {
      assert.equal(refusal(written(changes)), reason)
    })
  }

  it('a lifetime of 30 days is the longest', () => {
    const longest = parseSignatureField(written({ x: String(1_795_300_000 + 30 * 86_400) }))
    assert.equal(longest.expirySeconds - longest.timeSeconds, 2_592_000)
  })

  const local = fc.oneof(
    fc.stringMatching(/^[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}$/),
    fc.constantFrom(
      '"a;b c"',
      '"@"',
      'bücher',
      '日本語',
      'a=3d',
      '"=\\\\\\""',
      'x'.repeat(64),
      'é'.repeat(32),
    ),
  )
  const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
  const domain = fc.constantFrom(
    'a.example',
    `${'a'.repeat(60)}.${'b'.repeat(63)}.xn--bcher-kva.example`,
  )
  const seconds = fc.integer({ min: 0, max: 999_000_000_000 })
  const tags: fc.Arbitrary<SignatureTags> = fc
    .record({
      domain,
      local,
      n: fc.integer({ min: 0, max: 0xffff_ffff }),
      period: fc.constantFrom('2026-11', '2026-W47', '2026-11-22', undefined),
      timeSeconds: seconds,
      lifetime: fc.integer({ min: 1, max: 2_592_000 }),
      signedFields: fc.array(fc.stringMatching(/^[!-9<-@[-~]{1,30}$/), { maxLength: 40 }),
      bodyHash: bytes(32),
      signature: bytes(96),
    })
    .map(({ local, lifetime, period, signedFields, ...rest }) => ({
      ...rest,
      address: `${local}@${rest.domain}`,
      expirySeconds: rest.timeSeconds + lifetime,
      ...(period === undefined ? {} : { period }),
      signedFields: [...signedFields, 'from'],
    }))

  it('is read as it was written, and folded to fewer than 78 columns of ASCII', () => {
    fc.assert(
      fc.property(tags, (written) => {
        const field = formatSignatureField(written)
        assert.deepEqual(parseSignatureField(field), written)
        const text = latin1(field.raw)
        assert.match(text, /^(?:[ -~]+\r\n)+$/)
        assert.equal(parseFields(field.raw).length, 1)
        const lines = text.split('\r\n')
        const word = Math.max(...text.split(/[\s:]/).map((part) => part.length))
        assert.ok(
          lines.every((line) => line.length < Math.max(78, word + 4)),
          text,
        )
      }),
    )
  })

  it('is signed in a form that its signature does not change', () => {
    fc.assert(
      fc.property(tags, (written) => {
        const { signature: _, ...unsigned } = written
        assert.equal(
          latin1(signedForm(formatSignatureField(unsigned))),
          latin1(signedForm(formatSignatureField(written))),
        )
      }),
    )
  })

  it('no other tag is left out of what is signed', () => {
    const form = (text: string): string => latin1(signedForm(fieldOf(`IBE-Signature: ${text}\r\n`)))
    assert.equal(form('v=2; b=AAAA BBBB ; bh=CC; zb=D'), 'ibe-signature:v=2; b=; bh=CC; zb=D')
    assert.equal(form('b = AA;\r\n\tx=1'), 'ibe-signature:b =; x=1')
    assert.equal(form('h=from:b=c; B=AA'), 'ibe-signature:h=from:b=c; B=AA')
    assert.equal(form('v=2; b='), 'ibe-signature:v=2; b=')
  })

  it('of any bytes is a value or a refusal', () => {
    const parts = fc.array(
      fc.oneof(
        fc.constantFrom(...Object.entries(GOOD).map(([tag, value]) => `${tag}=${value};`)),
        fc.constantFrom(';', '=', ' ', '\r\n ', ':', 'b=', 'x=', '\0', '\xff'),
      ),
      { maxLength: 30 },
    )
    const any = fc.oneof(
      anyBytes.map((raw) => latin1(raw)),
      parts.map((all) => all.join('')),
    )
    fc.assert(
      fc.property(any, (text) => {
        for (const field of parseFields(bytesOf(`IBE-Signature: ${text}`))) {
          refusal(field)
          signedForm(field)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('is refused in no time that grows with the square of its length', () => {
    const before = performance.now()
    for (const filler of [' ', '\t ', '=', 'a=;', ';', ': '])
      refusal(fieldOf(`IBE-Signature: v=2; z=${filler.repeat(1_000_000)}x\r\n`))
    assert.ok(performance.now() - before < 5_000)
  })
})
