import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { formatQuery, parseResponse, type Query } from '../../lib/dns/message.ts'
import type { RecordType } from '../../lib/dns/records.ts'
import { startDnsServer } from '../support/dns-server.ts'

const TYPES = [
  'A',
  'AAAA',
  'CNAME',
  'MX',
  'OPENPGPKEY',
  'SMIMEA',
  'TLSA',
  'TXT',
] as const satisfies RecordType[]

interface Exchange {
  readonly query: Query
  readonly response: Uint8Array
}

/** What a server really answers for each type, and for a name that is not there. */
async function exchanges(t: TestContext): Promise<Exchange[]> {
  const server = await startDnsServer({
    'b.example': {
      A: ['192.0.2.1'],
      AAAA: ['2001:db8::1'],
      MX: ['10 mx.b.example'],
      OPENPGPKEY: [Uint8Array.of(0x99, 1, 2)],
      SMIMEA: ['3 0 0 3003020105'],
      TLSA: [`3 1 1 ${'ab'.repeat(32)}`],
      TXT: ['one', ['t', 'wo']],
    },
    'a.example': { CNAME: 'b.example' },
  })
  const socket = createSocket('udp4')
  t.after(() => socket.close())
  t.after(() => server.close())
  const results: Exchange[] = []
  for (const name of ['a.example', 'b.example', 'c.example']) {
    for (const type of TYPES) {
      for (const edns of [true, false]) {
        const query: Query = { id: 0xabcd, name, type, edns }
        socket.send(formatQuery(query), server.port, server.address)
        const [response] = await once(socket, 'message')
        assert.ok(response instanceof Uint8Array)
        results.push({ query, response })
      }
    }
  }
  return results
}

describe('a response', () => {
  it('is read when it is whole, and in no part of it is there an answer', async (t) => {
    for (const { query, response } of await exchanges(t)) {
      assert.equal(typeof parseResponse(response, query), 'object')
      for (let end = 0; end < response.length; end += 1) {
        const part = parseResponse(response.subarray(0, end), query)
        assert.ok(part === 'broken' || part === 'stray', `${query.type} cut at ${end}`)
      }
    }
  })

  it('is of no other query', async (t) => {
    for (const { query, response } of await exchanges(t)) {
      const others: Query[] = [
        { ...query, id: 0xabce },
        { ...query, name: 'other.example' },
        { ...query, type: query.type === 'A' ? 'TXT' : 'A' },
      ]
      for (const other of others) assert.equal(parseResponse(response, other), 'stray')
    }
  })

  it('never makes the reader throw, whatever bytes are changed or added', async (t) => {
    const all = await exchanges(t)
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 8 })
    fc.assert(
      fc.property(fc.nat(), changes, fc.uint8Array({ maxLength: 20 }), (index, places, tail) => {
        const { query, response } = all[index % all.length]!
        const bytes = Uint8Array.from([...response, ...tail])
        for (const [at, value] of places) bytes[at % bytes.length] = value
        parseResponse(bytes, query)
      }),
      { numRuns: 3000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        parseResponse(bytes, { id: 0, name: 'b.example', type: 'TXT', edns: true })
      }),
    )
  })
})
