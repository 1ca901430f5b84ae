import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, it } from 'node:test'
import { formatTlsa } from '../../lib/dane/tlsa.ts'
import { makeAuthority, type Authority, type Credentials } from '../support/authority.ts'
import { derOf } from '../support/certificates.ts'
import { record } from '../support/dane-cases.ts'
import { startMta, type SmtpMta } from '../support/smtp-mta.ts'
import { openReadySite, type Site } from './site.ts'

const HOST = 'mx.b.example'
const LOOPBACK = '127.0.0.1'

function tlsa(spec: string, { certificate, privateKey }: Credentials): string {
  return formatTlsa(record(spec, { certificate, privateKey, der: derOf(certificate) }))
}

let authority: Authority
let good: Credentials
let mta: SmtpMta
let policyHost: Server
let policy = ''
let site: Site

before(async () => {
  authority = makeAuthority()
  good = authority.issue(HOST)
  // The chain as servers send it.
  good = { ...good, certificate: good.certificate + authority.certificate }
  mta = await startMta()
  const { certificate: cert, privateKey: key } = authority.issue('mta-sts.p.example')
  policyHost = createServer({ cert, key }, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' }).end(policy)
  })
  policyHost.listen(0, LOOPBACK)
  await once(policyHost, 'listening')
  site = await openReadySite('a.example')
  site.write('config/ca.pem', authority.certificate)
  const ini = site.read('config/hisho.ini')
  site.write('config/hisho.ini', `${ini}\n[delivery]\nport=${mta.port}\nca_file=ca.pem\n`)
  const { port } = policyHost.address() as AddressInfo
  site.write(
    'config/hisho.mta_sts.ini',
    `[policy_host]\nport=${port}\nca_file=ca.pem\nallow_private=true\n`,
  )
})
after(async () => {
  await Promise.all([site?.close(), mta?.close()])
  policyHost?.close()
  authority?.close()
})
beforeEach(() => {
  mta.conduct = { credentials: good }
  for (const name of Object.keys(site.dns.zone)) delete site.dns.zone[name]
  Object.assign(site.dns.zone, {
    '.': { authentic: true },
    'b.example': { MX: [`10 ${HOST}`], authentic: true },
    [HOST]: { A: [LOOPBACK], authentic: true },
  })
})

const owner = (): string => `_${mta.port}._tcp.${HOST}`
const publish = (...records: string[]): void => {
  site.dns.zone[owner()] = { TLSA: records, authentic: true }
}

describe('hisho tls check', () => {
  const check = (...args: string[]) => site.run(['tls', 'check', 'b.example', ...args])

  it('tells what was promised, what was seen and what comes of it', async () => {
    publish(tlsa('3 1 1', good))
    const { code, text, stderr } = await check()
    assert.equal(code, 0, stderr)
    assert.match(text, /DNSSEC +our resolver validates/)
    assert.match(text, /MTA-STS +no policy/)
    assert.match(text, new RegExp(`${HOST} .*\n +DANE +records at ${HOST}\n +3 1 1 [0-9a-f]{64}\n`))
    assert.match(text, /seen +\[127\.0\.0\.1\]:\d+ TLSv1\.3 TLS_AES/)
    assert.match(text, /CN=mx\.b\.example by CN=[^,]+, 20\d\d-\d\d-\d\d to /)
    assert.match(text, /tlsa +success\n +verdict +mail goes over TLS, and the server proved/)
    assert.deepEqual(mta.deliveries, [])
  })

  it('D29: under DANE the name that is asked for is the base domain, and old TLS will not do', async () => {
    mta.forget()
    site.dns.zone[HOST] = { CNAME: 'target.example', authentic: true }
    site.dns.zone['target.example'] = { A: [LOOPBACK], authentic: true }
    site.dns.zone[`_${mta.port}._tcp.target.example`] = {
      TLSA: [tlsa('3 1 1', good)],
      authentic: true,
    }
    assert.equal((await check()).code, 0)
    assert.deepEqual(
      mta.sessions.map(({ servername }) => servername),
      ['target.example'],
    )
    mta.conduct = { credentials: good, minVersion: 'TLSv1', maxVersion: 'TLSv1.1' }
    const { code, text } = await check('--json')
    assert.equal(code, 75)
    assert.equal(JSON.parse(text).hosts[0].results[0].resultType, 'validation-failure')
  })

  it('says tlsa-invalid, and that mail would wait', async () => {
    publish(tlsa('3 1 1', authority.issue(HOST)))
    const { code, text } = await check('--json')
    assert.equal(code, 75)
    const [host] = JSON.parse(text).hosts
    assert.deepEqual(
      [host.verdict, host.results[0].resultType, host.requirement],
      ['next-host', 'tlsa-invalid', 'dane'],
    )
  })

  it('checks a policy too', async () => {
    policy = `version: STSv1\nmode: enforce\nmx: ${HOST}\nmax_age: 86400\n`
    // A policy is kept: this domain is this test's alone.
    site.dns.zone['p.example'] = { MX: [`10 ${HOST}`] }
    site.dns.zone['_mta-sts.p.example'] = { TXT: ['v=STSv1; id=1;'] }
    site.dns.zone['mta-sts.p.example'] = { A: [LOOPBACK] }
    const checkIt = (...args: string[]) => site.run(['tls', 'check', 'p.example', ...args])
    const first = await checkIt()
    assert.equal(first.code, 0, first.stderr)
    assert.match(first.text, /MTA-STS +enforce, id 1, max_age 86400\n +mx: mx\.b\.example\n/)
    assert.match(first.text, /sts +success/)
    mta.conduct = { credentials: authority.issue('other.example') }
    const { code, text } = await checkIt('--json')
    assert.equal(code, 75)
    const report = JSON.parse(text)
    assert.equal(report.policy.mode, 'enforce')
    assert.equal(report.hosts[0].results[0].resultType, 'certificate-host-mismatch')
    assert.equal(report.hosts[0].certificates[0].names, 'DNS:other.example')
    assert.match((await checkIt()).text, /mail does not go there/)
  })

  it('says that mail would go in clear', async () => {
    site.dns.zone['c.example'] = { MX: [`10 ${HOST}`] }
    mta.conduct = { startTls: 'missing' }
    const { code, text } = await site.run(['tls', 'check', 'c.example'])
    assert.equal(code, 1)
    assert.match(text, /no-policy-found +starttls-not-supported/)
    assert.match(text, /mail goes in clear: it does not offer STARTTLS/)
  })

  it('says that DANE cannot be judged where the resolver does not validate', async () => {
    publish(tlsa('3 1 1', good))
    site.dns.zone['.'] = { authentic: false }
    const { code, text } = await check()
    assert.equal(code, 0)
    assert.match(text, /DNSSEC +our resolver does not validate/)
    assert.match(text, /DANE +none: DANE is off/)
    assert.match(text, /mail goes over TLS to whoever answers/)
  })

  it('tells apart that there is no server, and that nobody can say', async () => {
    site.dns.zone['b.example'] = { MX: ['0 .'] }
    assert.equal((await check()).code, 69)
    site.dns.zone['b.example'] = { misbehave: 'servfail' }
    const { code, stderr } = await check()
    assert.equal(code, 75)
    assert.match(stderr, /dns\/servfail/)
  })

  it('says which host is skipped, and why', async () => {
    site.dns.zone['b.example'] = { MX: [`10 ${HOST}`, '20 mx2.b.example'], authentic: true }
    site.dns.zone['mx2.b.example'] = { misbehave: 'servfail' }
    const { code, text } = await check()
    assert.equal(code, 1)
    assert.match(text, /mx2\.b\.example\n +not used: /)
  })
})

describe('hisho tlsa', () => {
  it('asks the host, and says what to publish and what is published', async () => {
    const wrong = tlsa('3 1 1', authority.issue(HOST))
    publish(tlsa('3 1 1', good), wrong)
    const { code, text, stderr } = await site.run(['tlsa', HOST])
    assert.equal(code, 0, stderr)
    assert.ok(text.includes(`${owner()}. IN TLSA ${tlsa('3 1 1', good)} `))
    const issuer = { ...good, certificate: authority.certificate }
    assert.ok(text.includes(`${owner()}. IN TLSA ${tlsa('2 1 1', issuer)} `))
    assert.ok(text.includes(`  right  ${tlsa('3 1 1', good)}\n  wrong  ${wrong}\n`))
    assert.match(text, /Published now \(signed\)/)
  })

  it('exits with 1 when nothing that is published is right', async () => {
    publish(tlsa('3 1 1', authority.issue(HOST)))
    const { code, text } = await site.run(['tlsa', HOST, '--json'])
    assert.equal(code, 1)
    const { owner: at, records, published, authentic } = JSON.parse(text)
    assert.deepEqual([at, authentic, published[0].matches], [`${owner()}.`, true, false])
    assert.equal(records[0].record, tlsa('3 1 1', good))
  })

  it('reads a file, and needs neither DNS nor the host', async () => {
    site.write('chain.pem', `the chain\n${good.certificate}`)
    const { code, text } = await site.run([
      'tlsa',
      HOST,
      '--cert',
      site.file('chain.pem'),
      '--json',
    ])
    assert.equal(code, 0)
    assert.deepEqual(
      JSON.parse(text).records.map((one: { record: string }) => one.record),
      [tlsa('3 1 1', good), tlsa('2 1 1', { ...good, certificate: authority.certificate })],
    )
    assert.equal(JSON.parse(text).owner, `_25._tcp.${HOST}.`)
  })

  it('proposes no issuer where the name would not do', async () => {
    site.write('chain.pem', authority.issue('other.example').certificate + authority.certificate)
    const args = ['tlsa', HOST, '--cert', site.file('chain.pem'), '--json']
    assert.equal(JSON.parse((await site.run(args)).text).records.length, 1)
  })

  it('says what is wrong with a file, a host and a port', async () => {
    site.write('bad.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    assert.equal((await site.run(['tlsa', HOST, '--cert', site.file('bad.pem')])).code, 65)
    assert.equal((await site.run(['tlsa', HOST, '--cert', site.file('none.pem')])).code, 66)
    assert.equal((await site.run(['tlsa', HOST, '--port', '70000'])).code, 64)
    mta.conduct = { startTls: 'missing' }
    const { code, stderr } = await site.run(['tlsa', HOST])
    assert.equal(code, 69)
    assert.match(stderr, /it does not offer STARTTLS/)
    mta.conduct = { greeting: '554 no' }
    assert.equal((await site.run(['tlsa', HOST])).code, 75)
  })
})
