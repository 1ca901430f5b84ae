// DNSSEC as the world has it: zones signed by ldns, served by nsd, validated by unbound, asked by us.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createMemoryCache } from '../../lib/cache/memory.ts'
import { systemClock } from '../../lib/clock.ts'
import type { WorkerPool } from '../../lib/crypto/pool.ts'
import { createDohResolver, type DohResolver } from '../../lib/dns/doh.ts'
import { createResolver, type Resolver } from '../../lib/dns/resolver.ts'
import { PermError, TempError } from '../../lib/errors.ts'
import { createDirectory, type Directory } from '../../lib/ibe/directory/directory.ts'
import { createIbe, createIbePool } from '../../lib/ibe/ibe.ts'
import type { IbeJobs } from '../../lib/ibe/jobs.ts'
import { formatParameters } from '../../lib/ibe/parameters.ts'
import { TRUST_SOURCES } from '../../lib/mail/scheme.ts'
import { checkBy } from '../ibe/checks.ts'
import { makeAuthority, type Authority } from '../support/authority.ts'
import { nsdMissing, signZone, startNsd, type Nsd } from '../support/nsd.ts'
import { startUnbound, unboundMissing, type Unbound } from '../support/unbound.ts'

const LABEL = '_ibemailkey'
const SIGNED = ['good', 'empty', 'bogus', 'expired', 'stripped'] as const
const HOST = 'dns.test.example'

describe('DNSSEC by nsd and unbound', { skip: nsdMissing || unboundMissing }, () => {
  let pool: WorkerPool<IbeJobs>
  let record = ''
  let authority: Authority
  let nsd: Nsd
  let unbound: Unbound
  let resolver: Resolver
  let distant: Resolver
  let doh: DohResolver
  let options: Parameters<typeof createDirectory>[0]

  before(async () => {
    pool = createIbePool({ size: 1, queueLimit: 10 })
    const ibe = createIbe({ pool, clock: systemClock })
    const publicKey = await ibe.publicKey(await ibe.generateMasterKey())
    record = formatParameters({ version: '2.0', scheme: 'bf', n: 1, period: 'month', publicKey })
    authority = makeAuthority()
    const { zones, anchor } = makeZones(record)
    nsd = await startNsd(zones)
    unbound = await startUnbound({
      stubs: Object.keys(zones),
      stubPort: nsd.port,
      trustAnchors: [anchor],
      credentials: authority.issue(HOST),
    })
    const way = { timeoutMs: 3000, tries: 2 }
    const server = { address: '127.0.0.1', port: unbound.port }
    resolver = createResolver({ servers: [{ ...server, trusted: true }], ...way })
    // The same one far away: its AD bit may be anybody's.
    distant = createResolver({ servers: [{ ...server, trusted: false }], ...way })
    doh = createDohResolver({
      url: new URL(`https://${HOST}:${unbound.httpsPort}/dns-query`),
      addressesOf: async () => ['127.0.0.1'],
      ca: authority.certificate,
      trusted: true,
      ...way,
    })
    options = {
      resolver,
      cache: createMemoryCache({ clock: systemClock, maxEntries: 100 }),
      store: createMemoryCache({ clock: systemClock, maxEntries: 100 }),
      clock: systemClock,
      ttl: { floorSeconds: 0, ceilingSeconds: 60 },
      check: checkBy(ibe),
      verifyRecord: (request) => ibe.verifyRecord(request),
      log: () => {},
    }
  })
  after(async () => {
    doh?.close()
    await unbound?.close()
    await Promise.all([nsd?.close(), pool?.close()])
    authority?.close()
  })

  /** With nothing remembered and nothing in its cache. */
  const directory = (more: Partial<typeof options> = {}): Directory =>
    createDirectory({
      ...options,
      cache: createMemoryCache({ clock: systemClock, maxEntries: 100 }),
      store: createMemoryCache({ clock: systemClock, maxEntries: 100 }),
      ...more,
    })
  const servfail = (error: unknown): boolean =>
    error instanceof TempError && error.code === 'dns/servfail'

  for (const way of ['DNS', 'DNS over HTTPS'] as const) {
    const ask = (name: string) =>
      (way === 'DNS' ? resolver : doh).resolve(`${LABEL}.${name}.example`, 'TXT')

    it(`${way}: a good signature is authentic`, async () => {
      const answer = await ask('good')
      assert.ok(answer.status === 'found')
      assert.equal(Buffer.concat([...answer.records[0]!]).toString(), record)
      assert.equal(answer.authentic, true)
    })

    it(`${way}: a proof that there is nothing is authentic`, async () => {
      const { status, authentic } = await ask('empty')
      assert.deepEqual({ status, authentic }, { status: 'nxdomain', authentic: true })
    })

    for (const name of ['bogus', 'expired', 'stripped'])
      it(`${way}: a signature that is ${name} is a failure`, () =>
        assert.rejects(ask(name), servfail))

    it(`${way}: a zone that is not signed is found, and not authentic`, async () => {
      const { status, authentic } = await ask('insecure')
      assert.deepEqual({ status, authentic }, { status: 'found', authentic: false })
    })
  }

  it('the AD bit of a resolver that is not trusted counts for nothing', async () => {
    const { status, authentic } = await distant.resolve(`${LABEL}.good.example`, 'TXT')
    assert.deepEqual({ status, authentic }, { status: 'found', authentic: false })
  })

  it('parameters are told apart by where they come from', async () => {
    const source = async (name: string, from: Directory): Promise<string | undefined> =>
      (await from.encryptionParameters(`${name}.example`, TRUST_SOURCES))?.source
    assert.equal(await source('good', directory()), 'dnssec')
    assert.equal(await source('insecure', directory()), 'continuity')
    assert.equal(await source('empty', directory()), undefined)
    assert.equal(await source('good', directory({ resolver: distant })), 'continuity')
    assert.equal(await source('good', directory({ resolver: distant, doh })), 'dnssec')
    assert.equal(await source('insecure', directory({ doh })), 'doh')
    for (const name of ['bogus', 'expired', 'stripped'])
      await assert.rejects(source(name, directory()), servfail)
  })

  it('a domain that was remembered is not lost by a signature that does not hold', async () => {
    const store = createMemoryCache({ clock: systemClock, maxEntries: 100 })
    const before = directory({ store })
    await before.accept('bogus.example', [record])
    await assert.rejects(before.encryptionParameters('bogus.example', TRUST_SOURCES), servfail)
    assert.deepEqual(await before.remembered('bogus.example'), [record])
  })

  it('where only DNSSEC will do, a zone that is not signed has nothing that can be used', async () => {
    const strict = directory()
    const found = await strict.encryptionParameters('good.example', ['dnssec'])
    assert.equal(found?.source, 'dnssec')
    await assert.rejects(
      strict.encryptionParameters('insecure.example', ['dnssec']),
      (error: unknown) => error instanceof PermError && error.code === 'ibe/parameters',
    )
  })
})

/** A parent, and below it zones that are well, and zones that are not. */
function makeZones(record: string): {
  readonly zones: Readonly<Record<string, string>>
  readonly anchor: string
} {
  const txt = `${LABEL} TXT ${(record.match(/.{1,200}/g) ?? []).map((part) => `"${part}"`).join(' ')}`
  const plain = Object.fromEntries(
    [...SIGNED, 'insecure'].map((name) => [
      name,
      zoneText(`${name}.example`, name === 'empty' ? [] : [txt]),
    ]),
  )
  const signed = Object.fromEntries(
    SIGNED.map((name) => {
      const validity = { from: '20200101000000', until: '20200201000000' }
      const past = name === 'expired' ? validity : undefined
      return [name, signZone(`${name}.example`, plain[name]!, past)]
    }),
  )
  const delegations = [...SIGNED, 'insecure'].map((name) => `${name} NS ns.example.`)
  const parent = signZone(
    'example',
    zoneText('example', [...delegations, ...Object.values(signed).map(({ ds }) => ds)]),
  )
  const forged = signed['bogus']!.text.replace('n=1;', 'n=2;')
  assert.notEqual(forged, signed['bogus']!.text)
  return {
    anchor: parent.ds,
    zones: {
      example: parent.text,
      'good.example': signed['good']!.text,
      'empty.example': signed['empty']!.text,
      'bogus.example': forged,
      'expired.example': signed['expired']!.text,
      'stripped.example': plain['stripped']!,
      'insecure.example': plain['insecure']!,
    },
  }
}

function zoneText(name: string, lines: readonly string[]): string {
  const head = [
    `$ORIGIN ${name}.`,
    '$TTL 300',
    '@ SOA ns.example. hostmaster.example. 1 3600 600 86400 60',
    '@ NS ns.example.',
    ...(name === 'example' ? ['ns A 127.0.0.1'] : []),
  ]
  return `${[...head, ...lines].join('\n')}\n`
}
