// What Prometheus reads of the services of a process, as they are wired.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, it } from 'node:test'
import { systemClock } from '../../lib/clock.ts'
import { createExposition } from '../../lib/metrics/prometheus.ts'
import type { Ini } from '../../lib/services/ini-reader.ts'
import { createServices, type Services } from '../../lib/services/services.ts'
import { parseSharedSettings } from '../../lib/services/settings.ts'
import { parseReceivingSettings } from '../../lib/services/tlsrpt-receive-settings.ts'
import { freePort, ROOT } from '../support/haraka.ts'
import { readVectors } from '../support/vectors.ts'

interface Loader {
  module_config(directory: string): { get(name: string, type?: string): unknown }
}

const shipped = (require('haraka-config') as Loader).module_config(ROOT)
const iniOf = (name: string): Ini => shipped.get(name, 'ini') as Ini

describe('the metrics of the services', () => {
  let services: Services
  let folder: string
  afterEach(async () => {
    await services.close()
    rmSync(folder, { recursive: true })
  })

  function open(changes: Ini): Services {
    folder = mkdtempSync(join(tmpdir(), 'hisho-gauges-'))
    writeFileSync(join(folder, 'hisho.yaml'), 'local: [b.example]\n')
    const settings = parseSharedSettings({ ...iniOf('hisho.ini'), ...changes }, folder)
    services = createServices({ settings, environment: {}, clock: systemClock, log: () => {} })
    return services
  }
  const has = (text: string, line: string): void =>
    assert.ok(text.split('\n').includes(line), `${line} in:\n${text}`)

  it('tell of mail that is held, of keys and threads, and of policies though there are none', async () => {
    const { meter } = open({})
    const exposition = createExposition(meter)
    has(await exposition.text(), 'hisho_held_mail 0')
    mkdirSync(join(folder, 'hisho.held'))
    for (const name of ['20261121-00000001.json', '20261121-00000001.eml'])
      writeFileSync(join(folder, 'hisho.held', name), '')
    const text = await exposition.text()
    has(text, 'hisho_held_mail 1')
    has(text, 'hisho_store_up{backend="files"} 1')
    for (const side of ['sender', 'receiver'])
      has(text, `hisho_kek_cache_entries{side="${side}"} 0`)
    for (const pool of ['ibe', 'bb2', 'openpgp', 'smime'])
      has(text, `hisho_worker_queue{pool="${pool}"} 0`)
    for (const mode of ['enforce', 'testing', 'none'])
      has(text, `hisho_mta_sts_policies{mode="${mode}"} 0`)
    has(text, 'hisho_mta_sts_policy_age_seconds{statistic="oldest"} 0')
  })

  it('tell that Redis is away', async () => {
    const url = `redis://127.0.0.1:${await freePort()}/0`
    const { meter } = open({ redis: { ...iniOf('hisho.ini')['redis'], url, timeout_ms: 200 } })
    has(await createExposition(meter).text(), 'hisho_store_up{backend="redis"} 0')
  })

  it('count the reports of others that arrive, by how they came and what became of them', async () => {
    const { meter, receivedReports } = open({})
    const exposition = createExposition(meter)
    const { receive } = parseReceivingSettings(iniOf('hisho.tlsrpt.ini'))
    const receiver = receivedReports.createReceiver(receive, receivedReports.createAlerts())
    const [seen] = readVectors<{ cases: readonly { report: unknown }[] }>('tlsrpt-reports').cases
    const report = Buffer.from(JSON.stringify(seen?.report))
    const origin = { via: 'https', from: '192.0.2.1', dkim: [] } as const
    await receiver.receive(report, origin)
    await receiver.receive(report, origin)
    await assert.rejects(receiver.receive(Buffer.from('no report'), { ...origin, via: 'mail' }))
    const text = await exposition.text()
    for (const [via, result] of [
      ['https', 'kept'],
      ['https', 'duplicate'],
      ['mail', 'refused'],
    ])
      has(text, `hisho_tls_reports_received_total{via="${via}",result="${result}"} 1`)
  })
})
