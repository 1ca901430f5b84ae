// Haraka does not start where a promise would break, and says why.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { startDnsServer, type DnsServer } from '../support/dns-server.ts'
import { startHaraka, type Files } from '../support/haraka.ts'
import { makeSite, siteEnvironment, siteFiles, type SiteKeys } from '../support/site.ts'

describe('a Haraka with hisho', () => {
  let dns: DnsServer
  let keys: SiteKeys
  before(async () => {
    keys = await makeSite('a.example')
    dns = await startDnsServer({})
  })
  after(() => dns?.close())

  const start = (plugins: readonly string[] | undefined, files: Files) =>
    startHaraka({
      environment: siteEnvironment(keys),
      files: siteFiles({
        domain: 'a.example',
        keys,
        dnsPort: dns.port,
        mailbox: 1,
        routes: {},
        ...(plugins ? { plugins } : {}),
        files,
      }),
    })

  const refusals: [string, readonly string[] | undefined, Files, RegExp][] = [
    [
      'lines of legal length would be broken',
      undefined,
      { 'config/connection.ini': '[message]\n[uuid]\n[max]\ndata_line_length=992\n' },
      /data_line_length=992 breaks lines of legal length/,
    ],
    [
      'dkim stands behind decrypt',
      ['hisho/decrypt', 'dkim', 'queue/smtp_forward'],
      {},
      /dkim must stand before hisho\/decrypt/,
    ],
    [
      'a scanner stands before decrypt',
      ['attachment', 'hisho/decrypt', 'queue/smtp_forward'],
      {},
      /attachment must stand after hisho\/decrypt/,
    ],
    [
      'the table has an error',
      undefined,
      { 'config/hisho.yaml': 'local: [a.example]\ndomains:\n  c.example: { encrypt: maybe }\n' },
      /hisho\.yaml:3:\d+: domains\.c\.example\.encrypt: must be one of/,
    ],
    [
      'there is no table',
      undefined,
      { 'config/hisho.ini': '[main]\ntable=missing.yaml\n' },
      /missing\.yaml: cannot be read/,
    ],
    [
      'an ini has a bad value',
      undefined,
      { 'config/hisho.ini': '[dns]\ntimeout_ms=soon\n' },
      /hisho\.ini \[dns\] timeout_ms: must be a whole number/,
    ],
    [
      'a plugin could take mail before the gate',
      ['thief', 'hisho/encrypt', 'queue/smtp_forward'],
      {
        'plugins/thief.js':
          "exports.register = function () { this.register_hook('queue_outbound', 'take', -60) }\nexports.take = (next) => next(OK)\n",
      },
      /thief comes before hisho\/encrypt_gate on queue_outbound/,
    ],
  ]
  for (const [why, plugins, files, message] of refusals) {
    it(`does not start: ${why}`, async () => {
      await assert.rejects(start(plugins, files), message)
    })
  }

  it('starts with a locked vault, and says so', async () => {
    const haraka = await start(undefined, { 'config/hisho.vault.age': 'rubbish' })
    try {
      await haraka.waitForLog(/vault locked: .*the passphrase does not open it, or it is damaged/)
    } finally {
      await haraka.stop()
    }
  })

  it('says at start when a look-up may take longer than the plugin has', async () => {
    const haraka = await start(undefined, {
      'config/hisho.ini':
        '[dns]\nservers=127.0.0.1:53\ntimeout_ms=10000\ntries=3\n[well_known]\ntimeout_ms=2000\n',
      'config/hisho/encrypt.timeout': '20\n',
    })
    try {
      await haraka.waitForLog(/a DNS look-up may take 40 s .* and hisho\/encrypt has 19 s/)
    } finally {
      await haraka.stop()
    }
  })

  it('takes a change of an ini while it runs, and keeps the last good values when a change is bad', async () => {
    const haraka = await start(undefined, { 'config/hisho.encrypt.ini': '[main]\nenabled=true\n' })
    try {
      const file = join(haraka.directory, 'config', 'hisho.encrypt.ini')
      assert.match(readFileSync(file, 'utf8'), /true/)
      writeFileSync(file, '[main]\nenabled=perhaps\n')
      await haraka.waitForLog(
        /hisho\.encrypt\.ini refused, the last good values stay: .*\[main\] enabled: must be true or false/,
      )
      writeFileSync(file, '[main]\nenabled=false\n')
      await haraka.waitForLog(/hisho\.encrypt\.ini read again/)
    } finally {
      await haraka.stop()
    }
  })
})
