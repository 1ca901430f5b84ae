// Parameters that nobody authenticates, over real DNS: what was seen first holds until the domain proves otherwise.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import type { Cache } from '../../../lib/cache/cache.ts'
import { createFileCache } from '../../../lib/cache/file.ts'
import { createMemoryCache } from '../../../lib/cache/memory.ts'
import { systemClock } from '../../../lib/clock.ts'
import type { WorkerPool } from '../../../lib/crypto/pool.ts'
import type { SecretBytes } from '../../../lib/crypto/secret-bytes.ts'
import { createResolver } from '../../../lib/dns/resolver.ts'
import { PermError, TempError } from '../../../lib/errors.ts'
import {
  createDirectory,
  type Directory,
  type Found,
} from '../../../lib/ibe/directory/directory.ts'
import { createIbe, createIbePool, type Ibe } from '../../../lib/ibe/ibe.ts'
import type { IbeJobs } from '../../../lib/ibe/jobs.ts'
import { formatParameters, type Parameters } from '../../../lib/ibe/parameters.ts'
import { TRUST_SOURCES, type TrustSource } from '../../../lib/mail/scheme.ts'
import { startDnsServer, type DnsServer, type ZoneEntry } from '../../support/dns-server.ts'
import { checkBy } from '../checks.ts'
import { readVectors } from '../../support/vectors.ts'

const DOMAIN = 'b.example'
const NAME = `_ibemailkey.${DOMAIN}`
const PERIOD = 'month'

describe('parameters that nobody authenticates', () => {
  let pool: WorkerPool<IbeJobs>
  let ibe: Ibe
  let masters: SecretBytes[] = []
  let publics: Uint8Array[] = []
  let dns: DnsServer
  let folder = ''
  let cache: Cache
  let directory: Directory
  let nowMs = 0
  let log: string[] = []
  const clock = { nowMs: () => nowMs }

  before(async () => {
    pool = createIbePool({ size: 1, queueLimit: 1000 })
    ibe = createIbe({ pool, clock: systemClock })
    for (let at = 0; at < 4; at++) masters.push(await ibe.generateMasterKey())
    publics = await Promise.all(masters.map((master) => ibe.publicKey(master)))
  })
  after(() => pool.close())
  beforeEach(async () => {
    dns = await startDnsServer()
    folder = mkdtempSync(join(tmpdir(), 'hisho-memory-'))
    nowMs = 1_800_000_000_000
    log = []
    open()
  })
  afterEach(async () => {
    await dns.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** A process that begins: the store is as it was, the cache is empty. */
  function open(
    store: Cache = createFileCache({ directory: folder, clock, onDamage: 'fail' }),
  ): void {
    cache = createMemoryCache({ clock, maxEntries: 100 })
    directory = createDirectory({
      resolver: createResolver({
        servers: [{ address: dns.address, port: dns.port, trusted: true }],
        timeoutMs: 500,
        tries: 3,
      }),
      cache,
      store,
      clock,
      ttl: { floorSeconds: 60, ceilingSeconds: 86_400 },
      check: checkBy(ibe),
      verifyRecord: (request) => ibe.verifyRecord(request),
      log: (level, message) => log.push(`${level} ${message}`),
    })
  }

  interface Wish {
    readonly scheme?: 'bf' | 'cc'
    /** Generations that sign, and whose master key does it. */
    readonly by?: Readonly<Record<number, number>>
    readonly notAfterSeconds?: number
    readonly domain?: string
  }
  async function record(n: number, key: number, wish: Wish = {}): Promise<string> {
    const { scheme = 'bf', by = {}, notAfterSeconds, domain = DOMAIN } = wish
    const base: Parameters = {
      version: '2.0',
      scheme,
      n,
      period: PERIOD,
      publicKey: publics[key]!,
      ...(notAfterSeconds !== undefined && { notAfterSeconds }),
    }
    const signatures = await Promise.all(
      Object.entries(by).map(async ([signer, master]) => ({
        n: Number(signer),
        signature: await ibe.signRecord(masters[master]!, domain, base),
      })),
    )
    return formatParameters(signatures.length > 0 ? { ...base, signatures } : base)
  }
  function publish(TXT: readonly string[], more: Partial<ZoneEntry> = {}): void {
    dns.zone[NAME] = { TXT, ...more }
  }
  /** After all that is in the cache has expired. */
  async function later(
    trust: readonly TrustSource[] = TRUST_SOURCES,
  ): Promise<Found<Parameters<'bf'>> | undefined> {
    nowMs += 86_400_000
    return directory.encryptionParameters(DOMAIN, trust)
  }
  async function assertUses(
    n: number,
    key: number,
    untrusted?: RegExp,
    source: TrustSource = 'continuity',
  ): Promise<void> {
    const found = await later()
    assert.equal(found?.parameters.n, n)
    assert.deepEqual(found.parameters.publicKey, publics[key])
    assert.equal(found.source, source)
    if (untrusted) assert.match(found.untrusted ?? '', untrusted)
    else assert.equal(found.untrusted, undefined)
  }
  const alarms = (): string[] => log.filter((line) => line.startsWith('error'))

  it('are taken at first contact, and remembered by the next process', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    assert.deepEqual(await directory.remembered(DOMAIN), [await record(1, 0)])
    open()
    assert.deepEqual(await directory.remembered(DOMAIN), [await record(1, 0)])
    assert.deepEqual(log, [])
  })

  it('are not replaced by a forged answer, which raises an alarm', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    for (const forged of [
      [await record(1, 3)],
      [await record(2, 3)],
      [await record(1, 0), await record(2, 3)],
      [await record(2, 3, { by: { 1: 3 } })],
    ]) {
      open()
      log = []
      publish(forged)
      await assertUses(1, 0, /which nothing vouches for, where n=1 is remembered/)
      assert.equal(alarms().length, 1)
      assert.match(alarms()[0]!, /^error b\.example: a=bf: .* hisho params accept b\.example$/)
    }
  })

  it('are not lost by a stripped answer', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    for (const stripped of [
      {},
      { [NAME]: { A: ['192.0.2.1'] } },
      { [NAME]: { TXT: ['ver=2.0; a=bf'] } },
    ]) {
      log = []
      delete dns.zone[NAME]
      Object.assign(dns.zone, stripped)
      await assertUses(1, 0, /publishes n=1 no more, and nothing in its place/)
      assert.equal(alarms().length, 1)
    }
  })

  it('do not go back', async () => {
    publish([await record(1, 0), await record(2, 1)])
    await assertUses(2, 1)
    publish([await record(1, 0)])
    await assertUses(2, 1)
    assert.deepEqual(log, [])
    publish([await record(1, 3)])
    await assertUses(2, 1, /n=2 no more/)
    assert.match(log.join('\n'), /warn b\.example: its a=bf n=1 is left alone/)
  })

  it('rotate when the older generation has signed the newer one', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    publish([await record(1, 0), await record(2, 1, { by: { 1: 0 } })])
    await assertUses(2, 1)
    publish([await record(3, 2, { by: { 1: 0, 2: 1 } })])
    await assertUses(3, 2)
    open()
    publish([await record(3, 2)])
    await assertUses(3, 2)
    assert.deepEqual(log, [])
  })

  it('rotate over generations that were never seen', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    publish([await record(3, 2, { by: { 1: 0, 2: 1 } })])
    await assertUses(3, 2)
    assert.deepEqual(log, [])
  })

  it('do not rotate by a signature for another domain', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    publish([await record(2, 1, { by: { 1: 0 }, domain: 'c.example' })])
    await assertUses(1, 0, /n=2/)
  })

  it('are replaced by an answer that is authenticated, and so is their absence', async () => {
    publish([await record(5, 0)])
    await assertUses(5, 0)
    publish([await record(1, 1)], { authentic: true })
    await assertUses(1, 1, undefined, 'dnssec')
    publish([await record(1, 1)])
    await assertUses(1, 1)
    dns.zone[NAME] = { A: ['192.0.2.1'], authentic: true }
    assert.equal(await later(), undefined)
    assert.deepEqual(await directory.remembered(DOMAIN), [])
    publish([await record(1, 2)])
    await assertUses(1, 2)
    assert.deepEqual(log, [])
  })

  it('are what the operator accepts, within a minute', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    publish([await record(1, 1)], { ttl: 3600 })
    await assertUses(1, 0, /n=1/)
    assert.deepEqual(await directory.accept(DOMAIN), [await record(1, 1)])
    const found = await directory.encryptionParameters(DOMAIN, TRUST_SOURCES)
    assert.deepEqual(found?.parameters.publicKey, publics[1])
    assert.equal(found?.untrusted, undefined)

    publish([await record(1, 2)], { ttl: 3600 })
    await assertUses(1, 1, /n=1/)
    const another = createDirectoryLike()
    await another.accept(DOMAIN)
    nowMs += 60_000
    const soon = await directory.encryptionParameters(DOMAIN, TRUST_SOURCES)
    assert.deepEqual(soon?.parameters.publicKey, publics[2])
  })

  /** Another process, such as the command, with the same store. */
  function createDirectoryLike(): Directory {
    const mine = directory
    open()
    const other = directory
    directory = mine
    return other
  }

  it('are what the operator was shown, even if another answer came meanwhile', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    publish([await record(1, 3)])
    assert.deepEqual(await directory.accept(DOMAIN, [await record(1, 1)]), [await record(1, 1)])
    await assertUses(1, 1, /n=1/)
  })

  it('are forgotten when the operator accepts that there are none', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    delete dns.zone[NAME]
    await assertUses(1, 0, /no more/)
    assert.deepEqual(await directory.accept(DOMAIN), [])
    assert.equal(await later(), undefined)
  })

  it('are not accepted if none can be used', async () => {
    publish(['ver=2.0; a=bf'])
    await assert.rejects(directory.accept(DOMAIN), PermError)
  })

  it('are not seen for the first time because their memory is away', async () => {
    const away: Cache = createFileCache({ directory: join(folder, 'file', 'x'), clock })
    writeFileSync(join(folder, 'file'), '')
    const unreachable = (error: unknown): boolean =>
      error instanceof TempError && error.code === 'cache/unreachable'
    open(away)
    publish([await record(1, 0)])
    await assert.rejects(later(), unreachable)
    delete dns.zone[NAME]
    await assert.rejects(later(), unreachable)
    publish([await record(1, 0)], { authentic: true })
    await assertUses(1, 0, undefined, 'dnssec')
    assert.match(log.join('\n'), /^warn b\.example: its parameters are not remembered/)
    open()
    publish([await record(1, 0)])
    await assertUses(1, 0)
  })

  it('are not seen for the first time because their memory is damaged, until they are authenticated or accepted', async () => {
    const damaged = (error: unknown): boolean =>
      error instanceof TempError && error.code === 'cache/malformed'
    const damage = async (value: string | undefined): Promise<void> => {
      const [file] = readdirSync(folder)
      if (value === undefined) return writeFileSync(join(folder, file!), 'rubbish')
      const store = createFileCache({ directory: folder, clock })
      return store.set(`ibe/remembered/${DOMAIN}`, value, 1e9)
    }
    const rubbish = [
      undefined,
      '',
      '[]',
      'null',
      '{"version":2,"records":[]}',
      '{"version":1,"records":["ver=2.0"]}',
      '{"version":1,"records":["x"]}',
      '{"version":1,"records":[1]}',
    ]
    for (const value of rubbish) {
      publish([await record(1, 0)], { authentic: true })
      await assertUses(1, 0, undefined, 'dnssec')
      await damage(value)
      publish([await record(1, 3)])
      await assert.rejects(later(), damaged)
    }
    publish([await record(1, 0)], { authentic: true })
    await assertUses(1, 0, undefined, 'dnssec')
    publish([await record(1, 0)])
    await assertUses(1, 0)
    await damage(undefined)
    await directory.accept(DOMAIN)
    await assertUses(1, 0)
  })

  it('need no memory where only authenticated ones are wanted', async () => {
    publish([await record(1, 0)])
    await assert.rejects(
      later(['dnssec']),
      (error: unknown) =>
        error instanceof PermError &&
        error.code === 'ibe/parameters' &&
        error.message.endsWith('not authenticated (params_trust)'),
    )
    assert.deepEqual(readdirSync(folder), [])
    delete dns.zone[NAME]
    assert.equal(await later(['dnssec']), undefined)
    publish([await record(1, 0)], { authentic: true })
    assert.equal((await later(['dnssec']))?.source, 'dnssec')
    assert.equal((await later(['continuity']))?.source, 'continuity', 'AD is not asked for')
  })

  it('are cached for each trust by itself', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    await assert.rejects(directory.encryptionParameters(DOMAIN, ['dnssec']), PermError)
    assert.equal((await directory.encryptionParameters(DOMAIN, TRUST_SOURCES))?.parameters.n, 1)
  })

  it('are one domain’s, however its name is written', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    publish([await record(1, 3)])
    nowMs += 86_400_000
    const found = await directory.encryptionParameters('B.Example.', TRUST_SOURCES)
    assert.deepEqual(found?.parameters.publicKey, publics[0])
  })

  it('of signatures and encryption do not depend on each other', async () => {
    publish([await record(1, 0)])
    await assertUses(1, 0)
    publish([await record(1, 0), await record(1, 1, { scheme: 'cc' })])
    await assertUses(1, 0)
    assert.deepEqual(await directory.publishedSerials(DOMAIN, TRUST_SOURCES), [1])
    publish([await record(1, 0), await record(1, 3, { scheme: 'cc' })])
    await assertUses(1, 0)
    const signing = await directory.signatureParameters(DOMAIN, 1, TRUST_SOURCES)
    assert.deepEqual(signing?.publicKey, publics[1])
    assert.match(alarms().join(), /a=cc/)
  })

  describe('for signatures', () => {
    const signing = (n: number): Promise<Parameters<'cc'> | undefined> =>
      directory.signatureParameters(DOMAIN, n, TRUST_SOURCES)
    const cc = { scheme: 'cc' } as const

    it('are those of the serial, while they stand there', async () => {
      publish([await record(1, 0, cc), await record(2, 1, cc)])
      assert.deepEqual((await signing(1))?.publicKey, publics[0])
      assert.deepEqual((await signing(2))?.publicKey, publics[1])
      nowMs += 2_000
      assert.equal(await signing(3), undefined)
      publish([await record(2, 1, cc)])
      nowMs += 86_400_000
      assert.equal(await signing(1), undefined, 'a key that was withdrawn signs no more')
      assert.deepEqual(await directory.publishedSerials(DOMAIN, TRUST_SOURCES), [2])
    })

    it('end at their time', async () => {
      const notAfterSeconds = nowMs / 1000 + 10
      publish([await record(1, 0, { ...cc, notAfterSeconds })])
      assert.equal((await signing(1))?.n, 1)
      nowMs += 11_000
      assert.equal(await signing(1), undefined)
      assert.deepEqual(await directory.publishedSerials(DOMAIN, TRUST_SOURCES), [])
    })

    it('are asked for again if the serial is not known, for all that wait by one question', async () => {
      publish([await record(1, 0, cc)], { ttl: 3600 })
      assert.equal((await signing(1))?.n, 1)
      publish([await record(1, 0, cc), await record(2, 1, { ...cc, by: { 1: 0 } })])
      nowMs += 2_000
      const asked = dns.queries.length
      assert.equal((await signing(2))?.n, 2)
      assert.equal(dns.queries.length, asked + 1)
      nowMs += 2_000
      await Promise.all([9, 9, 8, 7, 9].map(async (n) => assert.equal(await signing(n), undefined)))
      assert.equal(dns.queries.length, asked + 2)
    })

    it('are asked for by a question that comes after the message, however late the last one was', async () => {
      publish([await record(1, 0, cc)], { ttl: 3600 })
      assert.equal((await signing(1))?.n, 1)
      publish([await record(1, 0, cc), await record(2, 1, { ...cc, by: { 1: 0 } })])
      assert.equal((await signing(2))?.n, 2)
    })

    it('are broken: that is not none', async () => {
      publish(['ver=2.0; a=cc; c=x'])
      await assert.rejects(signing(1), PermError)
      await assert.rejects(directory.publishedSerials(DOMAIN, TRUST_SOURCES), PermError)
      assert.equal(await later(), undefined, 'of encryption it says nothing')
    })
  })

  describe('of the paper’s scheme', () => {
    const { cases } = readVectors<{ cases: { expect: string; text: string }[] }>('ibe-parameters')
    const paper = cases.find(({ expect }) => expect === 'legacy')!.text
    const legacy = async (): Promise<number | undefined> => {
      nowMs += 86_400_000
      return (await directory.legacyParameters(DOMAIN, TRUST_SOURCES))?.parameters.n
    }

    it('are found where there is nothing newer, and remembered', async () => {
      publish([paper])
      assert.equal(await legacy(), 3)
      assert.equal(await later(), undefined)
      delete dns.zone[NAME]
      assert.equal(await legacy(), 3)
      assert.equal(alarms().length, 1)
    })

    it('are left alone beside a newer record, good or not, there or stripped', async () => {
      publish([paper, await record(1, 0)])
      assert.equal(await legacy(), undefined)
      publish([paper])
      assert.equal(await legacy(), undefined, 'no way back to the older scheme')
      assert.equal((await later())?.parameters.n, 1)
    })

    it('are left alone beside a newer record that is broken', async () => {
      publish([paper, 'ver=2.0; a=bf; n=x'])
      assert.equal(await legacy(), undefined)
      publish([paper, 'ver=2.0'])
      assert.equal(await legacy(), undefined)
      publish([paper, 'ver=2.0; a=cc'])
      assert.equal(await legacy(), 3)
    })
  })
})
