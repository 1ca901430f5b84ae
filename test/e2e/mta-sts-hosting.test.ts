// Our own policy from hisho.yaml to another site's delivery: served by hisho/well_known behind a proxy with TLS, promised only
// once our own MX keeps it, learnt and applied by a Haraka with hisho/mta_sts. RFC 8461 sections 3 and 8.3.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { hisho, type Result } from '../cli/site.ts'
import type { Credentials } from '../support/authority.ts'
import { freePort, startHaraka, type Haraka } from '../support/haraka.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'
import { RETRY_FILES, RETRY_PLUGIN, retryUntil } from '../support/retry.ts'
import { startRoguePolicyHost, type RoguePolicyHost } from '../support/rogue-policy-host.ts'
import { startSink, type SmtpSink } from '../support/smtp-sink.ts'

const HOST = 'mx.b.example'

interface Shown {
  readonly id: string
  readonly record: string
  readonly policy: string
  readonly heldBack: boolean
}

describe('a Haraka that publishes a policy, and one that learns it', () => {
  let world: OutboundWorld
  let proxy: RoguePolicyHost
  let mailbox: SmtpSink
  let b: Haraka

  const certificateFiles = ({ certificate, privateKey }: Credentials) => ({
    'config/tls_key.pem': privateKey,
    'config/tls_cert.pem': certificate,
  })
  const run = async (site: Haraka, ...args: string[]): Promise<Result> =>
    hisho(['--haraka', site.directory, ...args])
  const shown = async (): Promise<Shown> => {
    const { code, text, stderr } = await run(b, 'mta-sts', 'show', 'b.example', '--json')
    assert.equal(code, 0, stderr)
    return JSON.parse(text)
  }
  const checked = async (): Promise<{ code: number | null; problems: readonly string[] }> => {
    const { code, text } = await run(b, 'mta-sts', 'check', 'b.example', '--json')
    return { code, problems: JSON.parse(text).problems }
  }
  /** As the operator does with what `show` prints. */
  const publishRecord = async (): Promise<Shown> => {
    const now = await shown()
    world.dns.zone['_mta-sts.b.example'] = { TXT: [now.record], ttl: 0 }
    return now
  }

  before(async () => {
    world = await startOutbound({
      hosts: ['mx.unused.example'],
      plugins: ['auth/flat_file', RETRY_PLUGIN, 'hisho/mta_sts'],
      files: () => RETRY_FILES,
    })
    const { authority, dns, policies, port } = world
    const near = (last: number): string =>
      world.mta('mx.unused.example').address.replace(/\.\d+\.\d+$/, `.7.${last}`)
    const httpPort = await freePort()
    dns.zone['b.example'] = { MX: [`10 ${HOST}`] }
    dns.zone[HOST] = { A: [near(1)], ttl: 0 }
    dns.zone['mta-sts.b.example'] = { A: [near(2)] }
    mailbox = await startSink()
    proxy = await startRoguePolicyHost({
      address: near(2),
      port: policies.port,
      credentials: authority.issue('mta-sts.b.example'),
      answer: (response, { url, method, headers }) => {
        const passed = request({ host: '127.0.0.1', port: httpPort, path: url, method, headers })
        passed.on('response', (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(response)
        })
        passed.on('error', () => response.writeHead(502).end())
        passed.end()
      },
    })
    b = await startHaraka({
      host: near(1),
      port,
      files: {
        'config/me': `${HOST}\n`,
        'config/plugins': ['tls', 'rcpt_to.in_host_list', 'hisho/well_known', 'queue/smtp_forward'],
        'config/host_list': 'b.example\n',
        'config/http.ini': `listen=127.0.0.1:${httpPort}\n`,
        'config/smtp_forward.ini': `host=127.0.0.1\nport=${mailbox.port}\nenable_outbound=false\n`,
        'config/hisho.ini': `[main]\nworkers=1\n[dns]\nservers=127.0.0.1:${dns.port}\ntimeout_ms=500\ntries=3\n[delivery]\nport=${port}\nca_file=ca.pem\n`,
        'config/ca.pem': authority.certificate,
        'config/hisho.yaml': `local: [b.example]\nmta_sts:\n  b.example: { mode: enforce, mx: [${HOST}], max_age: 86400 }\n`,
        'config/dhparams.pem': 'none',
        ...certificateFiles(authority.issue('other.example')),
      },
    })
  })
  after(async () => {
    await b?.stop()
    await Promise.all([proxy?.close(), mailbox?.close(), world?.close()])
  })
  beforeEach(() => {
    world.reset()
    mailbox.clear()
  })

  it('holds enforce back while its own MX has a certificate for another name, and says so', async () => {
    await b.waitForLog(/the MTA-STS policy of b\.example is served as "testing"/)
    const { code, problems } = await checked()
    assert.equal(code, 1)
    assert.match(problems.join('\n'), /^mx\.b\.example \[.*\]: its certificate is not for mx\.b/)
    const { heldBack, policy, record, id } = await publishRecord()
    assert.ok(heldBack)
    assert.match(policy, /^mode: testing\r$/m)
    assert.equal(record, `v=STSv1; id=${id};`)
    await world.send('bob@b.example')
    const [delivery] = await mailbox.waitFor(1)
    assert.match(String(delivery?.message), /the secret of/)
    await world.haraka.waitForLog(
      /delivery to b\.example .*MTA-STS testing\): TLS \(sts certificate-host-mismatch\)/,
    )
  })

  it('promises enforce once its MX keeps it, under another id', async () => {
    const before = await shown()
    for (const [name, text] of Object.entries(certificateFiles(world.authority.issue(HOST))))
      writeFileSync(join(b.directory, name), text)
    await b.kill()
    b = await startHaraka({ files: {}, directory: b.directory, host: b.host, port: b.port })
    await b.waitForLog(/the MTA-STS policy of b\.example is enforced now/)
    assert.deepEqual(await checked(), { code: 0, problems: [] })
    const { heldBack, policy, id } = await publishRecord()
    assert.ok(!heldBack)
    assert.match(policy, /^mode: enforce\r$/m)
    assert.notEqual(id, before.id)
  })

  it('is believed: mail comes over TLS, under the policy as it serves it', async () => {
    await world.send('bob@b.example')
    await mailbox.waitFor(1)
    await world.haraka.waitForLog(
      /delivery to b\.example at mx\.b\.example .*\(webpki, MTA-STS enforce\): TLS, authenticated \(sts success\)/,
    )
    const { code, text } = await run(world.haraka, 'tls', 'cache', 'list', '--json')
    assert.equal(code, 0)
    const [kept, ...others] = JSON.parse(text)
    assert.deepEqual(others, [])
    const { id } = await shown()
    assert.deepEqual([kept.domain, kept.mode, kept.id], ['b.example', 'enforce', id])
    assert.equal(Date.parse(kept.expires) - Date.parse(kept.fetched), 86_400_000)
  })

  it('is held to it when its certificate is bad again', async () => {
    const mx = world.dns.zone[HOST]!
    world.mta('mx.unused.example').conduct = { credentials: world.stranger.issue(HOST) }
    world.dns.zone[HOST] = { A: [world.mta('mx.unused.example').address], ttl: 0 }
    await world.send('bob@b.example')
    await world.haraka.waitForLog(/Temp failing .* nobody we trust vouches/)
    assert.equal(world.mta('mx.unused.example').deliveries.length, 0)
    world.dns.zone[HOST] = mx
    await retryUntil(world.haraka, () => mailbox.deliveries.length === 1)
  })

  it('is asked again after the operator of the other site has purged its policy', async () => {
    const asked = proxy.asked()
    const { code, stderr } = await run(world.haraka, 'tls', 'cache', 'purge', 'b.example')
    assert.equal(code, 0, stderr)
    assert.equal((await run(world.haraka, 'tls', 'cache', 'list', '--json')).text.trim(), '[]')
    await world.haraka.kill()
    await world.restart()
    await world.send('bob@b.example')
    await mailbox.waitFor(1)
    assert.equal(proxy.asked(), asked + 1)
    const { text } = await run(world.haraka, 'tls', 'cache', 'list')
    assert.match(text, /^b\.example +enforce +/m)
  })
})
