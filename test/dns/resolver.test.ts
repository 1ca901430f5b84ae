import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import type { RecordType } from '../../lib/dns/records.ts'
import { createResolver, type Resolver, type ResolverOptions } from '../../lib/dns/resolver.ts'
import { parseServer } from '../../lib/dns/servers.ts'
import { PermError, TempError, type ErrorCode } from '../../lib/errors.ts'
import { startDnsServer, type DnsServer, type Zone } from '../support/dns-server.ts'

interface World {
  readonly resolver: Resolver
  readonly server: DnsServer
}

async function world(
  t: TestContext,
  zone: Zone,
  options: Partial<ResolverOptions> & { address?: string } = {},
): Promise<World> {
  const { address = '127.0.0.1', ...rest } = options
  const server = await startDnsServer(zone, { address })
  t.after(() => server.close())
  const servers = [{ address, port: server.port, trusted: true }]
  return { server, resolver: createResolver({ servers, timeoutMs: 2000, tries: 1, ...rest }) }
}

const temporary =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    error instanceof TempError && error.code === code

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const PARAMETERS = '_ibemailkey.b.example'

describe('a record that is there', () => {
  it('comes with its strings, its TTL and the AD bit', async (t) => {
    const { resolver } = await world(t, {
      [PARAMETERS]: { TXT: ['ver=2.0; curve=BLS12-381'], ttl: 77, authentic: true },
    })
    assert.deepEqual(await resolver.resolve(PARAMETERS, 'TXT'), {
      status: 'found',
      records: [[bytes('ver=2.0; curve=BLS12-381')]],
      ttlSeconds: 77,
      authentic: true,
      canonicalName: PARAMETERS,
    })
  })

  it('is read whatever its type', async (t) => {
    const { resolver } = await world(t, {
      'b.example': {
        A: ['192.0.2.1', '192.0.2.2'],
        AAAA: ['2001:db8::1'],
        MX: ['10 mx.b.example', '20 MX2.b.example'],
        TLSA: ['3 1 1 00ff', '2 0 2 aabb'],
        TXT: ['one', ['t', 'wo', Uint8Array.of(0xff)], ''],
      },
      'null.example': { MX: ['0 .'] },
      'alias.example': { CNAME: 'b.example' },
    })
    const records = async (name: string, type: RecordType): Promise<unknown> => {
      const answer = await resolver.resolve(name, type)
      return answer.status === 'found' ? answer.records : answer.status
    }
    assert.deepEqual(await records('b.example', 'A'), ['192.0.2.1', '192.0.2.2'])
    assert.deepEqual(await records('b.example', 'AAAA'), ['2001:db8::1'])
    assert.deepEqual(await records('b.example', 'MX'), [
      { preference: 10, exchange: 'mx.b.example' },
      { preference: 20, exchange: 'MX2.b.example' },
    ])
    assert.deepEqual(await records('b.example', 'TLSA'), [
      { usage: 3, selector: 1, matchingType: 1, certificate: Uint8Array.of(0, 0xff) },
      { usage: 2, selector: 0, matchingType: 2, certificate: Uint8Array.of(0xaa, 0xbb) },
    ])
    assert.deepEqual(await records('b.example', 'TXT'), [
      [bytes('one')],
      [bytes('t'), bytes('wo'), Uint8Array.of(0xff)],
      [bytes('')],
    ])
    assert.deepEqual(await records('null.example', 'MX'), [{ preference: 0, exchange: '.' }])
    assert.deepEqual(await records('alias.example', 'CNAME'), ['b.example'])
  })

  it('is found whatever the case of the name', async (t) => {
    const { resolver } = await world(t, { 'B.Example': { A: ['192.0.2.1'] } })
    assert.equal((await resolver.resolve('b.eXample.', 'A')).status, 'found')
  })

  it('is found over IPv6 as well', async (t) => {
    const zone: Zone = { 'b.example': { TXT: ['x'.repeat(2000)] } }
    const { resolver, server } = await world(t, zone, { address: '::1' })
    assert.equal((await resolver.resolve('b.example', 'TXT')).status, 'found')
    assert.deepEqual(
      server.queries.map(({ protocol }) => protocol),
      ['udp', 'tcp'],
    )
  })

  it('is found anew after the zone has changed', async (t) => {
    const { resolver, server } = await world(t, { 'b.example': { A: ['192.0.2.1'] } })
    server.zone['b.example'] = { A: ['192.0.2.9'], ttl: 5 }
    const answer = await resolver.resolve('b.example', 'A')
    assert.deepEqual(answer.status === 'found' && answer.records, ['192.0.2.9'])
  })

  it('is found when the answer is slow but in time', async (t) => {
    const { resolver } = await world(t, { 'b.example': { A: ['192.0.2.1'], delayMs: 30 } })
    assert.equal((await resolver.resolve('b.example', 'A')).status, 'found')
  })
})

describe('a query', () => {
  it('asks for recursion and the AD bit, and takes 1232 bytes', async (t) => {
    const { resolver, server } = await world(t, {})
    await resolver.resolve('b.example', 'MX')
    const [query] = server.queries
    assert.deepEqual(
      [query?.recursionDesired, query?.authenticData, query?.udpPayloadBytes],
      [true, true, 1232],
    )
  })

  it('has an id and a port that the one before does not foretell', async (t) => {
    const { resolver, server } = await world(t, {})
    for (let i = 0; i < 20; i += 1) await resolver.resolve('b.example', 'A')
    assert.ok(new Set(server.queries.map(({ id }) => id)).size > 15)
    assert.ok(new Set(server.queries.map(({ port }) => port)).size > 10)
  })

  it('takes its id from the randomness it is given', async (t) => {
    const { resolver, server } = await world(t, {}, { randomId: () => 4711 })
    await resolver.resolve('b.example', 'A')
    assert.equal(server.queries[0]?.id, 4711)
  })

  it('is not sent for a name that no DNS can hold', async (t) => {
    const { resolver, server } = await world(t, {})
    for (const name of ['', 'a..b', 'bücher.example', `${'a'.repeat(64)}.example`]) {
      await assert.rejects(resolver.resolve(name, 'TXT'), PermError)
    }
    assert.deepEqual(server.queries, [])
  })
})

describe('a record that is not there', () => {
  it('is told from a name that is not there', async (t) => {
    const { resolver } = await world(t, { 'b.example': { A: ['192.0.2.1'] } })
    assert.equal((await resolver.resolve('b.example', 'TXT')).status, 'nodata')
    assert.equal((await resolver.resolve('nothing.b.example', 'TXT')).status, 'nxdomain')
    assert.equal((await resolver.resolve('example', 'TXT')).status, 'nodata') // a name between
  })

  it('is absent for the lesser of the TTL and the minimum of the SOA', async (t) => {
    const { resolver } = await world(t, {
      'long.example': { soa: { ttl: 3600, minimum: 120 } },
      'short.example': { soa: { ttl: 90, minimum: 7200 } },
      'zero.example': { soa: { ttl: 90, minimum: 0 } },
    })
    const ttl = async (name: string): Promise<number> =>
      (await resolver.resolve(name, 'TXT')).ttlSeconds
    assert.equal(await ttl('long.example'), 120)
    assert.equal(await ttl('sub.long.example'), 120)
    assert.equal(await ttl('short.example'), 90)
    assert.equal(await ttl('zero.example'), 0)
  })

  it('is absent for a minute when there is no SOA', async (t) => {
    const { resolver } = await world(t, { 'b.example': { soa: 'none' } })
    assert.equal((await resolver.resolve('b.example', 'TXT')).ttlSeconds, 60)
    assert.equal((await resolver.resolve('x.b.example', 'TXT')).ttlSeconds, 60)
  })

  it('is authentically absent only with the AD bit', async (t) => {
    const { resolver } = await world(t, { 'signed.example': { authentic: true }, 'b.example': {} })
    const authentic = async (name: string): Promise<boolean> =>
      (await resolver.resolve(name, 'TLSA')).authentic
    assert.equal(await authentic('signed.example'), true)
    assert.equal(await authentic('_25._tcp.signed.example'), true)
    assert.equal(await authentic('_25._tcp.b.example'), false)
  })
})

describe('the AD bit', () => {
  it('counts for nothing when it comes from a server that is not trusted', async (t) => {
    const zone: Zone = { 'b.example': { A: ['192.0.2.1'], authentic: true } }
    const { server } = await world(t, zone)
    const { address, port } = server
    const asking = (trusted: boolean): Resolver =>
      createResolver({ servers: [{ address, port, trusted }] })
    assert.equal((await asking(false).resolve('b.example', 'A')).authentic, false)
    assert.equal((await asking(true).resolve('b.example', 'A')).authentic, true)
    const local = createResolver({ servers: [parseServer(`127.0.0.1:${port}`)] })
    assert.equal((await local.resolve('b.example', 'A')).authentic, true)
  })

  it('must be on each answer of a chain', async (t) => {
    const { resolver } = await world(t, {
      'signed.example': { CNAME: 'b.example', authentic: true, misbehave: 'cname-only' },
      'b.example': { A: ['192.0.2.1'], authentic: false },
      'both.example': { CNAME: 'c.example', authentic: true, misbehave: 'cname-only' },
      'c.example': { A: ['192.0.2.1'], authentic: true },
    })
    assert.equal((await resolver.resolve('signed.example', 'A')).authentic, false)
    assert.equal((await resolver.resolve('both.example', 'A')).authentic, true)
  })
})

describe('an alias', () => {
  const chain = (length: number, misbehave?: 'cname-only'): Zone =>
    Object.fromEntries([
      ...Array.from({ length }, (_, i) => [
        `n${i}.example`,
        { CNAME: `n${i + 1}.example`, ttl: 100 - i, ...(misbehave && { misbehave }) },
      ]),
      [`n${length}.example`, { TXT: ['end'], ttl: 99 }],
    ])

  it('is followed inside one answer, and the least TTL counts', async (t) => {
    const { resolver, server } = await world(t, chain(3))
    const answer = await resolver.resolve('n0.example', 'TXT')
    assert.deepEqual([answer.status, answer.ttlSeconds], ['found', 98])
    assert.equal(server.queries.length, 1)
  })

  it('is followed by further queries, and the least TTL counts', async (t) => {
    const { resolver, server } = await world(t, chain(3, 'cname-only'))
    const answer = await resolver.resolve('n0.example', 'TXT')
    assert.deepEqual([answer.status, answer.ttlSeconds], ['found', 98])
    assert.equal(server.queries.length, 4)
  })

  it('may lead to another seven times and not more', async (t) => {
    for (const misbehave of [undefined, 'cname-only'] as const) {
      const eight = await world(t, chain(8, misbehave))
      assert.equal((await eight.resolver.resolve('n0.example', 'TXT')).status, 'found')
      const nine = await world(t, chain(9, misbehave))
      await assert.rejects(nine.resolver.resolve('n0.example', 'TXT'), temporary('dns/malformed'))
    }
  })

  it('may not lead in circles', async (t) => {
    const { resolver } = await world(t, {
      'a.example': { CNAME: 'B.example' },
      'b.example': { CNAME: 'a.example' },
      'self.example': { CNAME: 'self.example', misbehave: 'cname-only' },
    })
    await assert.rejects(resolver.resolve('a.example', 'TXT'), temporary('dns/malformed'))
    await assert.rejects(resolver.resolve('self.example', 'TXT'), temporary('dns/malformed'))
  })

  it('to a name that we cannot ask for is refused', async (t) => {
    const { resolver } = await world(t, {
      'a.example': { CNAME: 'no spaces.example', misbehave: 'cname-only' },
    })
    await assert.rejects(resolver.resolve('a.example', 'TXT'), temporary('dns/malformed'))
  })

  it('to nothing is as absent as what it leads to', async (t) => {
    const { resolver } = await world(t, {
      'a.example': { CNAME: 'b.example', ttl: 30 },
      'b.example': { A: ['192.0.2.1'] },
      'c.example': { CNAME: 'nothing.example', ttl: 500 },
    })
    const nodata = await resolver.resolve('a.example', 'TXT')
    assert.deepEqual([nodata.status, nodata.ttlSeconds], ['nodata', 30])
    const nxdomain = await resolver.resolve('c.example', 'TXT')
    assert.deepEqual([nxdomain.status, nxdomain.ttlSeconds], ['nxdomain', 60])
  })
})

describe('an answer that does not fit into a datagram', () => {
  it('is fetched over TCP', async (t) => {
    const text = 'x'.repeat(30_000)
    const { resolver, server } = await world(t, { 'b.example': { TXT: [text] } })
    const answer = await resolver.resolve('b.example', 'TXT')
    assert.equal(
      answer.status === 'found' && Buffer.concat(answer.records[0] ?? []).toString(),
      text,
    )
    assert.deepEqual(
      server.queries.map(({ protocol }) => protocol),
      ['udp', 'tcp'],
    )
  })

  it('is fetched over TCP even when it was cut in the midst of a record', async (t) => {
    const zone: Zone = { 'b.example': { TXT: ['whole'], misbehave: 'truncate-within' } }
    const { resolver } = await world(t, zone)
    const answer = await resolver.resolve('b.example', 'TXT')
    assert.deepEqual(answer.status === 'found' && answer.records, [[bytes('whole')]])
  })

  it('is put together from however many pieces', async (t) => {
    const zone: Zone = { 'b.example': { TXT: ['in pieces'], misbehave: 'trickle' } }
    const { resolver } = await world(t, zone)
    const answer = await resolver.resolve('b.example', 'TXT')
    assert.deepEqual(answer.status === 'found' && answer.records, [[bytes('in pieces')]])
  })

  it('is a failure when the connection ends within it, or TCP is truncated too', async (t) => {
    const { resolver } = await world(t, {
      'half.example': { TXT: ['x'], misbehave: 'hang-up' },
      'flood.example': { TXT: ['x'], misbehave: 'flood' },
      'never.example': { TXT: ['x'], misbehave: 'truncate-always' },
      'fine.example': { TXT: ['x'], misbehave: 'truncate' },
    })
    await assert.rejects(resolver.resolve('half.example', 'TXT'), temporary('dns/malformed'))
    await assert.rejects(resolver.resolve('flood.example', 'TXT'), /sent too much/)
    await assert.rejects(resolver.resolve('never.example', 'TXT'), temporary('dns/malformed'))
    assert.equal((await resolver.resolve('fine.example', 'TXT')).status, 'found')
  })
})

describe('a server that fails', () => {
  it('is told by how it fails', async (t) => {
    const zone: Zone = {
      'servfail.example': { misbehave: 'servfail' },
      'refused.example': { misbehave: 'refused' },
      'broken.example': { misbehave: 'broken' },
      'referral.example': { misbehave: 'referral' },
      'drop.example': { misbehave: 'drop' },
    }
    const { resolver } = await world(t, zone, { timeoutMs: 50 })
    await assert.rejects(resolver.resolve('servfail.example', 'A'), temporary('dns/servfail'))
    await assert.rejects(resolver.resolve('refused.example', 'A'), temporary('dns/refused'))
    await assert.rejects(resolver.resolve('broken.example', 'A'), temporary('dns/malformed'))
    await assert.rejects(resolver.resolve('referral.example', 'A'), temporary('dns/servfail'))
    await assert.rejects(resolver.resolve('drop.example', 'A'), temporary('dns/timeout'))
  })

  for (const misbehave of [
    'wrong-id',
    'wrong-question',
    'wrong-type',
    'echo',
    'garbage',
  ] as const) {
    it(`is as good as silent when it answers with ${misbehave}`, async (t) => {
      const zone: Zone = { 'b.example': { A: ['192.0.2.1'], misbehave } }
      const { resolver } = await world(t, zone, { timeoutMs: 50 })
      await assert.rejects(resolver.resolve('b.example', 'A'), temporary('dns/timeout'))
    })
  }

  it('is asked without EDNS when it does not know EDNS', async (t) => {
    const zone: Zone = { 'b.example': { A: ['192.0.2.1'], misbehave: 'no-edns' } }
    const { resolver, server } = await world(t, zone)
    assert.equal((await resolver.resolve('b.example', 'A')).status, 'found')
    assert.deepEqual(
      server.queries.map(({ udpPayloadBytes }) => udpPayloadBytes),
      [1232, undefined],
    )
  })

  it('is asked again when it was silent, and not when it said SERVFAIL', async (t) => {
    const zone: Zone = {
      'drop.example': { A: ['192.0.2.1'], misbehave: 'drop', times: 2 },
      'broken.example': { A: ['192.0.2.1'], misbehave: 'broken', times: 2 },
      'servfail.example': { A: ['192.0.2.1'], misbehave: 'servfail', times: 1 },
    }
    const { resolver, server } = await world(t, zone, { timeoutMs: 100, tries: 3 })
    assert.equal((await resolver.resolve('drop.example', 'A')).status, 'found')
    assert.equal((await resolver.resolve('broken.example', 'A')).status, 'found')
    assert.equal(server.queries.length, 6)
    await assert.rejects(resolver.resolve('servfail.example', 'A'), temporary('dns/servfail'))
    assert.equal(server.queries.length, 7)
  })

  for (const misbehave of [
    'servfail',
    'refused',
    'drop',
    'broken',
    'hang-up',
    'referral',
  ] as const) {
    it(`is passed over for the next one: ${misbehave}`, async (t) => {
      const bad = await startDnsServer({ 'b.example': { A: ['192.0.2.1'], misbehave } })
      t.after(() => bad.close())
      const good = await startDnsServer({ 'b.example': { A: ['192.0.2.2'] } })
      t.after(() => good.close())
      const servers = [bad, good].map(({ port }) => parseServer(`127.0.0.1:${port}`))
      const resolver = createResolver({ servers, timeoutMs: 100, tries: 2 })
      const answer = await resolver.resolve('b.example', 'A')
      assert.deepEqual(answer.status === 'found' && answer.records, ['192.0.2.2'])
    })
  }

  it('is passed over when nothing listens there', async (t) => {
    const gone = await startDnsServer()
    await gone.close()
    const { server } = await world(t, { 'b.example': { A: ['192.0.2.1'] } })
    const servers = [gone, server].map(({ port }) => parseServer(`127.0.0.1:${port}`))
    const resolver = createResolver({ servers, timeoutMs: 5000, tries: 1 })
    assert.equal((await resolver.resolve('b.example', 'A')).status, 'found')
    const alone = createResolver({ servers: servers.slice(0, 1), tries: 1 })
    await assert.rejects(alone.resolve('b.example', 'A'), temporary('dns/timeout'))
  })

  it('is reported with the most telling failure of all servers', async (t) => {
    const silent = await world(t, { 'b.example': { misbehave: 'drop' } })
    const failing = await world(t, { 'b.example': { misbehave: 'servfail' } })
    const servers = [failing, silent].map(({ server }) => parseServer(`127.0.0.1:${server.port}`))
    const resolver = createResolver({ servers, timeoutMs: 50, tries: 1 })
    await assert.rejects(resolver.resolve('b.example', 'A'), temporary('dns/servfail'))
  })

  it('cannot keep a question open for longer than tries, servers and time-out allow', async (t) => {
    const zone: Zone = Object.fromEntries(
      Array.from({ length: 8 }, (_, i) => [
        `n${i}.example`,
        { CNAME: `n${i + 1}.example`, misbehave: 'cname-only', delayMs: 60 } as const,
      ]),
    )
    const { resolver } = await world(t, zone, { timeoutMs: 100, tries: 1 })
    await assert.rejects(resolver.resolve('n0.example', 'A'), temporary('dns/timeout'))
  })

  it('cannot crash us, whatever bytes it sends behind our id and question', async (t) => {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    t.after(() => socket.close())
    let reply: { counts: Uint8Array; flags: number; tail: Uint8Array; keepQuestion: boolean }
    socket.on('message', (query, peer) => {
      const { counts, flags, tail, keepQuestion } = reply
      const header = Buffer.concat([query.subarray(0, 2), Buffer.alloc(10)])
      header.writeUInt16BE(flags, 2)
      header.set(counts, 4)
      // The question without the OPT record after it, which is 11 bytes.
      const question = keepQuestion ? query.subarray(12, -11) : Buffer.alloc(0)
      if (keepQuestion) header.writeUInt16BE(1, 4)
      socket.send(Buffer.concat([header, question, tail]), peer.port, peer.address)
    })
    const servers = [parseServer(`127.0.0.1:${socket.address().port}`)]
    const resolver = createResolver({ servers, timeoutMs: 15, tries: 1 })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(0, 1, 2), { minLength: 8, maxLength: 8 }),
        fc.constantFrom(0x8180, 0x81a0, 0x8183, 0x8582),
        fc.uint8Array({ maxLength: 60 }),
        fc.boolean(),
        fc.constantFrom<RecordType>('A', 'AAAA', 'TXT', 'MX', 'TLSA', 'CNAME'),
        async (counts, flags, tail, keepQuestion, type) => {
          const small = counts.map((count, i) => (i % 2 === 0 ? 0 : count))
          reply = { counts: Uint8Array.from(small), flags, tail, keepQuestion }
          try {
            const answer = await resolver.resolve('b.example', type)
            assert.ok(['found', 'nodata', 'nxdomain'].includes(answer.status))
          } catch (error) {
            assert.ok(error instanceof TempError, String(error))
          }
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('an abort', () => {
  it('ends the question with its reason, before it or while it waits', async (t) => {
    const zone: Zone = { 'b.example': { misbehave: 'drop' }, 'c.example': { delayMs: 1500 } }
    const { resolver, server } = await world(t, zone, { timeoutMs: 60_000, tries: 5 })
    const reason = new Error('the client hung up')
    await assert.rejects(
      resolver.resolve('b.example', 'A', AbortSignal.abort(reason)),
      (error) => error === reason,
    )
    assert.equal(server.queries.length, 0)
    for (const name of ['b.example', 'c.example']) {
      const controller = new AbortController()
      const answer = resolver.resolve(name, 'A', controller.signal)
      controller.abort(reason)
      await assert.rejects(answer, (error) => error === reason)
    }
  })
})

describe('a resolver', () => {
  it('needs a server', () => {
    assert.throws(() => createResolver({ servers: [] }), PermError)
  })

  it('asks many questions at once', async (t) => {
    const zone: Zone = Object.fromEntries(
      Array.from({ length: 200 }, (_, i) => [`n${i}.example`, { TXT: [`number ${i}`] }]),
    )
    const { resolver } = await world(t, zone)
    const answers = await Promise.all(
      Object.keys(zone).map((name) => resolver.resolve(name, 'TXT')),
    )
    for (const [i, answer] of answers.entries()) {
      assert.deepEqual(answer.status === 'found' && answer.records, [[bytes(`number ${i}`)]])
    }
  })
})
