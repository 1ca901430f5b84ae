// `hisho tlsrpt` and what the doctor says of it, as processes of their own, over counts that a gateway has kept.
import assert from 'node:assert/strict'
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { DAY_MS, dayOf, type Day } from '../../lib/tlsrpt/day.ts'
import { createFileStore } from '../../lib/tlsrpt/file-store.ts'
import type { FailureDetail, ReportedPolicy } from '../../lib/tlsrpt/report.ts'
import { readVectors } from '../support/vectors.ts'
import { openSite, type Result, type Site } from './site.ts'

const TODAY = dayOf(Date.now())
const EARLIER = dayOf(Date.now() - 3 * DAY_MS)
const EXPIRED: FailureDetail = {
  resultType: 'certificate-expired',
  failedSessions: 2,
  receivingMxHostname: 'mx.c.example',
  receivingIp: '192.0.2.7',
  failureReasonCode: 'CERT_HAS_EXPIRED',
}

let site: Site
const tlsrpt = (...words: string[]): Promise<Result> => site.run(['tlsrpt', ...words])
const folder = (): string => site.file('config/hisho.store/tlsrpt')

async function keep(
  day: Day,
  name: string,
  policyType: ReportedPolicy['policyType'],
  good: number,
  failures: readonly FailureDetail[] = [],
): Promise<void> {
  const store = createFileStore({ directory: folder(), log: assert.fail })
  const policy = { policyType, policyDomain: name, policyStrings: [], mxHosts: [] }
  const failedSessions = failures.reduce((sum, one) => sum + one.failedSessions, 0)
  const count = { name, via: undefined, policy, successfulSessions: good, failedSessions, failures }
  await store.add(day, { id: `${day} ${name}`, counts: [count] })
  await store.close()
}

const fill = async (): Promise<void> => {
  rmSync(folder(), { recursive: true, force: true })
  await keep(EARLIER, 'b.example', 'sts', 3)
  await keep(TODAY, 'b.example', 'sts', 4)
  await keep(TODAY, 'c.example', 'no-policy-found', 1, [EXPIRED])
}

before(async () => {
  site = await openSite()
  site.write('config/plugins', 'hisho/tlsrpt\n')
})
after(() => site?.close())

describe('hisho tlsrpt show', () => {
  it('says so when nothing was counted', async () => {
    const { code, text, stderr } = await tlsrpt('show')
    assert.deepEqual([code, text, stderr], [0, 'nothing was counted\n', ''])
    assert.deepEqual(JSON.parse((await tlsrpt('show', '--json')).text), [])
  })

  it('has a line for each day and domain, and explains each failure; 1 if there is one', async () => {
    await fill()
    const { code, text } = await tlsrpt('show')
    assert.equal(code, 1)
    const [head = '', ...lines] = text
      .split('\n')
      .map((line) => line.trim().split(/ {2,}/).join(' '))
    assert.equal(head, 'DAY DOMAIN POLICY GOOD FAILED')
    assert.deepEqual(lines.slice(0, 3), [
      `${EARLIER} b.example sts 3 0`,
      `${TODAY} b.example sts 4 0`,
      `${TODAY} c.example no-policy-found 1 2`,
    ])
    assert.match(
      text,
      /c\.example: certificate-expired, 2 times at mx\.c\.example \[192\.0\.2\.7\]: CERT_HAS_EXPIRED\n {2}\w.*\n {2}\w/,
    )
    assert.doesNotMatch(text, /b\.example: /)
  })

  it('--domain and --since leave out all else, and 1 is for what is shown', async () => {
    const of = await tlsrpt('show', '--domain', 'B.Example', '--since', TODAY)
    assert.equal(of.code, 0)
    assert.equal(of.text.trim().split('\n').length, 2)
    assert.match(of.text, new RegExp(`${TODAY} +b\\.example +sts +4 +0`))
    const none = await tlsrpt('show', '--domain', 'd.example')
    assert.deepEqual([none.code, none.text], [0, 'nothing was counted\n'])
    for (const wrong of ['yesterday', '2026-13-01'])
      assert.equal((await tlsrpt('show', '--since', wrong)).code, 64)
  })

  it('--json has all of it', async () => {
    const { code, text } = await tlsrpt('show', '--json', '--domain', 'c.example')
    assert.equal(code, 1)
    const [count] = JSON.parse(text) as Record<string, unknown>[]
    assert.equal(count?.['day'], TODAY)
    assert.deepEqual(count?.['failures'], [EXPIRED])
  })

  it('shows what is whole of a file that is damaged, and says which one is', async () => {
    await fill()
    const [name = ''] = readdirSync(join(folder(), TODAY)).filter((one) => one.endsWith('.counts'))
    const file = join(folder(), TODAY, name)
    appendFileSync(file, '\u0000\u0001 no line of ours\nd00 ["torn",[["b.exam')
    const { code, text, stderr } = await tlsrpt('show')
    assert.equal(code, 1)
    assert.match(text, new RegExp(`${TODAY} +b\\.example +sts +4 +0`))
    assert.ok(stderr.includes(file) && /torn/.test(stderr), stderr)
  })

  it('fails, and does not say that there is nothing, when the store cannot be read', async () => {
    rmSync(folder(), { recursive: true })
    writeFileSync(folder(), 'no directory')
    const { code, text, stderr } = await tlsrpt('show')
    assert.equal(code, 75)
    assert.equal(text, '')
    assert.match(stderr, /cache\/unreachable: .*tlsrpt/)
    rmSync(folder())
  })
})

describe('hisho tlsrpt send', () => {
  const settings = (report: string): void =>
    site.write('config/hisho.tlsrpt.ini', `[report]\n${report}`)
  before(async () => {
    await fill()
    site.dns.zone['_smtp._tls.b.example'] = {
      TXT: ['v=TLSRPTv1; rua=mailto:r@b.example,https://b.example/r'],
    }
    site.dns.zone['_smtp._tls.c.example'] = { misbehave: 'servfail' }
  })

  it('needs an address to send from, and the word --now', async () => {
    settings('from=\n')
    assert.equal((await tlsrpt('send', '--now', '--dry-run')).code, 78)
    settings('mode=off\nfrom=tls@a.example\n')
    assert.equal((await tlsrpt('send', '--now')).code, 78)
    settings('from=tls@a.example\norganization=A Example\n')
    assert.equal((await tlsrpt('send')).code, 64)
    assert.equal((await tlsrpt('send', '--now', '--domain', 'b.example')).code, 64)
  })

  it('--now --dry-run shows each report that would go, to whom, those of today too', async () => {
    const { code, text } = await tlsrpt('send', '--now', '--dry-run')
    assert.equal(code, 0)
    for (const day of [EARLIER, TODAY])
      assert.match(
        text,
        new RegExp(
          `^${day} b\\.example: \\d+ bytes, to mailto:r@b\\.example, https://b\\.example/r$`,
          'm',
        ),
      )
    assert.match(text, /"organization-name": "A Example"/)
    assert.match(text, /"total-successful-session-count": 4/)
    assert.match(
      text,
      new RegExp(`^${TODAY} c\\.example: cannot be said now: .*response code 2`, 'm'),
    )
    // Nobody has it, and nobody thinks so.
    assert.ok(!existsSync(join(folder(), EARLIER, 'ledger')))
    assert.ok(!existsSync(join(folder(), EARLIER, 'closed')))
  })

  it('--domain and --json are for scripts; nothing is said of days that are done', async () => {
    writeFileSync(join(folder(), EARLIER, 'done'), '')
    const words = ['send', '--now', '--dry-run', '--json', '--domain']
    const { text } = await tlsrpt(...words, 'b.example')
    const shown = JSON.parse(text) as Record<string, unknown>[]
    assert.equal(shown.length, 1)
    assert.deepEqual(
      [shown[0]?.['day'], shown[0]?.['name'], shown[0]?.['to']],
      [TODAY, 'b.example', ['mailto:r@b.example', 'https://b.example/r']],
    )
    assert.deepEqual(JSON.parse((await tlsrpt(...words, 'd.example')).text), [])
    const none = await tlsrpt('send', '--now', '--dry-run', '--domain', 'd.example')
    assert.equal(none.text, 'no report would be sent\n')
  })

  it('--now leaves word for the Haraka that shares the store', async () => {
    settings('from=tls@a.example\nmode=dry_run\n')
    const { code, text } = await tlsrpt('send', '--now')
    assert.equal(code, 0)
    assert.match(text, /within two minutes \(mode is dry_run/)
    const store = site.file('config/hisho.store')
    const files = readdirSync(store, { recursive: true, withFileTypes: true })
    const word = files.filter(
      (one) =>
        one.isFile() && readFileSync(join(one.parentPath, one.name), 'utf8').includes('tlsrpt/now'),
    )
    assert.equal(word.length, 1)
  })
})

interface ReportVector {
  readonly name: string
  readonly report: unknown
}

interface MailVector {
  readonly name: string
  readonly lines: readonly string[]
}

describe('hisho tlsrpt read', () => {
  it('reads JSON, gzip and mail, from a file and from stdin, alike', async () => {
    const [vector] = readVectors<{ cases: readonly ReportVector[] }>('tlsrpt-reports').cases
    const json = JSON.stringify(vector?.report)
    site.write('report.json', json)
    const read = await tlsrpt('read', site.file('report.json'))
    assert.equal(read.code, 0, read.stderr)
    assert.match(read.text, /^From +Google Inc\. \(smtp-tls-reporting@google\.com\)\nReport +\S/)
    assert.match(read.text, /48 sessions, all good/)
    const zipped = await site.run(['tlsrpt', 'read'], { input: gzipSync(json) })
    assert.equal(zipped.text, read.text)
    const [mail] = readVectors<{ cases: readonly MailVector[] }>('tlsrpt-mails').cases
    const input = (mail?.lines ?? []).join('\r\n')
    const mailed = await site.run(['tlsrpt', 'read', '-', '--json'], { input })
    assert.equal(
      (JSON.parse(mailed.text) as Record<string, unknown>)['organizationName'],
      'Google Inc.',
    )
  })

  it('says what failed, at which host, the likely cause and the next step', async () => {
    const failed = {
      'organization-name': 'B\u001B[31m',
      'date-range': {
        'start-datetime': '2026-11-21T00:00:00Z',
        'end-datetime': '2026-11-21T23:59:59Z',
      },
      'contact-info': 'x@b.example',
      'report-id': 'one',
      policies: [
        {
          policy: {
            'policy-type': 'sts',
            'policy-string': ['mode: enforce'],
            'policy-domain': 'a.example',
          },
          summary: { 'total-successful-session-count': 1, 'total-failure-session-count': 2 },
          'failure-details': [
            {
              'result-type': 'certificate-expired',
              'receiving-mx-hostname': 'mx.a.example',
              'failed-session-count': 2,
            },
          ],
        },
      ],
    }
    const { code, text } = await site.run(['tlsrpt', 'read'], { input: JSON.stringify(failed) })
    assert.equal(code, 0)
    assert.match(text, /a\.example +MTA-STS, enforce[^]*3 sessions, 2 failed \(67 %\)/)
    assert.match(
      text,
      /certificate-expired: 2\n +2x to mx\.a\.example\n +Likely cause: \w[^]*Next step: \w/,
    )
    assert.ok(!text.includes('\u001B'), 'what others write moves no cursor')
  })

  it('tells what is no report, and a file that is not there', async () => {
    const none = await site.run(['tlsrpt', 'read'], { input: 'From: a\r\n\r\nhello\r\n' })
    assert.deepEqual([none.code, none.text], [65, ''])
    assert.match(none.stderr, /^hisho: tlsrpt\/malformed: /)
    const empty = await site.run(['tlsrpt', 'read'], { input: '{"policies": 1}' })
    assert.equal(empty.code, 65)
    assert.equal((await tlsrpt('read', site.file('nothing'))).code, 66)
  })
})

describe('hisho doctor, of reports on TLS', () => {
  const FIELDS = 'From, TLS-Report-Domain, TLS-Report-Submitter'
  const examine = async (
    plugins: string,
    report: string,
    dkim: string,
  ): Promise<readonly string[]> => {
    site.write('config/plugins', plugins)
    site.write('config/hisho.tlsrpt.ini', report)
    site.write('config/dkim.ini', dkim)
    const { text } = await site.run(['doctor', '--json'])
    const { checks } = JSON.parse(text) as {
      readonly checks: readonly Record<'check' | 'status' | 'found', string>[]
    }
    return checks
      .filter(({ check }) => check === 'tls reports' || check === 'hisho.tlsrpt.ini')
      .map(({ check, status, found }) => `${status} ${check}: ${found}`)
  }
  const FROM = '[report]\nfrom=tls@a.example\n'
  const GOOD = 'ok hisho.tlsrpt.ini: good'

  it('R8 R28: that they are sent, and signed, with both fields under the signature', async () => {
    const dkim = (headers: string): string => `[sign]\nenabled=true\nheaders=${headers}\n`
    const plugins = 'dkim\nharaka-plugin-hisho/tlsrpt\n'
    assert.deepEqual(await examine('hisho/decrypt\n', FROM, ''), [GOOD])
    assert.deepEqual(await examine(plugins, '[report]\nfrom=\n', dkim(FIELDS)), [
      'warn tls reports: none are sent',
      GOOD,
    ])
    const unsigned = 'warn tls reports: are not signed: most receivers take no notice of them'
    assert.deepEqual(await examine('hisho/tlsrpt\n', FROM, dkim(FIELDS)), [unsigned, GOOD])
    assert.deepEqual(await examine(plugins, FROM, '[sign]\nenabled=false\n'), [unsigned, GOOD])
    assert.deepEqual(await examine(plugins, FROM, dkim('From, TLS-Report-Domain')), [
      'warn tls reports: the signature does not cover tls-report-submitter',
      GOOD,
    ])
    assert.deepEqual(await examine(plugins, FROM, dkim(FIELDS)), [
      'ok tls reports: sent as tls@a.example',
      GOOD,
    ])
    assert.deepEqual(await examine(plugins, `${FROM}mode=dry_run\n`, dkim(FIELDS)), [
      'ok tls reports: sent as tls@a.example (dry run)',
      GOOD,
    ])
  })

  it('what is wrong in hisho.tlsrpt.ini, in what is sent and in what is received', async () => {
    const [first = ''] = await examine('hisho/tlsrpt\n', '[report]\nfrom=nobody\n', '')
    assert.match(first, /^fail hisho\.tlsrpt\.ini: .*\[report\] from: must be an address/)
    const [second = '', third = ''] = await examine(
      'hisho/tlsrpt\n',
      '[receive]\nafterwards=eat\n',
      '',
    )
    assert.match(
      `${second}\n${third}`,
      /fail hisho\.tlsrpt\.ini: .*\[receive\] afterwards: must be/,
    )
  })
})
