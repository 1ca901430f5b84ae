import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { createResolver } from '../../../lib/dns/resolver.ts'
import { TempError } from '../../../lib/errors.ts'
import type { TextOutcome } from '../../../lib/http/fetch-text.ts'
import { createSources, type Evidence } from '../../../lib/ibe/directory/sources.ts'
import { TRUST_SOURCES, type TrustSource } from '../../../lib/mail/scheme.ts'
import { startDnsServer, type DnsServer, type ZoneEntry } from '../../support/dns-server.ts'

const DOMAIN = 'b.example'
const NAME = `_ibemailkey.${DOMAIN}`

const PLAIN = 'ver=2.0; plain'
const HTTPS = 'ver=2.0; over https'
const FILE = 'ver=2.0; file'

interface Given {
  readonly plain?: ZoneEntry
  /** What the resolver over HTTPS says; absent: there is none. */
  readonly doh?: ZoneEntry
  /** Absent: not enabled. */
  readonly file?: TextOutcome
  readonly trust?: readonly TrustSource[]
}

type Expected =
  | {
      readonly by: TrustSource | 'nobody'
      readonly texts: readonly string[]
      readonly asked?: string
    }
  | { readonly fails: string; readonly asked?: string }

const servfail: ZoneEntry = { misbehave: 'servfail' }
const silent: ZoneEntry = { misbehave: 'drop' }
const plain: ZoneEntry = { TXT: [PLAIN] }
const signed: ZoneEntry = { TXT: [PLAIN], authentic: true }
const signedNothing: ZoneEntry = { A: ['192.0.2.1'], authentic: true }
const nothing: ZoneEntry = { A: ['192.0.2.1'] }
const foreign: ZoneEntry = { TXT: ['v=spf1 -all'] }
const overHttps: ZoneEntry = { TXT: [HTTPS] }
const found: TextOutcome = { status: 'found', text: `# hello\r\n${FILE}\n\n` }
const blank: TextOutcome = { status: 'found', text: 'hello\n' }
const absent: TextOutcome = { status: 'absent' }
const unusable: TextOutcome = { status: 'unusable', failure: 'other', reason: 'status 500' }

describe('who vouches for parameters', () => {
  let near: DnsServer
  let far: DnsServer
  let log: string[] = []

  before(async () => {
    near = await startDnsServer()
    far = await startDnsServer()
  })
  after(() => Promise.all([near.close(), far.close()]))
  beforeEach(() => {
    log = []
  })

  async function ask(given: Given): Promise<{ result: Evidence | TempError; asked: string }> {
    near.zone[NAME] = given.plain ?? {}
    far.zone[NAME] = given.doh ?? {}
    const asked: string[] = []
    const resolverOf = ({ address, port }: DnsServer, who: string) => {
      const servers = [{ address, port, trusted: true }]
      const resolver = createResolver({ servers, timeoutMs: 300, tries: 1 })
      return {
        resolve: (...args: Parameters<typeof resolver.resolve>) => {
          asked.push(who)
          return resolver.resolve(...args)
        },
      } as typeof resolver
    }
    const { file } = given
    const sources = createSources({
      resolver: resolverOf(near, 'plain'),
      ...(given.doh && { doh: resolverOf(far, 'doh') }),
      ...(file && {
        wellKnown: async (domain: string) => {
          assert.equal(domain, DOMAIN)
          asked.push('file')
          return file
        },
      }),
      log: (_level, message) => log.push(message),
    })
    const result = await sources
      .ask(DOMAIN, given.trust ?? TRUST_SOURCES)
      .catch((error: unknown) => {
        if (error instanceof TempError) return error
        throw error
      })
    return { result, asked: asked.join(' ') }
  }

  const cases: readonly (readonly [string, Given, Expected])[] = [
    [
      'an authentic answer settles it, and nobody else is asked',
      { plain: signed, doh: overHttps, file: found },
      { by: 'dnssec', texts: [PLAIN], asked: 'plain' },
    ],
    [
      'an authentic "nothing there" does, too',
      { plain: signedNothing, doh: overHttps, file: found },
      { by: 'dnssec', texts: [], asked: 'plain' },
    ],
    [
      'where DNSSEC is not trusted, an authentic answer is a plain one',
      { plain: signed, trust: ['continuity'] },
      { by: 'nobody', texts: [PLAIN] },
    ],
    [
      'what the resolver over HTTPS finds is it',
      { plain, doh: overHttps, file: found },
      { by: 'doh', texts: [HTTPS], asked: 'plain doh' },
    ],
    [
      'what it finds under DNSSEC is DNSSEC’s',
      { plain, doh: { ...overHttps, authentic: true } },
      { by: 'dnssec', texts: [HTTPS] },
    ],
    [
      'what it finds under DNSSEC counts although it is not trusted by itself',
      { plain, doh: { ...overHttps, authentic: true }, trust: ['dnssec'] },
      { by: 'dnssec', texts: [HTTPS] },
    ],
    [
      'what it finds without DNSSEC does not count then',
      { plain, doh: overHttps, trust: ['dnssec'] },
      { by: 'nobody', texts: [PLAIN] },
    ],
    [
      'it is not asked where it cannot help',
      { plain, doh: overHttps, file: found, trust: ['continuity'] },
      { by: 'nobody', texts: [PLAIN], asked: 'plain' },
    ],
    [
      'where it finds nothing, the file may have something',
      { plain, doh: nothing, file: found },
      { by: 'well_known', texts: ['# hello', FILE], asked: 'plain doh file' },
    ],
    [
      'where both have nothing, that is an answer',
      { plain, doh: nothing, file: absent },
      { by: 'doh', texts: [] },
    ],
    [
      'records of others are nothing',
      { plain, doh: foreign, file: blank },
      { by: 'doh', texts: ['v=spf1 -all'] },
    ],
    [
      'where it finds nothing and the file is of no use, nobody has said anything',
      { plain, doh: nothing, file: unusable },
      { by: 'nobody', texts: [PLAIN] },
    ],
    [
      'where it finds nothing and no file is wanted, that is an answer',
      { plain, doh: nothing, trust: ['doh', 'continuity'] },
      { by: 'doh', texts: [] },
    ],
    [
      'the file is it where there is no resolver over HTTPS',
      { plain, file: found },
      { by: 'well_known', texts: ['# hello', FILE] },
    ],
    [
      'the file is it where plain DNS has nothing',
      { file: found },
      { by: 'well_known', texts: ['# hello', FILE] },
    ],
    [
      'the file is not asked for where it is not trusted',
      { plain, file: found, trust: ['dnssec', 'doh', 'continuity'] },
      { by: 'nobody', texts: [PLAIN], asked: 'plain' },
    ],
    [
      'a file that is absent says nothing',
      { plain, file: absent },
      { by: 'nobody', texts: [PLAIN] },
    ],
    ['a file of no use says nothing', { plain, file: unusable }, { by: 'nobody', texts: [PLAIN] }],
    ['plain DNS alone is nobody’s word', { plain }, { by: 'nobody', texts: [PLAIN] }],
    ['nothing at all is nobody’s word either', {}, { by: 'nobody', texts: [] }],
    [
      'the resolver over HTTPS may answer where plain DNS fails',
      { plain: servfail, doh: overHttps },
      { by: 'doh', texts: [HTTPS] },
    ],
    [
      'so may the file',
      { plain: silent, doh: servfail, file: found },
      { by: 'well_known', texts: ['# hello', FILE] },
    ],
    [
      'where they have nothing, the failure of plain DNS is told',
      { plain: servfail, doh: nothing, file: absent },
      { fails: 'dns/servfail' },
    ],
    ['a failure alone is told', { plain: silent }, { fails: 'dns/timeout' }],
    [
      'where the resolver over HTTPS fails, what is remembered decides',
      { plain, doh: servfail, file: absent },
      { by: 'nobody', texts: [PLAIN] },
    ],
    [
      'where nothing may be remembered, its failure is one',
      { plain, doh: servfail, trust: ['doh'] },
      { fails: 'dns/servfail' },
    ],
    [
      'so is its failure where plain DNS has nothing',
      { doh: servfail, trust: ['dnssec', 'doh'] },
      { fails: 'dns/servfail' },
    ],
  ]
  for (const [title, given, expected] of cases) {
    it(title, async () => {
      const { result, asked } = await ask(given)
      if ('fails' in expected) {
        assert.ok(result instanceof TempError, JSON.stringify(result))
        assert.equal(result.code, expected.fails)
      } else {
        if (result instanceof TempError) throw result
        assert.equal(result.authenticatedBy ?? 'nobody', expected.by)
        assert.deepEqual(result.texts, expected.texts)
      }
      if (expected.asked !== undefined) assert.equal(asked, expected.asked)
      const failing = [given.file?.status === 'unusable', given.doh?.misbehave !== undefined]
      assert.equal(log.length, failing.filter(Boolean).length, log.join('\n'))
    })
  }

  it('an answer is good for its TTL', async () => {
    const ttl = async (given: Given): Promise<number> => {
      const { result } = await ask(given)
      assert.ok(!(result instanceof TempError))
      return result.ttlSeconds
    }
    assert.equal(await ttl({ plain: { ...plain, ttl: 77 } }), 77)
    assert.equal(await ttl({ plain, doh: { ...overHttps, ttl: 78 } }), 78)
    assert.equal(await ttl({ plain: { ...plain, ttl: 79 }, file: found }), 3600)
    assert.equal(await ttl({ plain: { soa: { ttl: 9, minimum: 8 } } }), 8)
  })
})
