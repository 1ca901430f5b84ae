import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { PermError, TempError } from '../../lib/errors.ts'
import { createMetricsDoor } from '../../lib/haraka/metrics-http.ts'
import { collect, readMessage, type Message } from '../../lib/mail/message.ts'
import type { Offer, Scheme } from '../../lib/mail/scheme.ts'
import { COUNTERS, GAUGES } from '../../lib/metrics/definitions.ts'
import { createMeter } from '../../lib/metrics/meter.ts'
import { createExposition } from '../../lib/metrics/prometheus.ts'
import { meteredSchemes } from '../../lib/services/metered.ts'
import { parseMetricsSettings } from '../../lib/services/metrics-settings.ts'
import { ROOT } from '../support/haraka.ts'

describe('docs/metrics.md', () => {
  it('has each metric, and no other', () => {
    const page = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8')
    const named = [...page.matchAll(/^\| `(hisho_\w+)`/gm)].map(([, name]) => name)
    assert.deepEqual(new Set(named), new Set([...Object.keys(COUNTERS), ...Object.keys(GAUGES)]))
  })
})

describe('the text for Prometheus', () => {
  it('has what was counted since somebody wanted to know', async () => {
    const meter = createMeter()
    const count = (result: string): void =>
      meter.count('hisho_seal_total', { scheme: 'age', result })
    count('ok') // nobody listens
    const exposition = createExposition(meter)
    for (const result of ['ok', 'ok', 'failed']) count(result)
    const text = await exposition.text()
    assert.match(exposition.contentType, /^text\/plain; version=0\.0\.4/)
    assert.match(text, /^# TYPE hisho_seal_total counter$/m)
    assert.match(text, /^hisho_seal_total\{scheme="age",result="ok"\} 2$/m)
    assert.match(text, /^hisho_seal_total\{scheme="age",result="failed"\} 1$/m)
  })

  it('reads gauges when it is asked for, and leaves out those that cannot be read', async () => {
    const meter = createMeter()
    let queued = 3
    meter.gauge('hisho_worker_queue', { pool: 'ibe' }, () => queued)
    meter.gauge('hisho_worker_queue', { pool: 'bb2' }, () => Promise.reject(new Error('no')))
    const exposition = createExposition(meter)
    assert.match(await exposition.text(), /^hisho_worker_queue\{pool="ibe"\} 3$/m)
    queued = 5
    const text = await exposition.text()
    assert.match(text, /^hisho_worker_queue\{pool="ibe"\} 5$/m)
    assert.doesNotMatch(text, /bb2/)
  })

  it('stays short, whatever a label might come to', async () => {
    const meter = createMeter()
    const exposition = createExposition(meter)
    for (let at = 0; at < 5000; at++)
      meter.count('hisho_open_total', { scheme: `s${at}`, result: 'ok' })
    assert.equal((await exposition.text()).match(/^hisho_open_total\{/gm)?.length, 300)
  })
})

describe('schemes that are counted', () => {
  const message = () => readMessage([Buffer.from('Subject: x\r\n\r\nbody\r\n')])
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('half')
    throw new TempError('crypto/busy', 'too much')
  }
  const scheme: Scheme = {
    name: 'test',
    offer: async ({ domain }) => ({
      scheme: 'test',
      description: 'x',
      seal: (_addresses, one) => (domain === 'bad.example' ? { ...one, body: failing() } : one),
    }),
    detect: () => true,
    open: async (one, addresses) => {
      const [address] = addresses
      if (address === 'none') return { status: 'closed', reason: 'no' }
      if (address === 'bad') throw new PermError('ibe/decrypt', 'no')
      return { status: 'opened', addresses, description: 'x', message: one }
    },
  }

  it('do what they did, and a message counts once it is whole', async () => {
    const meter = createMeter()
    const exposition = createExposition(meter)
    const [counted] = meteredSchemes([scheme], meter)
    assert.ok(counted)
    for (const domain of ['good.example', 'bad.example', 'good.example']) {
      const offer: Offer | undefined = await counted.offer({
        domain,
        addresses: [],
        trust: [],
        settings: {},
      })
      const sealed: Message | undefined = offer?.seal([], await message(), { author: undefined })
      assert.ok(sealed)
      if (domain === 'bad.example') await assert.rejects(collect(sealed.body), TempError)
      else assert.equal(Buffer.from(await collect(sealed.body)).toString(), 'body\r\n')
    }
    const opened = await counted.open(await message(), ['good'])
    assert.ok(opened.status === 'opened')
    assert.equal(Buffer.from(await collect(opened.message.body)).toString(), 'body\r\n')
    assert.equal((await counted.open(await message(), ['none'])).status, 'closed')
    await assert.rejects(counted.open(await message(), ['bad']), PermError)
    const text = await exposition.text()
    for (const line of [
      'hisho_seal_total{scheme="test",result="ok"} 2',
      'hisho_seal_total{scheme="test",result="deferred"} 1',
      'hisho_open_total{scheme="test",result="ok"} 1',
      'hisho_open_total{scheme="test",result="closed"} 1',
      'hisho_open_total{scheme="test",result="failed"} 1',
    ])
      assert.ok(text.split('\n').includes(line), `${line} in ${text}`)
  })

  it('a message that nobody reads is closed at its source, and does not count', async () => {
    let closed = false
    const body: AsyncIterableIterator<Uint8Array> = {
      [Symbol.asyncIterator]: () => body,
      next: async () => ({ done: true, value: undefined }),
      return: async () => {
        closed = true
        return { done: true, value: undefined }
      },
    }
    const meter = createMeter()
    const exposition = createExposition(meter)
    const [counted] = meteredSchemes([scheme], meter)
    const opened = await counted?.open({ ...(await message()), body }, ['good'])
    assert.ok(opened?.status === 'opened')
    await opened.message.body[Symbol.asyncIterator]().return?.()
    assert.equal(closed, true)
    assert.doesNotMatch(await exposition.text(), /^hisho_open_total\{/m)
  })
})

describe('who may ask', () => {
  async function withDoor(
    ini: Readonly<Record<string, unknown>>,
    ask: (url: string) => Promise<void>,
    text = async (): Promise<string> => 'x 1\n',
  ): Promise<void> {
    const settings = parseMetricsSettings({
      main: {
        enabled: true,
        path: '/metrics',
        allow: '127.0.0.1, ::1',
        allow_proxied: false,
        ...ini,
      },
    })
    const door = createMetricsDoor({
      settings: () => settings,
      exposition: { contentType: 'text/plain', text },
      log: () => {},
    })
    const server: Server = createServer((request, response) =>
      door(request, response, () => response.writeHead(404).end()),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      await ask(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  }
  const statusOf = async (url: string, init: RequestInit = {}): Promise<number> =>
    (await fetch(url, init)).status

  it('is who connects from an allowed network, and through no proxy', () =>
    withDoor({}, async (url) => {
      assert.equal(await statusOf(`${url}/metrics`), 200)
      assert.equal(await statusOf(`${url}/metrics?x`, { method: 'HEAD' }), 200)
      assert.equal(await statusOf(`${url}/metrics`, { method: 'POST' }), 405)
      assert.equal(await statusOf(`${url}/other`), 404)
      for (const name of ['X-Forwarded-For', 'Forwarded'])
        assert.equal(
          await statusOf(`${url}/metrics`, { headers: { [name]: 'for=127.0.0.1' } }),
          403,
        )
    }))

  it('is nobody else', async () => {
    await withDoor({ allow: '192.0.2.0/24, 2001:db8::/32' }, async (url) =>
      assert.equal(await statusOf(`${url}/metrics`), 403),
    )
    await withDoor({ allow: '' }, async (url) =>
      assert.equal(await statusOf(`${url}/metrics`), 403),
    )
    await withDoor({ enabled: false }, async (url) =>
      assert.equal(await statusOf(`${url}/metrics`), 404),
    )
    await withDoor({ allow_proxied: true }, async (url) =>
      assert.equal(await statusOf(`${url}/metrics`, { headers: { Forwarded: 'x' } }), 200),
    )
  })

  it('is told to come again when a process does not answer', () =>
    withDoor(
      {},
      async (url) => assert.equal(await statusOf(`${url}/metrics`), 503),
      () => Promise.reject(new TempError('crypto/busy', 'late')),
    ))
})
