// Our own MTA-STS policies: real DNS, a real mail server, a store on the disk.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { createFileCache } from '../../lib/cache/file.ts'
import { systemClock } from '../../lib/clock.ts'
import { createResolver } from '../../lib/dns/resolver.ts'
import { parseRecords } from '../../lib/mta-sts/record.ts'
import { parseDomainTable } from '../../lib/protection/domain-table.ts'
import { createHostedPolicies, type HostedPolicies } from '../../lib/services/hosted-policies.ts'
import { makeAuthority, type Authority } from '../support/authority.ts'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { startMta, type SmtpMta } from '../support/smtp-mta.ts'

const DOMAIN = 'a.example'
const HOST = 'mx.a.example'

describe('a policy of our own', () => {
  let authority: Authority
  let dns: DnsServer
  let mta: SmtpMta
  let folder = ''
  let entry = ''
  let log: string[] = []
  const opened: HostedPolicies[] = []

  before(async () => {
    authority = makeAuthority()
    dns = await startDnsServer({ [DOMAIN]: { MX: [`10 ${HOST}`] }, [HOST]: { A: ['127.0.0.1'] } })
    mta = await startMta()
  })
  after(async () => {
    authority.close()
    await Promise.all([dns.close(), mta.close()])
  })
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hisho-hosted-'))
    entry = `{ mode: enforce, mx: [${HOST}] }`
    log = []
    mta.conduct = { credentials: authority.issue(HOST) }
  })
  afterEach(() => {
    for (const one of opened.splice(0)) one.close()
    rmSync(folder, { recursive: true, force: true })
  })

  function open(): HostedPolicies {
    const policies = createHostedPolicies({
      table: {
        current: () =>
          parseDomainTable(`local: [${DOMAIN}]\nmta_sts: { ${DOMAIN}: ${entry} }\n`, 'table', []),
      },
      resolver: createResolver({
        servers: [{ address: dns.address, port: dns.port, trusted: true }],
        timeoutMs: 500,
        tries: 3,
      }),
      store: createFileCache({ directory: folder, clock: systemClock, onDamage: 'fail' }),
      settings: { port: mta.port, ca: authority.certificate, requireTls: true },
      clock: systemClock,
      log: (level, text) => log.push(`${level} ${text}`),
    })
    opened.push(policies)
    return policies
  }

  it('is served as testing until our MX hosts were seen to satisfy it, and as enforce from then on', async () => {
    const policies = open()
    const before = await policies.served(DOMAIN)
    assert.equal(before?.policy.mode, 'testing')
    assert.equal(before.isHeldBack, true)
    assert.deepEqual(await policies.check(DOMAIN), [])
    const served = await policies.served(DOMAIN)
    assert.equal(served?.policy.mode, 'enforce')
    assert.equal(served.isHeldBack, false)
    assert.match(
      served.text,
      /^version: STSv1\r\nmode: enforce\r\nmx: mx\.a\.example\r\nmax_age: 1209600\r\n$/,
    )
    // Another process, and this one after a restart.
    assert.equal((await open().served(DOMAIN))?.policy.mode, 'enforce')
  })

  it('has an id that follows from its content, and a record that others can read', async () => {
    entry = `{ mode: testing, mx: [${HOST}] }`
    const first = await open().served(DOMAIN)
    const again = await open().served(DOMAIN)
    entry = `{ mode: testing, mx: [${HOST}], max_age: 86400 }`
    const changed = await open().served(DOMAIN)
    assert.equal(first?.id, again?.id)
    assert.notEqual(first?.id, changed?.id)
    const texts = [[new TextEncoder().encode(first?.record)]]
    assert.deepEqual(parseRecords(texts), { status: 'found', id: first?.id })
  })

  it('has to be accepted again when it changes', async () => {
    assert.deepEqual(await open().check(DOMAIN), [])
    entry = `{ mode: enforce, mx: [${HOST}], max_age: 86400 }`
    assert.equal((await open().served(DOMAIN))?.policy.mode, 'testing')
  })

  const troubles: readonly [string, () => void, RegExp][] = [
    [
      'an MX host that it does not name',
      () => (entry = '{ mode: enforce, mx: [other.a.example] }'),
      /mx\.a\.example: the policy does not name it/,
    ],
    [
      'a server without STARTTLS',
      () => (mta.conduct = { startTls: 'missing' }),
      /\[127\.0\.0\.1\]: it does not offer STARTTLS/,
    ],
    [
      'a certificate for another name',
      () => (mta.conduct = { credentials: authority.issue('other.a.example') }),
      /its certificate is not for mx\.a\.example/,
    ],
    [
      'a certificate that is out of date',
      () => (mta.conduct = { credentials: authority.issue(HOST, { days: -1 }) }),
      /out of date/,
    ],
    [
      'a greeting that refuses',
      () => (mta.conduct = { greeting: '554 no' }),
      /\[127\.0\.0\.1\]: it greets with 554/,
    ],
  ]
  for (const [what, arrange, reason] of troubles)
    it(`is not enforced with ${what}, and the reason is told`, async () => {
      arrange()
      const policies = open()
      const problems = await policies.check(DOMAIN)
      assert.match(problems.join('\n'), reason)
      assert.equal((await policies.served(DOMAIN))?.policy.mode, 'testing')
    })

  it('is checked by itself, and the log says what stands against it', async () => {
    mta.conduct = { startTls: 'missing' }
    open().start()
    await until(() => log.length > 0)
    assert.match(log[0] ?? '', /^error the MTA-STS policy of a\.example is served as "testing"/)
    mta.conduct = { credentials: authority.issue(HOST) }
    const policies = open()
    policies.start()
    await until(() => log.length > 1)
    assert.equal(log[1], 'notice the MTA-STS policy of a.example is enforced now')
    assert.equal((await policies.served(DOMAIN))?.policy.mode, 'enforce')
  })

  it('is none for a domain that has none', async () => {
    assert.equal(await open().served('b.example'), undefined)
  })
})

async function until(isDone: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (isDone()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error('it did not come')
}
