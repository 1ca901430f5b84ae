import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import fc from 'fast-check'
import { checkDane } from '../../lib/dane/check.ts'
import type { DaneCheck } from '../../lib/dane/outcome.ts'
import { usableRecords } from '../../lib/dane/usable.ts'
import type { TlsaRecord } from '../../lib/dns/records.ts'
import { AUTHORITY, certify, type Certified } from '../support/certificates.ts'
import { HOST, NEXT_HOP, makeDaneCases, makeMaze, record } from '../support/dane-cases.ts'
import { processorTime } from '../support/processor-time.ts'

const YEARS_MS = 365 * 86_400_000

function check(
  chain: readonly Uint8Array[],
  records: readonly TlsaRecord[],
  nowMs = Date.now(),
): DaneCheck {
  const usable = usableRecords(records)
  return checkDane(
    { status: 'usable', baseDomain: HOST, usable, records },
    { chain, names: [HOST, NEXT_HOP], nowMs },
  )
}

const word = (found: DaneCheck): string => (found.status === 'match' ? 'match' : found.resultType)

const ders = (chain: readonly Certified[]): Uint8Array[] => chain.map(({ der }) => der)

describe('a chain of certificates and what DNS says of it', () => {
  for (const { title, chain, records, expect } of makeDaneCases())
    it(title, () => {
      const found = check(ders(chain), records)
      assert.equal(word(found), expect, found.status === 'mismatch' ? found.reason : '')
    })

  it('D21: dates are those of the clock that is given', () => {
    const root = certify('/CN=root', { extensions: AUTHORITY })
    const leaf = certify('/CN=x', { issuer: root, extensions: [`subjectAltName=DNS:${HOST}`] })
    const at = (nowMs: number): string =>
      word(check(ders([leaf, root]), [record('2 0 1', root)], nowMs))
    assert.equal(at(Date.now()), 'match')
    assert.equal(at(Date.now() - YEARS_MS), 'certificate-expired')
    assert.equal(at(Date.now() + 20 * YEARS_MS), 'certificate-expired')
  })

  it('says which record it was', () => {
    const leaf = certify('/CN=x')
    const good = record('3 1 1', leaf)
    assert.deepEqual(check([leaf.der], [record('3 1 1', certify('/CN=y')), good]), {
      status: 'match',
      record: good,
    })
  })
})

describe('a chain that is meant to hurt', () => {
  let root: Certified
  let leaf: Certified
  before(() => {
    root = certify('/CN=root', { extensions: AUTHORITY })
    leaf = certify('/CN=x', { issuer: root, extensions: [`subjectAltName=DNS:${HOST}`] })
  })

  it('D21: more paths than can be walked end soon', () => {
    const maze = makeMaze()
    const took = processorTime()
    const found = check(ders(maze), [record('2 1 1', root), record('2 1 0', root)])
    assert.equal(word(found), 'tlsa-invalid')
    assert.ok(took() < 2000)
  })

  it('D21: of a thousand certificates the first few are looked at', () => {
    const many = Array.from({ length: 1000 }, () => root.der)
    assert.equal(word(check([leaf.der, ...many], [record('2 1 1', root)])), 'match')
  })

  it('without any certificate there is nothing to match', () => {
    assert.equal(word(check([], [record('3 1 1', leaf)])), 'validation-failure')
  })

  it('what cannot be read is a failure, and no exception', () => {
    const records = [record('3 1 1', leaf), record('2 1 1', root), record('2 0 0', root)]
    for (const own of [Uint8Array.of(), Uint8Array.of(0x30, 0x80), leaf.der.subarray(0, 100)])
      assert.equal(word(check([own, root.der], records)), 'validation-failure')
    assert.equal(
      word(check([Buffer.from(leaf.certificate), root.der], records)),
      'validation-failure',
    )
  })

  it('certificates above the first that cannot be read are padding', () => {
    const chain = [leaf.der, Uint8Array.of(1, 2, 3), root.der.subarray(1), root.der]
    assert.equal(word(check(chain, [record('2 0 1', root)])), 'match')
  })

  it('one bit that is changed never matches, and never throws', () => {
    const flipped = (der: Uint8Array, at: number): Uint8Array => {
      const changed = Uint8Array.from(der)
      changed[at >> 3]! ^= 1 << (at & 7)
      return changed
    }
    const bit = (der: Uint8Array): fc.Arbitrary<number> => fc.nat({ max: der.length * 8 - 1 })
    fc.assert(
      fc.property(bit(leaf.der), (at) => {
        const own = flipped(leaf.der, at)
        assert.notEqual(word(check([own, root.der], [record('2 0 1', root)])), 'match')
        assert.notEqual(word(check([own], [record('3 0 1', leaf)])), 'match')
      }),
      { numRuns: 400 },
    )
    fc.assert(
      fc.property(bit(root.der), (at) => {
        const issuer = flipped(root.der, at)
        assert.notEqual(word(check([leaf.der, issuer], [record('2 0 1', root)])), 'match')
      }),
      { numRuns: 200 },
    )
  })

  it('bytes at random are no certificate', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array(), { minLength: 1 }), (chain) => {
        const records = [record('3 1 1', leaf), record('2 1 0', root), record('2 0 0', root)]
        assert.notEqual(word(check(chain, records)), 'match')
      }),
    )
  })
})
