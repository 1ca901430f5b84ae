// Somebody strips STARTTLS before the server of a domain: its mail waits, and a day later the domain reads of it in a report,
// which comes by mail, through the same attack, into its own gateway. RFC 8460.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { dayOf, endOf } from '../../lib/tlsrpt/day.ts'
import { hisho } from '../cli/site.ts'
import { clockEnvironment } from '../support/clock-environment.ts'
import { startHaraka, type Haraka } from '../support/haraka.ts'
import { startManInTheMiddle, type ManInTheMiddle } from '../support/man-in-the-middle.ts'
import { startOutbound, type OutboundWorld } from '../support/outbound-world.ts'

const run = promisify(execFile)

const HOST = 'mx.b.example'
const RECORD = 'v=TLSRPTv1; rua=mailto:tlsrpt@b.example'
const SIGNED =
  'From, To, Date, Subject, Message-ID, MIME-Version, Content-Type, TLS-Report-Domain, TLS-Report-Submitter'

let world: OutboundWorld
let receiver: Haraka
let man: ManInTheMiddle
const environment: Record<string, string> = clockEnvironment(0)

async function makeKey(): Promise<{ key: string; record: string }> {
  const { stdout: key } = await run('openssl', ['genrsa', '2048'])
  const asking = run('openssl', ['pkey', '-pubout', '-outform', 'DER'], { encoding: 'buffer' })
  asking.child.stdin?.end(key)
  const record = `v=DKIM1; k=rsa; s=tlsrpt; p=${(await asking).stdout.toString('base64')}`
  return { key, record }
}

before(async () => {
  const dkim = await makeKey()
  world = await startOutbound({
    hosts: ['other.example'],
    environment,
    zone: {
      'b.example': { MX: [`10 ${HOST}`] },
      '_smtp._tls.b.example': { TXT: [RECORD] },
      'mail._domainkey.a.example': { TXT: [dkim.record] },
    },
    publish: (policies) => policies.publish('b.example', { mode: 'enforce', mx: [HOST] }),
    table: '  b.example: { encrypt: never, floor: transport }',
    plugins: ['auth/flat_file', 'dkim', 'hisho/mta_sts', 'hisho/tlsrpt'],
    files: () => ({
      'config/dkim.ini': `[sign]\nenabled=true\nselector=mail\ndomain=a.example\nheaders=${SIGNED}\n[verify]\nenabled=false\n`,
      'config/dkim.private.key': dkim.key,
      'config/hisho.tlsrpt.ini':
        '[main]\nflush_ms=10\n[report]\nfrom=tls@a.example\norganization=A Example\nmax_delay=0\n',
    }),
  })
  const address = world.mta('other.example').address
  const place = (last: number): string => address.replace(/\.\d+\.\d+$/, `.8.${last}`)
  const { certificate, privateKey } = world.authority.issue(HOST)
  receiver = await startHaraka({
    host: place(1),
    environment: { YES_REALLY_DO_DISCARD: '1' },
    files: {
      'config/me': `${HOST}\n`,
      'config/plugins': 'test_dns\ntls\nrcpt_to.in_host_list\nhisho/tlsrpt\ndkim\nqueue/discard\n',
      'config/host_list': 'b.example\n',
      'config/tls_cert.pem': certificate,
      'config/tls_key.pem': privateKey,
      'config/dkim.ini': '[verify]\nenabled=true\n',
      'plugins/test_dns.js': `exports.register = function () { require('node:dns').promises.setServers(['127.0.0.1:${world.dns.port}']) }\n`,
      'config/hisho.ini': `[main]\nworkers=1\n[dns]\nservers=127.0.0.1:${world.dns.port}\ntimeout_ms=500\ntries=3\n`,
      'config/hisho.yaml': 'local: [b.example]\n',
      'config/hisho.tlsrpt.ini': '[receive]\naddresses=tlsrpt@b.example\nrequire_dkim=true\n',
    },
  })
  man = await startManInTheMiddle({
    address: place(2),
    port: world.port,
    server: { address: receiver.host, port: receiver.port },
  })
  world.dns.zone[HOST] = { A: [man.address] }
})
after(async () => {
  await man?.close()
  await receiver?.stop()
  await world?.close()
})

const cli = async (haraka: Haraka, ...words: string[]): Promise<string> => {
  const { code, text, stderr } = await hisho(['--haraka', haraka.directory, 'tlsrpt', ...words])
  assert.ok(code === 0 || code === 1, stderr)
  return text
}
const countsOf = async (): Promise<readonly Record<string, unknown>[]> =>
  JSON.parse(await cli(world.haraka, 'show', '--json')) as Record<string, unknown>[]

describe('a domain before whose server somebody strips STARTTLS', () => {
  it('is served well before, and its mail waits then; both are counted, with the next step', async () => {
    await world.send('bob@b.example')
    await world.haraka.waitForLog(/delivered file=/)
    man.stripsTls = true
    await world.send('bob@b.example')
    await world.haraka.waitForLog(/Temp failing/)
    const [count] = await countsOf()
    assert.equal(count?.['name'], 'b.example')
    assert.equal(count?.['successfulSessions'], 1)
    const text = await cli(world.haraka, 'show', '--domain', 'b.example')
    assert.match(text, /b\.example +sts +1 +\d+/)
    assert.match(
      text,
      /starttls-not-supported, \d+ times at mx\.b\.example \[127\.\d+\.8\.2\]: it does not offer STARTTLS/,
    )
    assert.match(text, /takes the offer out \(an attack/)
    const draft = await cli(world.haraka, 'send', '--now', '--dry-run')
    assert.match(draft, /b\.example: \d+ bytes, to mailto:tlsrpt@b\.example/)
    assert.match(draft, /"receiving-mx-helo": "mx\.b\.example"/)
  })

  it('R5 R6 R8 R9 R28: reads of it a day later, in a signed report that did not wait for TLS, and is not counted', async () => {
    const today = dayOf(Date.now())
    await world.haraka.kill()
    environment['CLOCK_OFFSET_MS'] = String(endOf(today) + 3_600_000 - Date.now())
    man.forget()
    await world.restart()
    await world.haraka.waitForLog(
      /TLSRPT: reports of \S+: 1 sent, 0 to be tried again, 0 lost/,
      30_000,
    )
    await receiver.waitForLog(/report (?:kept|stored|new|received)/i, 20_000)
    const wire = man.wire().replaceAll(/\r\n(?=[ \t])/g, '')
    assert.match(wire, /^TLS-Report-Domain: b\.example\r$/m)
    assert.match(wire, /^TLS-Required: No\r$/m)
    const [, signature = ''] = /^DKIM-Signature: (.*)$/m.exec(wire) ?? []
    assert.match(signature, /h=[^;]*tls-report-domain[^;]*tls-report-submitter/i)
    assert.doesNotMatch(signature, /[;\s]l=/)
    assert.doesNotMatch(wire, /the secret of/)
    const shown = await cli(receiver, 'show', '--received')
    assert.match(shown, /A Example +b\.example +sts +1 +\d+ +signed +starttls-not-supported/)
    const after = await countsOf()
    const tomorrow = after.filter(({ day }) => day !== today)
    assert.ok(tomorrow.every(({ successfulSessions }) => successfulSessions === 0))
    assert.ok(
      tomorrow.every(({ policy }) => JSON.stringify(policy).includes('"sts"')),
      JSON.stringify(tomorrow),
    )
  })
})
