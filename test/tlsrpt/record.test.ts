// `_smtp._tls`: who wants reports, and where.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { TempError } from '../../lib/errors.ts'
import { formatDestination, lookUpRecord, parseRecord } from '../../lib/tlsrpt/record.ts'
import { readVectors } from '../support/vectors.ts'

interface Case {
  readonly name: string
  readonly records: readonly (readonly string[])[]
  readonly expect: readonly string[] | string
}

const bytes = (records: Case['records']): Buffer[][] =>
  records.map((strings) => strings.map((text) => Buffer.from(text, 'latin1')))

describe('the record of a domain', () => {
  for (const { name, records, expect } of readVectors<{ readonly cases: readonly Case[] }>(
    'tlsrpt-records',
  ).cases)
    it(name, () => {
      const found = parseRecord(bytes(records))
      if (found.status === 'found')
        assert.deepEqual(found.destinations.map(formatDestination), expect)
      else assert.ok(typeof expect === 'string' && found.reason.includes(expect), found.reason)
    })

  it('is read whatever it is', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        const text = `v=TLSRPTv1;${words.join(';')}`
        const found = parseRecord(bytes([[text], words]))
        assert.ok(found.status === 'none' || found.destinations.length > 0)
      }),
    )
    fc.assert(
      fc.property(fc.string(), (rua) => {
        const found = parseRecord(bytes([[`v=TLSRPTv1;rua=mailto:${rua},https://${rua}`]]))
        for (const to of found.status === 'found' ? found.destinations : [])
          assert.match(formatDestination(to), /^(?:mailto:[!-~]+@[!-~]+|https:\/\/[!-~]+)$/)
      }),
    )
  })

  it('is looked up under _smtp._tls; a failure is no answer, and a name that is none wants nothing', async () => {
    const asked: string[] = []
    const resolver = {
      resolve: async (name: string) => {
        asked.push(name)
        throw new TempError('dns/servfail', 'not now')
      },
    }
    await assert.rejects(lookUpRecord(resolver, 'b.example'), TempError)
    assert.deepEqual(asked, ['_smtp._tls.b.example'])
  })
})
