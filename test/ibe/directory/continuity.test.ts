import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  claimsOf,
  judge,
  type Claim,
  type Judgement,
} from '../../../lib/ibe/directory/continuity.ts'
import type { DomainRecord } from '../../../lib/ibe/directory/records.ts'
import { formatParameters, nameOf, type Parameters } from '../../../lib/ibe/parameters.ts'

const NOW = 1_800_000_000

/** A key is known by a letter; a signature is a hash of signer and record, which is as good as any here. */
function key(letter: string): Uint8Array {
  return Uint8Array.from({ length: 96 }, (_, at) => (at === 0 ? 0x80 : letter.charCodeAt(0)))
}

function signatureBy(signer: string, parameters: Parameters): Uint8Array {
  const text = signer + nameOf(parameters)
  return Uint8Array.from(createHash('sha384').update(text).digest())
}

interface Wish {
  readonly x?: number
  /** `1A`: says that generation 1 signed, and it was key A that did. */
  readonly by?: readonly string[]
}

/** `3B`: n=3 with key B. */
function record(name: string, { x, by = [] }: Wish = {}): DomainRecord {
  const base: Parameters = {
    version: '2.0',
    scheme: 'bf',
    n: Number(name.slice(0, -1)),
    period: 'month',
    publicKey: key(name.slice(-1)),
    ...(x !== undefined && { notAfterSeconds: x }),
  }
  const signatures = by.map((signer) => ({
    n: Number(signer.slice(0, -1)),
    signature: signatureBy(signer.slice(-1), base),
  }))
  const parameters = by.length > 0 ? { ...base, signatures } : base
  return { text: formatParameters(parameters), parameters }
}

function isGood({ parameters, signer, signature }: Claim): boolean {
  const letter = String.fromCharCode(signer.publicKey[1]!)
  return Buffer.from(signatureBy(letter, parameters)).equals(signature)
}

function decide(remembered: readonly DomainRecord[], seen: readonly DomainRecord[]): Judgement {
  return judge(remembered, seen, claimsOf(remembered, seen).filter(isGood), NOW)
}

function nameIn({ parameters }: DomainRecord): string {
  assert.equal(parameters.version, '2.0')
  return `${parameters.n}${String.fromCharCode(parameters.publicKey[1]!)}`
}

const names = (records: readonly DomainRecord[]): string => records.map(nameIn).sort().join(' ')

interface Expected {
  readonly use: string
  readonly remember: string
  readonly untrusted?: RegExp
  readonly ignored?: string
}

function assertDecides(
  remembered: readonly DomainRecord[],
  seen: readonly DomainRecord[],
  { use, remember, untrusted, ignored = '' }: Expected,
): void {
  const judgement = decide(remembered, seen)
  assert.equal(names(judgement.use), use)
  assert.equal(names(judgement.remember), remember)
  assert.equal(names(judgement.ignored), ignored)
  if (untrusted) assert.match(judgement.untrusted ?? '', untrusted)
  else assert.equal(judgement.untrusted, undefined)
}

describe('what is seen first of a domain', () => {
  it('is taken and remembered', () => {
    assertDecides([], [record('1A'), record('2B')], { use: '1A 2B', remember: '1A 2B' })
  })

  it('is nothing: nothing is remembered', () => {
    assertDecides([], [], { use: '', remember: '' })
  })

  it('is over already: it is not remembered', () => {
    assertDecides([], [record('1A', { x: NOW - 1 })], { use: '1A', remember: '' })
  })

  it('contradicts itself in its newest serial: nothing is remembered, and nobody chooses', () => {
    assertDecides([], [record('1A'), record('2B'), record('2C')], { use: '1A 2B 2C', remember: '' })
  })

  it('contradicts itself in an older serial: that one is not remembered', () => {
    const seen = [record('1A'), record('1B'), record('2C')]
    assertDecides([], seen, { use: '1A 1B 2C', remember: '2C' })
  })

  it('needs no signatures', () => {
    assertDecides([], [record('2B', { by: ['1A'] })], { use: '2B', remember: '2B' })
  })
})

describe('a domain that is remembered', () => {
  const one = [record('1A')]
  const two = [record('1A'), record('2B')]

  it('publishes the same', () => {
    assertDecides(two, [record('2B'), record('1A')], { use: '1A 2B', remember: '1A 2B' })
  })

  it('publishes the same, signed', () => {
    assertDecides(one, [record('1A', { by: ['0X'] })], { use: '1A', remember: '1A' })
  })

  it('has withdrawn an older record', () => {
    assertDecides(two, [record('2B')], { use: '2B', remember: '1A 2B' })
  })

  it('seems to be as before its rotation: the newest stays in use, without alarm', () => {
    assertDecides(two, [record('1A')], { use: '1A 2B', remember: '1A 2B' })
  })

  it('has another key under the same serial', () => {
    const untrusted = /another n=1, which nothing vouches for, where n=1 is remembered/
    assertDecides(one, [record('1X')], { use: '1A', remember: '1A', untrusted })
    assertDecides(one, [record('1A'), record('1X')], { use: '1A', remember: '1A', untrusted })
  })

  it('has the same key until a time that nobody vouches for', () => {
    const untrusted = /another n=1/
    const seen = [record('1A', { x: 1 })]
    assertDecides(one, seen, { use: '1A', remember: '1A', untrusted })
  })

  it('has a newer record that nothing vouches for', () => {
    const untrusted = /publishes n=2, which nothing vouches for, where n=1 is remembered/
    const expected = { use: '1A', remember: '1A', untrusted }
    assertDecides(one, [record('2X')], expected)
    assertDecides(one, [record('1A'), record('2X')], expected)
    assertDecides(one, [record('1A'), record('2X', { by: ['1X'] })], expected)
    assertDecides(one, [record('1A'), record('2X', { by: ['0A'] })], expected)
  })

  it('has an older record that nothing vouches for: it is left alone', () => {
    assertDecides(two, [record('1X'), record('2B')], {
      use: '2B',
      remember: '1A 2B',
      ignored: '1X',
    })
  })

  it('publishes nothing any more', () => {
    const untrusted = /publishes n=2 no more/
    assertDecides(two, [], { use: '2B', remember: '1A 2B', untrusted })
    assertDecides(two, [record('1X')], { use: '2B', remember: '1A 2B', untrusted, ignored: '1X' })
  })

  it('has ended as it said it would', () => {
    assertDecides([record('1A', { x: NOW - 1 })], [], { use: '', remember: '1A' })
  })

  it('has ended, and somebody begins anew', () => {
    assertDecides([record('1A', { x: NOW - 1 })], [record('2X')], {
      use: '',
      remember: '1A',
      untrusted: /n=2/,
    })
  })

  it('has a newer record that ends first: the older one stays where it still stands', () => {
    const remembered = [record('1A'), record('2B', { x: NOW - 1 })]
    assertDecides(remembered, [record('2B', { x: NOW - 1 })], { use: '1A 2B', remember: '1A 2B' })
  })
})

describe('a rotation that is signed', () => {
  const one = [record('1A')]

  it('is known for what it is', () => {
    const next = record('2B', { by: ['1A'] })
    assertDecides(one, [record('1A'), next], { use: '1A 2B', remember: '1A 2B' })
    assertDecides(one, [next], { use: '2B', remember: '1A 2B' })
  })

  it('is known over two generations', () => {
    const third = record('3C', { by: ['2B', '1A'] })
    assertDecides(one, [third], { use: '3C', remember: '1A 3C' })
    const chain = [record('3C', { by: ['2B'] }), record('2B', { by: ['1A'] })]
    assertDecides(one, chain, { use: '2B 3C', remember: '1A 2B 3C' })
  })

  it('is not known with a link that is missing', () => {
    const untrusted = /n=3/
    assertDecides(one, [record('1A'), record('3C', { by: ['2B'] })], {
      use: '1A',
      remember: '1A',
      untrusted,
    })
  })

  it('is not vouched for by what does not stand there rightfully itself', () => {
    const chain = [record('3Y', { by: ['2X'] }), record('2X'), record('1A')]
    assertDecides(one, chain, { use: '1A', remember: '1A', untrusted: /n=/ })
  })

  it('is not vouched for by a key that was replaced: it may be the one that leaked', () => {
    const forged = record('3X', { by: ['1A'] })
    assertDecides([record('1A'), record('2B')], [record('2B'), forged], {
      use: '2B',
      remember: '1A 2B',
      untrusted: /n=3/,
    })
  })

  it('does not lead back', () => {
    assertDecides([record('2B')], [record('2B'), record('1X', { by: ['2B'] })], {
      use: '2B',
      remember: '2B',
      ignored: '1X',
    })
  })

  it('a record does not vouch for another form of itself', () => {
    const changed = record('1A', { x: NOW + 5, by: ['1A'] })
    assertDecides(one, [changed], { use: '1A', remember: '1A', untrusted: /another n=1/ })
  })

  it('with two records of one serial is none', () => {
    const seen = [record('2B', { by: ['1A'] }), record('2C', { by: ['1A'] })]
    assertDecides(one, seen, { use: '1A', remember: '1A', untrusted: /n=2/ })
  })

  it('counts beside a forgery, which raises its alarm all the same', () => {
    const seen = [record('2B', { by: ['1A'] }), record('3X')]
    assertDecides(one, seen, { use: '2B', remember: '1A 2B', untrusted: /n=3.* n=2 is remembered/ })
  })

  it('costs no more than so many pairings', () => {
    const flood = Array.from({ length: 60 }, (_, at) =>
      record(`${at + 2}X`, { by: Array.from({ length: 8 }, () => '1X') }),
    )
    assert.equal(claimsOf(one, flood).length, 32)
  })
})

describe('whatever was remembered and is seen', () => {
  const letter = fc.constantFrom('A', 'B', 'C')
  const serial = fc.integer({ min: 0, max: 4 })
  const wish = fc.record(
    {
      x: fc.constantFrom(NOW - 1, NOW + 1),
      by: fc.array(
        fc.tuple(serial, letter).map(([n, l]) => `${n}${l}`),
        { maxLength: 3 },
      ),
    },
    { requiredKeys: [] },
  )
  const records = fc.array(
    fc.tuple(serial, letter, wish).map(([n, l, more]) => record(`${n}${l}`, more)),
    { maxLength: 5 },
  )
  /** What can have come to be remembered. */
  const memory = fc
    .tuple(records, records)
    .map(([first, second]) => decide(decide([], first).remember, second).remember)
  const past = ({ parameters }: DomainRecord): boolean =>
    parameters.version === '2.0' && (parameters.notAfterSeconds ?? Infinity) < NOW
  const newest = (some: readonly DomainRecord[]): number =>
    Math.max(-1, ...some.map(({ parameters }) => parameters.n))
  const has = (some: readonly DomainRecord[], one: DomainRecord): boolean =>
    some.some(({ parameters }) => nameOf(parameters) === nameOf(one.parameters))

  it('nothing is used but what is remembered then', () => {
    fc.assert(
      fc.property(memory, records, (remembered, seen) => {
        fc.pre(remembered.length > 0)
        const { use, remember } = decide(remembered, seen)
        for (const one of use) assert.ok(has(remember, one))
      }),
    )
  })

  it('nothing is added but by a good signature of one that counts, older than it', () => {
    fc.assert(
      fc.property(memory, records, (remembered, seen) => {
        fc.pre(remembered.length > 0)
        const { remember } = decide(remembered, seen)
        for (const one of remember.filter((added) => !has(remembered, added))) {
          const claims = claimsOf(remembered, seen).filter(isGood)
          assert.ok(
            claims.some(
              ({ parameters, signer }) =>
                nameOf(parameters) === nameOf(one.parameters) &&
                signer.n < one.parameters.n &&
                signer.n >= newest(remembered) &&
                has(remember, { text: '', parameters: signer }),
            ),
          )
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('nothing is forgotten, and the newest that may be used does not get older', () => {
    fc.assert(
      fc.property(memory, records, (remembered, seen) => {
        const { use, remember } = decide(remembered, seen)
        for (const one of remembered) assert.ok(has(remember, one))
        const mayBeUsed = (some: readonly DomainRecord[]): DomainRecord[] =>
          some.filter((one) => !past(one))
        assert.ok(newest(mayBeUsed(use)) >= newest(mayBeUsed(remembered)))
      }),
      { numRuns: 1000 },
    )
  })

  it('what nobody vouches for and is as new as what is remembered raises an alarm', () => {
    fc.assert(
      fc.property(memory, records, (remembered, seen) => {
        fc.pre(remembered.length > 0)
        const { remember, untrusted } = decide(remembered, seen)
        const threats = seen.filter(
          (one) => !has(remember, one) && one.parameters.n >= newest(remember),
        )
        if (threats.length > 0) assert.notEqual(untrusted, undefined)
      }),
      { numRuns: 1000 },
    )
  })

  it('the order of records does not matter, and asking again changes nothing', () => {
    fc.assert(
      fc.property(memory, records, (remembered, seen) => {
        const judged = decide(remembered, seen)
        const turned = decide(remembered.toReversed(), seen.toReversed())
        assert.equal(names(turned.use), names(judged.use))
        assert.equal(names(turned.remember), names(judged.remember))
        fc.pre(remembered.length > 0)
        const again = decide(judged.remember, seen)
        assert.equal(names(again.use), names(judged.use))
        assert.equal(names(again.remember), names(judged.remember))
        assert.equal(again.untrusted === undefined, judged.untrusted === undefined)
      }),
      { numRuns: 1000 },
    )
  })
})
